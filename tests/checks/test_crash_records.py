"""Which exception a launch failed with, by what its processes noted."""

from __future__ import annotations

import pytest

from pytest_mlflow_check.checks.crash_records import (
    crash_line,
    crash_output,
    crash_record,
    in_words,
    started_script,
)
from pytest_mlflow_check.checks.runner import Policy
from pytest_mlflow_check.core.records import Observation, ProcessCrash, PythonProcess, RaisedException
from support.builders import HOME, compare, judge, launch

INNER = "mlflow.exceptions.ExecutionException"


def raised(kind: str, message: str = "", *lines: tuple[str, int], is_cause: bool = False) -> RaisedException:
    frames = tuple((str(HOME / file), number) for file, number in lines)
    return RaisedException(kind, message, (*frames, ("/lib/torch/nn.py", 9)), is_cause)


def crash(*chain: RaisedException, process: int = 7, parent: int = 1, exit_code: int = 1) -> ProcessCrash:
    text = f"Traceback (most recent call last):\n{chain[-1].kind}: {chain[-1].message}\n"
    return ProcessCrash(process, parent, exit_code, (f"/x/step{process}.py",), chain, text)


ORDINARY = crash(raised("ValueError", "x", ("train.py", 4), ("net.py", 5)))


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        ([raised("ValueError", "first line\nsecond")], "ValueError: first line"),
        ([raised("torch.cuda.OutOfMemoryError")], "OutOfMemoryError"),
        (
            [raised("KeyError", "'lr'", is_cause=True), raised("RuntimeError", "no configuration")],
            "KeyError: 'lr' (then RuntimeError: no configuration)",
        ),
        (
            [raised("KeyError", "'lr'"), raised("ValueError", "bad default")],
            "ValueError: bad default (while handling KeyError: 'lr')",
        ),
        ([raised("KeyError", "'a'", is_cause=True), raised("KeyError", "'a'")], "KeyError: 'a'"),
        (
            [raised("OSError", "disk", is_cause=True), raised("app.Failed", "training: disk")],
            "Failed: training: disk",
        ),
        ([raised("ValueError", "x"), raised("click.exceptions.Exit", "1")], "ValueError: x"),
        (
            [raised("multiprocessing.pool.RemoteTraceback", "…", is_cause=True), raised("ValueError", "x")],
            "ValueError: x",
        ),
    ],
)
def test_a_chain_in_one_line(chain: list[RaisedException], said: str) -> None:
    assert in_words(crash(*chain)) == said


FAILED = crash(raised("subprocess.CalledProcessError", "no"), process=1, parent=0)
OTHER = crash(raised("OSError", "handled"), process=5, parent=4)
CHILD = crash(raised("ValueError", "x"), process=6)
LATER = crash(raised("RuntimeError", "peer is gone"), process=8)


@pytest.mark.parametrize(
    ("crashes", "told"),
    [
        ([], None),
        ([ORDINARY], ORDINARY),
        # The last one ends the launch, whatever happened before.
        ([OTHER, ORDINARY], ORDINARY),
        # It ended since a child of its had: the first of these.
        ([OTHER, CHILD, LATER, FAILED], CHILD),
        ([FAILED], None),
        # An inner project's `mlflow run` says the same.
        ([CHILD, crash(raised(INNER, f"Run (ID '{'a' * 32}') failed"))], CHILD),
        ([crash(raised(INNER, "Could not find Conda executable"), process=3)], "ExecutionException"),
        ([crash(raised(INNER, "Got value x", ("/lib/mlflow/cli/__init__.py", 3)), process=3)], None),
        # Who parses options prints what is wrong.
        ([crash(raised("argparse.ArgumentError", "argument -x"), exit_code=2)], None),
        ([crash(raised("click.exceptions.Exit", "1"))], None),
    ],
)
def test_which_of_several_counts(crashes: list[ProcessCrash], told: ProcessCrash | str | None) -> None:
    found = crash_record(launch("mlflow-run", exit_code=1, crashes=tuple(crashes)))
    assert found == told or (found and found.chain[-1].kind.endswith(f".{told}"))


