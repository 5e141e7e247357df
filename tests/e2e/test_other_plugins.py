"""Other plugins in one session with checks: these pass, or one sentence says what is in the way."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET
from collections import Counter
from importlib.metadata import PackageNotFoundError, distribution

import pytest

from support import ROOT
from support.projects import FILES, LOGGING, MakeProject

ENDING = """
import signal
import pytest

def over(*_):
    pytest.fail("its time is over")

@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    signal.signal(signal.SIGALRM, over)
    signal.alarm(1)
    try:
        return (yield)
    finally:
        signal.alarm(0)
"""
"""A conftest that ends each test after a second, as pytest-timeout does."""

OPTIONS = """
def pytest_addoption(parser):
    parser.addoption("--forked", action="store_true")
    parser.addoption("--benchmark-only", action="store_true")
    parser.addoption("--testmon", action="store_true")
"""
"""A conftest with options of other plugins."""

FLUENT = 'launch = "fluent"\n'


@pytest.mark.launch
def test_a_check_that_another_plugin_ends(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project(files={**FILES, "train.py": "import time; time.sleep(1000)", "mlflow-check.toml": FLUENT})
    pytester.makeconftest(ENDING)
    result = pytester.runpytest_subprocess("--mlflow-project=proj", "-rs", "-n", "0")
    result.assert_outcomes(failed=1, skipped=4)
    result.stdout.fnmatch_lines(
        [
            "conftest.py ended a check after 1 s, before the launches were done: its time is over",
            "  a launch may take 600 s (--mlflow-timeout): give checks more time than that, *",
            "SKIPPED * conftest.py ended a check after 1 s, before the launches were done (see launches)",
        ]
    )
    assert "INTERNAL" not in result.stdout.str()


@pytest.mark.parametrize("option", ["--forked", "--benchmark-only", "--testmon"])
def test_options_under_which_no_check_is_made(
    pytester: pytest.Pytester, make_project: MakeProject, option: str
) -> None:
    make_project(files={**FILES, "train.py": "raise SystemExit('launched')"})
    pytester.makeconftest(OPTIONS)
    result = pytester.runpytest("--mlflow-project=proj", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {option}: *leave *out*"])
    assert not list(pytester.path.rglob("attempt-*"))
    # Other tests go on.
    pytester.makepyfile("def test_other(): pass")
    pytester.makeini("[pytest]\nmlflow_project = proj\n")
    pytester.runpytest(option, "-m", "not mlflow_check").assert_outcomes(passed=1, deselected=5)


PLUGINS: dict[str, tuple[str, ...]] = {
    "pytest-asyncio": ("--asyncio-mode=auto",),
    "pytest-benchmark": ("--benchmark-disable",),
    "pytest-cov": ("--cov=proj", "--cov-report=html"),
    "pytest-forked": (),
    "pytest-html": ("--html=report.html", "--self-contained-html"),
    "pytest-randomly": ("-p", "randomly"),
    "pytest-rerunfailures": ("--reruns=1",),
    "pytest-split": ("--splits=1", "--group=1"),
    "pytest-sugar": ("--force-sugar",),
    "pytest-testmon": (),
    "pytest-timeout": ("--timeout=300",),
}
"""By distribution: the options that put a plugin to use; all of them under which checks can be made."""

REFUSED = {
    "pytest-benchmark": "--benchmark-only",
    "pytest-forked": "--forked",
    "pytest-testmon": "--testmon",
}
"""By distribution: the option under which none is."""


def loading(*distributions: str) -> list[str]:
    """The arguments that load plugins, and none but these; skips a test where one isn't installed."""
    names = ["pytest-mlflow-check", "pytest-xdist", *distributions]
    if "pytest-html" in distributions:
        names.append("pytest-metadata")
    found = []
    for name in names:
        try:
            points = distribution(name).entry_points
        except PackageNotFoundError:
            pytest.skip(f"{name} isn't installed")
        found += [point.name for point in points if point.group == "pytest11"]
    return [argument for name in found for argument in ("-p", name)]


def checks(pytester: pytest.Pytester, *arguments: str) -> Counter[str]:
    """How many checks of a session ended how; pytest-sugar prints that in its own way."""
    result = pytester.runpytest_subprocess("--mlflow-project=proj", "--junitxml=junit.xml", *arguments)
    assert result.ret == 0
    items = ET.parse(pytester.path / "junit.xml").iter("testcase")
    return Counter(
        next((ending.tag for ending in item if ending.tag != "properties"), "passed") for item in items
    )


@pytest.fixture
def reference(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Sessions that load no plugin by themselves, and the reference project for them."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    shutil.copytree(ROOT / "example_project", pytester.path / "proj")
    return pytester


@pytest.fixture
def cheap(reference: pytest.Pytester) -> pytest.Pytester:
    """The same with a project that costs little, and passes."""
    script = LOGGING.replace("0.25 0", "0.25 1")
    (reference.path / "proj" / "iterate.py").write_text(script)
    (reference.path / "proj" / "mlflow-check.toml").write_text(FLUENT)
    return reference


@pytest.mark.heavy
@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_beside_checks(cheap: pytest.Pytester, name: str) -> None:
    assert checks(cheap, "-Pindex=2", *loading(name), *PLUGINS[name]) == {"passed": 3, "skipped": 2}


@pytest.mark.heavy
@pytest.mark.parametrize("workers", ["0", "2"])
def test_all_plugins_beside_checks(reference: pytest.Pytester, workers: str) -> None:
    options = [option for options in PLUGINS.values() for option in options]
    assert checks(reference, "-n", workers, *loading(*PLUGINS), *options) == {"passed": 5}


@pytest.mark.heavy
@pytest.mark.parametrize("name", REFUSED)
def test_a_plugin_that_is_refused(reference: pytest.Pytester, name: str) -> None:
    result = reference.runpytest_subprocess("--mlflow-project=proj", *loading(name), REFUSED[name])
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {REFUSED[name]}: *"])
    assert "INTERNAL" not in result.stdout.str() + result.stderr.str()
    assert not list(reference.path.rglob("attempt-*"))


@pytest.mark.heavy
@pytest.mark.parametrize("reruns", ["0", "1"])
def test_time_is_over(reference: pytest.Pytester, reruns: str) -> None:
    (reference.path / "proj" / "iterate.py").write_text("import time; time.sleep(1000)")
    result = reference.runpytest_subprocess(
        *("--mlflow-project=proj", "--timeout=1", f"--reruns={reruns}"),
        *loading("pytest-timeout", "pytest-rerunfailures"),
    )
    result.assert_outcomes(failed=1, skipped=4)
    result.stdout.fnmatch_lines(["pytest-timeout ended a check after 1 s, before the launches were done: *"])
    assert "INTERNAL" not in result.stdout.str()
