"""The fixture `mlflow_store` where tests run in any order, in processes, forks and threads: nothing leaks."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

CONFTEST = """
import os
import pytest

BEFORE = {name: value for name, value in os.environ.items() if "MLFLOW" in name}

@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    result = yield
    import mlflow

    now = {name: value for name, value in os.environ.items() if "MLFLOW" in name}
    leaks = [
        *([now] if now != BEFORE else []),
        *([mlflow.active_run()] if mlflow.active_run() else []),
        *([mlflow.get_tracking_uri()] if "mlflow_store" in mlflow.get_tracking_uri() else []),
    ]
    if leaks:
        pytest.exit(f"leaked by {item.name}: {leaks}", returncode=9)
    return result
"""

KINDS = {
    "logs": """
        with mlflow.start_run():
            mlflow.log_param("mine", {n})
        assert mlflow_store.run.params == {{"mine": "{n}"}}
""",
    "fails": """
        with mlflow.start_run():
            mlflow.log_metric("m", {n}, step=1)
        raise RuntimeError("on purpose")
""",
    "leaves_open": """
        mlflow.start_run()
        mlflow.log_param("mine", {n})
""",
    "threads": """
        def log(number):
            with mlflow.start_run():
                mlflow.log_param("mine", number)
        threads = [threading.Thread(target=log, args=(number,)) for number in range(3)]
        [one.start() for one in threads]
        [one.join() for one in threads]
        assert sorted(run.params["mine"] for run in mlflow_store.runs) == ["0", "1", "2"]
""",
    "forks": """
        child = os.fork()
        if not child:
            with mlflow.start_run():
                mlflow.log_param("mine", {n})
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert mlflow_store.run.params == {{"mine": "{n}"}}
        assert mlflow.active_run() is None
""",
    "forks_and_leaves_open": """
        child = os.fork()
        if not child:
            mlflow.start_run()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert mlflow_store.run.status == "RUNNING"
""",
    "forks_within_a_run": """
        with mlflow.start_run() as run:
            child = os.fork()
            if not child:
                # Which run is active is known to each process by itself.
                mlflow.MlflowClient().log_metric(run.info.run_id, "of the child", {n}, step=1)
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert (mlflow_store.run.status, [*mlflow_store.run.metrics]) == ("FINISHED", ["of the child"])
""",
    "changes": """
        mlflow.set_experiment("mine")
        os.environ["MLFLOW_RUN_ID"] = "0" * 32
        del os.environ["MLFLOW_RUN_ID"]
        os.environ["MLFLOW_EXPERIMENT_NAME"] = "left behind"
        with mlflow.start_run():
            pass
        assert mlflow_store.run.experiment == "mine"
""",
    "nested_use": """
        with mlflow.start_run():
            mlflow.log_param("outer", {n})
            from pathlib import Path
            from pytest_mlflow_check.plugin.isolation import isolated_mlflow
            from pytest_mlflow_check.core.store import Store
            with isolated_mlflow(Store("file", Path(mlflow_store.path).parent / "inner")):
                with mlflow.start_run():
                    mlflow.log_param("inner", {n})
            mlflow.log_param("again", {n})
        assert mlflow_store.run.params == {{"outer": "{n}", "again": "{n}"}}
""",
    "nothing": "",
}
FAILING, ERRING = {"fails"}, {"leaves_open"}


def generated(names: list[str]) -> str:
    """Tests of these kinds, each of which looks first whether it has an empty store of its own."""
    tests = [
        f"    def test_{n}_{name}(mlflow_store):\n        own(mlflow_store)\n{KINDS[name].format(n=n)}"
        for n, name in enumerate(names)
    ]
    head = """
    import multiprocessing, os, threading
    import mlflow

    def own(store):
        assert mlflow.get_tracking_uri() == mlflow.get_registry_uri() == store.uri
        assert store.runs == ()
        assert mlflow.active_run() is None
        assert [one.name for one in mlflow.search_experiments()] == ["Default"]
        assert "MLFLOW_EXPERIMENT_NAME" not in os.environ
        with open(os.environ["SEEN"], "a") as seen:
            seen.write(store.uri + chr(10))
"""
    return textwrap.dedent(head) + "\n" + textwrap.dedent("\n".join(tests))


def outcome(pytester: pytest.Pytester, *options: str) -> tuple[dict[str, int], str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=pytester.path,
        capture_output=True,
        text=True,
        check=False,
    )
    counts = pytest.RunResult.parse_summary_nouns(done.stdout.splitlines())
    return counts, done.stdout + done.stderr


@pytest.fixture
def seen(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which each test writes down its store."""
    pytester.makeconftest(CONFTEST)
    monkeypatch.setenv("SEEN", str(pytester.path / "seen"))
    return pytester.path / "seen"


@pytest.mark.parametrize(
    ("times", "options"),
    [(1, []), pytest.param(4, ["-n", "4"], marks=pytest.mark.heavy)],
    ids=["in one process", "in four"],
)
def test_tests_of_all_kinds_in_any_order(
    pytester: pytest.Pytester, seen: Path, times: int, options: list[str]
) -> None:
    names = [*KINDS] * times
    random.Random(6).shuffle(names)
    pytester.makepyfile(generated(names))
    counts, output = outcome(pytester, *options)
    failing, erring = (sum(name in kinds for name in names) for kinds in (FAILING, ERRING))
    expected = {"passed": len(names) - failing, "failed": failing, "errors": erring}
    assert {key: counts.get(key) for key in expected} == expected, output
    stores = seen.read_text().split()
    assert len(stores) == len({*stores}) == len(names)


@pytest.mark.heavy
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_of_multiprocessing(pytester: pytest.Pytester, seen: Path, method: str) -> None:
    """They log to the test's store: what leads there stands in the environment."""
    pytester.makepyfile(
        f"""
        import multiprocessing
        import mlflow

        def log(number):
            with mlflow.start_run():
                mlflow.log_param("mine", number)

        def test_children(mlflow_store):
            # MLflow makes the first experiment of a file store: two at once die of it (write_yaml, 2.22.5).
            mlflow.search_experiments()
            context = multiprocessing.get_context({method!r})
            children = [context.Process(target=log, args=(number,)) for number in range(2)]
            [one.start() for one in children]
            [one.join() for one in children]
            assert [one.exitcode for one in children] == [0, 0]
            assert sorted(run.params["mine"] for run in mlflow_store.runs) == ["0", "1"]

        def test_next(mlflow_store):
            assert mlflow_store.runs == ()
        """
    )
    counts, output = outcome(pytester)
    # MLflow 2.22 warns of what pydantic has renamed.
    counts.pop("warnings", None)
    assert counts == {"passed": 2}, output