@pytest.mark.parametrize(
    ("exit_code", "counts"), [(1, True), (5, False), (0, False), (-9, False), (None, False)]
)
def test_the_exit_code_has_to_be_its_own(exit_code: int | None, counts: bool) -> None:
    made = launch("fluent", exit_code=exit_code, crashes=(ORDINARY,), stderr="its words")
    assert (crash_record(made) is not None) is counts
    assert crash_output(made) == (ORDINARY.traceback if counts else "its words")


def test_under_mlflow_run_the_exit_code_is_that_of_the_command() -> None:
    """A step that raised and was done without isn't why its parent ended with another exit code."""
    ended = Observation("command_ended", value="3")
    made = launch("mlflow-run", exit_code=1, crashes=(ORDINARY,), observations=(ended,))
    assert crash_record(made) is None


def test_the_line_is_that_of_the_first_exception() -> None:
    first = raised("KeyError", "'lr'", ("train.py", 4), ("config.py", 5), is_cause=True)
    chain = crash(first, raised("RuntimeError", "x", ("train.py", 9)))
    assert crash_line(launch("fluent", exit_code=1, crashes=(chain,))) == "config.py:5"
    in_a_library = crash(raised("KeyError", "'lr'"), raised("RuntimeError", "x", ("train.py", 9)))
    assert crash_line(launch("fluent", exit_code=1, crashes=(in_a_library,))) == "train.py:9"


def test_what_is_said_of_a_step_that_failed() -> None:
    processes = (
        PythonProcess(("python", "train.py"), number=1),
        PythonProcess(("python", "step6.py"), number=6),
    )
    made = launch(
        "fluent", exit_code=1, crashes=(CHILD, FAILED), processes=processes, stderr="│ a box of rich │"
    )
    assert started_script(made) == "step6.py"
    (finding,) = judge("launches", compare(made), Policy()).findings
    assert finding.cause == "ValueError: x"
    assert finding.why == "`python train.py` started step6.py, which ended with ValueError."


def test_a_module_that_the_command_starts_is_no_step() -> None:
    """`python -m pkg.train` runs `train.py`, whose name the command doesn't have."""
    processes = (PythonProcess(("python", "-m", "pkg.train"), number=7),)
    made = launch(
        "fluent", exit_code=1, command="python -m pkg.train", crashes=(ORDINARY,), processes=processes
    )
    assert started_script(made) == ""
    (finding,) = judge("launches", compare(made), Policy()).findings
    assert finding.why == "`python -m pkg.train` ended with ValueError in net.py:5."


def test_the_line_of_a_worker_is_in_the_text_that_it_sent() -> None:
    frame = f'  File "{HOME}/work.py", line 3, in work'
    sent = f'\n"""\nTraceback (most recent call last):\n{frame}\nValueError: x\n"""'
    chain = crash(
        raised("multiprocessing.pool.RemoteTraceback", sent, is_cause=True),
        raised("ValueError", "x", ("train.py", 9)),
    )
    assert crash_line(launch("fluent", exit_code=1, crashes=(chain,))) == "work.py:3"


def test_a_long_message_is_shown_from_its_beginning() -> None:
    message = "\n".join(f"line {number}" for number in range(100))
    end = "\n".join(f"line {number}" for number in range(70, 100))
    made = launch("fluent", exit_code=1, crashes=(crash(raised("ValueError", message)),), stderr=end)
    (finding,) = judge("launches", compare(made), Policy()).findings
    assert finding.detail.splitlines()[1:4] == ["the exception:", "  ValueError: line 0", "  line 1"]
    assert finding.detail.splitlines()[12] == "  …"
    short = launch("fluent", exit_code=1, crashes=(ORDINARY,), stderr="ValueError: x")
    (finding,) = judge("launches", compare(short), Policy()).findings
    assert "the exception:" not in finding.detail
