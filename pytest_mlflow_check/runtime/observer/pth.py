"""The `.pth` file by which the guard gets into a Python: it lies beside this module, and a wheel installs it.

    python -m pytest_mlflow_check.runtime.observer.pth

writes it anew. Python's `site` executes its line in every process of the environment. So what every process
compiles is short; the rest is compiled only where the process may be of a launch.
"""

from __future__ import annotations

NAME = "pytest_mlflow_check.pth"

_QUICK = """\
try:
    here = os.getcwd()
except OSError:
    here = ''
command = getattr(sys, 'orig_argv', [])
if 'PYTEST_MLFLOW_CHECK_OBSERVER' in os.environ or '/attempt-' in ' '.join([here, *command]):
    exec(guard)
"""

_GUARD = """\
try:
    place = os.environ.get('PYTEST_MLFLOW_CHECK_OBSERVER')
    for path in (here, *command):
        end = path.find('/', path.rfind('/attempt-') + 1)
        found = path[:end] + '/observer.settings'
        if place is None and path[end : end + 10] in ('/workspace', '/downloads') and os.path.exists(found):
            place = found
    if place:
        with open(place, encoding='utf-8') as lines:
            sys.path.insert(0, lines.readline()[:-1])
        try:
            import _mlflow_check_observer
        finally:
            del sys.path[0]
        _mlflow_check_observer.switch_on(place)
except Exception:
    pass
"""

LINE = f"import os, sys; exec({_QUICK!r}, {{'os': os, 'sys': sys, 'guard': {_GUARD!r}}})"
"""What Python executes."""

CONTENT = f"""\
# Of pytest-mlflow-check: guards a process of a launch, and does nothing in others. `site` executes the line.
{LINE}
"""
"""The whole file."""


def _write() -> None:
    from pathlib import Path

    Path(__file__).with_name(NAME).write_text(CONTENT, encoding="ascii")


if __name__ == "__main__":
    _write()
