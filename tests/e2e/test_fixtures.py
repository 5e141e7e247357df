"""The fixtures, as people use them: from test files of their own, against real projects."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.documents import ROOT, blocks

SCRIPT = """
import os, sys
from pathlib import Path

with open(os.environ["COUNTER"], "a") as counter:
    counter.write("started\\n")
print("to standard output", sys.argv[1:])
print("to standard error", file=sys.stderr)
raise SystemExit(int(os.environ.get("CODE", "0")))
"""


@pytest.fixture
def silent(pytester: pytest.Pytester) -> Path:
    """A project that logs nothing and counts its launches in a file outside the copies."""
    project = pytester.mkdir("silent")
    counter = pytester.path / "counter"
    project.joinpath("count.py").write_text(SCRIPT)
    project.joinpath("MLproject").write_text(
        "entry_points:\n  main:\n    parameters:\n      word: {default: hi}\n"
        '    command: "python count.py {word}"\n'
    )
    project.joinpath("mlflow-check.toml").write_text(
        f'[[case]]\nenv = {{ COUNTER = "{counter}" }}\n'
        f'[[case]]\nid = "three"\nenv = {{ COUNTER = "{counter}", CODE = "3" }}\n'
    )
    return project


@pytest.mark.launch
def test_the_examples_of_the_documents(pytester: pytest.Pytester) -> None:
    documents = (ROOT / "README.md", ROOT / "docs" / "how-to" / "own-tests.md")
    examples = [
        next(block.text for block in blocks(document) if "def test" in block.text) for document in documents
    ]
    shutil.copytree(ROOT / "example_project", pytester.path / "example_project")
    pytester.makepyfile(**{f"test_{number}": example for number, example in enumerate(examples)})
    result = pytester.runpytest_subprocess("-n", "2")
    result.assert_outcomes(passed=4)


def test_a_launch_tells_how_it_ended(pytester: pytest.Pytester, silent: Path) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_mlflow_check import UserError

        def test_it(mlflow_launch):
            launch = mlflow_launch("silent", params={"word": "a b"}, case="three")
            assert launch.mode == "fluent"
            assert launch.command == "python count.py 'a b'"
            assert launch.exit_code == 3
            assert launch.stdout == "to standard output ['a b']\\n"
            assert launch.stderr == "to standard error\\n"
            assert launch.stdout_path.read_text() == launch.stdout
            assert launch.runs == ()
            with pytest.raises(UserError, match="logged 0 top-level runs, not one; look at .runs"):
                launch.run

        def test_two_calls_are_two_launches(mlflow_launch):
            one, other = mlflow_launch("silent", case="main"), mlflow_launch("silent", case="main")
            assert one.directory != other.directory
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=2)
    assert (pytester.path / "counter").read_text() == "started\n" * 3


def test_projects_are_named_from_the_rootdir(pytester: pytest.Pytester, silent: Path) -> None:
    pytester.makeini("[pytest]")
    elsewhere = pytester.mkdir("elsewhere")
    elsewhere.joinpath("test_it.py").write_text(
        "def test_it(mlflow_launch):\n    assert mlflow_launch('silent', case='main').exit_code == 0\n"
    )
    pytester.chdir()
    result = pytester.runpytest_subprocess("--rootdir", str(pytester.path), str(elsewhere))
    result.assert_outcomes(passed=1)


def test_a_case_has_to_be_named_where_there_are_two(pytester: pytest.Pytester, silent: Path) -> None:
    pytester.makepyfile("def test_it(mlflow_launch):\n    mlflow_launch('silent')\n")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ['E *UserError: silent: name one case, as in  case="…"  (there are: main, three)']
    )


@pytest.mark.launch
def test_launches_are_shared_between_tests_and_items(pytester: pytest.Pytester, silent: Path) -> None:
    silent.joinpath("mlflow-check.toml").write_text(
        f'[[case]]\nenv = {{ COUNTER = "{pytester.path / "counter"}" }}\n'
    )
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_it(mlflow_launches, number):
            launches = mlflow_launches("silent")
            assert launches.fluent.exit_code == launches.mlflow_run.exit_code == 0
            assert launches.fluent.runs == ()
            assert launches.mlflow_run.run.params == {"word": "hi"}
        """
    )
    result = pytester.runpytest_subprocess("-n", "2", "--mlflow-project=silent", ".")
    result.assert_outcomes(passed=4, failed=1, skipped=4)
    # Once by each launch mode.
    assert (pytester.path / "counter").read_text() == "started\n" * 2


def test_each_test_has_a_store_of_its_own(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9/nobody")
    pytester.makepyfile(
        """
        import os
        import mlflow

        def test_one(mlflow_store):
            assert mlflow.get_tracking_uri() == mlflow_store.uri == os.environ["MLFLOW_TRACKING_URI"]
            assert mlflow_store.runs == ()
            with mlflow.start_run(run_name="outer"):
                mlflow.log_param("alpha", 1)
                with mlflow.start_run(nested=True):
                    mlflow.log_metric("loss", 0.5, step=3)
            assert mlflow_store.run.params == {"alpha": "1"}
            assert [run.parent_id for run in mlflow_store.runs] == [None, mlflow_store.run.run_id]

        def test_other(mlflow_store):
            assert mlflow_store.runs == ()

        def test_none():
            assert mlflow.get_tracking_uri() == "http://127.0.0.1:9/nobody"
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=3)


def test_a_run_left_open_fails_the_test_and_not_the_next(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import mlflow

        def test_open(mlflow_store):
            mlflow.start_run(run_name="forgotten")

        def test_next(mlflow_store):
            assert mlflow.active_run() is None
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_open*",
            "a run was left open:",
            "    'forgotten' (id *), ended as KILLED now",
            "Start a run with `with mlflow.start_run():`, or end it with `mlflow.end_run()`.*",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_mistyped_mode(pytester: pytest.Pytester, silent: Path) -> None:
    pytester.makepyfile("def test_it(mlflow_launch): mlflow_launch('silent', mode='flunt')")
    result = pytester.runpytest("-p", "no:xdist")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(['*there is no mode \'flunt\': write  mode="fluent"  or  "mlflow-run"'])
