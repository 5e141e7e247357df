"""The exception that a process ended with, noted by the process itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_mlflow_check.runtime.observer.read_crashes import CRASHES, read_crashes
from support.observing import start

QUIET = "import sys\nsys.excepthook = lambda *_: print('it went wrong', file=sys.stderr)\n"
WRAPPED = """
def load():
    try:
        raise KeyError("lr")
    except KeyError as error:
        raise RuntimeError("no configuration") from error
"""


def kinds(tmp_path: Path) -> list[tuple[int, list[tuple[str, bool]]]]:
    return [
        (crash.exit_code, [(link.kind, link.is_cause) for link in crash.chain])
        for crash in read_crashes(tmp_path)
    ]


@pytest.mark.parametrize(
    ("code", "noted"),
    [
        ("raise ValueError('x')", [(1, [("ValueError", False)])]),
        (f"{QUIET}raise ValueError('x')", [(1, [("ValueError", False)])]),
        (
            "import sys\ntry:\n    1 / 0\nexcept Exception as error:\n    print(error)\n    sys.exit(3)",
            [(3, [("ZeroDivisionError", False)])],
        ),
        (
            "from sys import exit\ntry:\n    1 / 0\nexcept Exception as error:\n    exit(f'Error: {error}')",
            [(1, [("ZeroDivisionError", False)])],
        ),
        (f"{WRAPPED}load()", [(1, [("KeyError", True), ("RuntimeError", False)])]),
        (
            "try:\n    1 / 0\nfinally:\n    {}['end']",
            [(1, [("ZeroDivisionError", False), ("KeyError", False)])],
        ),
        ("try:\n    1 / 0\nexcept Exception:\n    raise OSError('x') from None", [(1, [("OSError", False)])]),
        (
            "import json\ntry:\n    json.loads('{')\nexcept ValueError:\n    raise SystemExit(0)",
            [],
        ),
        ("import sys\nsys.exit(1)", []),
        ("import sys\ntry:\n    1 / 0\nexcept Exception:\n    sys.exit(0)", []),
        ("import sys\ntry:\n    1 / 0\nexcept Exception:\n    pass\nsys.exit(2)", []),
        ("raise KeyboardInterrupt", []),
        (
            "import sys, threading\ndef work():\n    try:\n        1 / 0\n    except Exception:\n"
            "        sys.exit(1)\nthread = threading.Thread(target=work)\nthread.start()\nthread.join()",
            [],
        ),
    ],
)
def test_what_a_process_ended_with(
    code: str, noted: list[tuple[int, list[tuple[str, bool]]]], tmp_path: Path
) -> None:
    start(code, tmp_path)
    assert kinds(tmp_path) == noted


def test_exit_codes_and_output_are_those_without_it(tmp_path: Path) -> None:
    for code, ends in {
        "import sys\nsys.exit()": (0, ""),
        "import sys\nsys.exit(None)": (0, ""),
        "import sys\nsys.exit('gone')": (1, "gone\n"),
        "import sys\nsys.exit(259)": (3, ""),
        f"{QUIET}1 / 0": (1, "it went wrong\n"),
    }.items():
        ended = start(code, tmp_path)
        assert (ended.returncode, ended.stderr) == ends


def test_a_child_is_noted_with_its_parent(tmp_path: Path) -> None:
    child = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', '1 / 0'], check=True)"
    start(child, tmp_path)
    inner, outer = read_crashes(tmp_path)
    assert (inner.chain[-1].kind, inner.parent) == ("ZeroDivisionError", outer.process)
    assert outer.chain[-1].kind == "subprocess.CalledProcessError"


def test_an_exception_without_a_text_and_one_with_a_long_one(tmp_path: Path) -> None:
    start(
        "class Broken(Exception):\n    def __str__(self):\n        raise OSError\nraise Broken",
        tmp_path / "a",
    )
    start("raise ValueError('start' + 'x' * 10_000_000 + 'end')", tmp_path / "b")
    ((without,),) = (crash.chain for crash in read_crashes(tmp_path / "a"))
    assert (without.kind, without.message) == ("Broken", "")
    (long,) = read_crashes(tmp_path / "b")
    message = long.chain[0].message
    assert (message[:6], message[-4:], len(message) < 300_000) == ("startx", "xend", True)


def test_lines_that_say_something_else_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / CRASHES).write_text('{"process": 1}\n[1]\nnothing\n{"process": "a", "chain": 3}\n')
    assert read_crashes(tmp_path) == ()
    assert read_crashes(tmp_path / "absent") == ()
