"""The observer without MLflow: finding lines, writing them down, judging URIs, and staying out of the way."""

from __future__ import annotations

import ast
import importlib
import json
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pytest_mlflow_check.core.records import Observation
from pytest_mlflow_check.runtime.observer import inject, pth
from pytest_mlflow_check.runtime.observer.inject import VARIABLE, add_to_environment, observed
from pytest_mlflow_check.runtime.observer.read_calls import read_observations
from pytest_mlflow_check.runtime.observer.read_processes import read_processes
from support.observing import start

PATH = Path(inject.__file__).with_name("payload")


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of the part that runs in the user's process."""
    monkeypatch.syspath_prepend(str(PATH))
    # A recorder looks after the ways to end a process.
    for name in ("_exit", "execv", "execve"):
        monkeypatch.setattr(os, name, getattr(os, name))
    return lambda name: importlib.import_module(f"_mlflow_check_observer.{name}")


@pytest.fixture
def recorder(inside: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A recorder for a project that lies in a workspace."""
    (tmp_path / "ws" / "proj").mkdir(parents=True)
    (tmp_path / "ws" / "lib").mkdir()
    root = tmp_path / "ws"
    project = str(root / "proj")
    return inside("recorder").Recorder(str(tmp_path / "calls.jsonl"), project, str(root), project)


def calls(tmp_path: Path) -> tuple[Observation, ...]:
    return read_observations(tmp_path / "calls.jsonl")


def frame_in(file: str, **names: Any) -> Any:
    """The frame of line 3 of a file that doesn't need to exist, called by that of `within`."""
    code = compile("\n\nfound = call()\n", file, "exec")
    names.setdefault("call", lambda: sys._getframe(1))
    exec(code, names)
    return names["found"]


def test_environment_has_path_first_and_one_variable(tmp_path: Path) -> None:
    env = observed(
        {"PYTHONPATH": "/user", "A": "b", "MLFLOW_TRACKING_URI": "file:///own", "MLFLOW_RUN_ID": "1"},
        place=tmp_path,
        file=tmp_path / "f",
        directory=tmp_path / "d",
        root=tmp_path,
        uri="file:///own",
        block=True,
        observe=False,
    )
    settings = tmp_path / "observer.settings"
    assert env == {
        "PYTHONPATH": f"{PATH}{os.pathsep}/user",
        VARIABLE: str(settings),
        "A": "b",
        "MLFLOW_TRACKING_URI": "file:///own",
        "MLFLOW_RUN_ID": "1",
    }
    payload, restored, text = settings.read_text().split("\n")
    assert payload == str(PATH)
    assert restored.split("\0") == ["MLFLOW_TRACKING_URI=file:///own", f"{VARIABLE}={settings}"]
    assert json.loads(text) == {
        "file": str(tmp_path / "f"),
        "directory": str(tmp_path / "d"),
        "root": str(tmp_path),
        "uri": "file:///own",
        "block": True,
        "observe": False,
    }
    assert settings.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("base", [{}, {"PYTHONPATH": ""}])
def test_no_empty_entry_on_python_path(base: dict[str, str], tmp_path: Path) -> None:
    env = observed(
        base, place=tmp_path, file=tmp_path, directory=tmp_path, root=tmp_path, uri="u", block=False
    )
    assert env["PYTHONPATH"] == f"{PATH}/."


@pytest.mark.parametrize("given", ["src:$PYTHONPATH", "$PYTHONPATH:src"])
@pytest.mark.parametrize("user", ["", "/user"])
def test_a_pythonpath_that_is_added_to_works_as_without_us(given: str, user: str, tmp_path: Path) -> None:
    """What is added to nothing leaves an empty entry, which is the current directory."""
    code = "import sys; print(sys.path)"
    base = {"PATH": os.environ["PATH"], **({"PYTHONPATH": user} if user else {})}
    env = observed(
        base, place=tmp_path, file=tmp_path / "f", directory=tmp_path, root=tmp_path, uri="u", block=False
    )
    command = ["bash", "-c", f"PYTHONPATH={given} {sys.executable} -c '{code}'"]
    with_us, without = (
        subprocess.run(command, cwd=tmp_path, env=each, capture_output=True, text=True, check=True).stdout
        for each in (env, base)
    )
    assert with_us == without


def test_inside_is_standard_library_only() -> None:
    known = {*sys.stdlib_module_names, "_mlflow_check_observer", "sitecustomize"}
    files = list(PATH.rglob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name.partition(".")[0] for alias in node.names} <= known, file
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert (node.module or "").partition(".")[0] in known, file


# Finding lines.


def test_place_is_relative_to_project(recorder: Any, tmp_path: Path) -> None:
    for file, source_line in [("proj/train.py", "train.py:3"), ("lib/net.py", "../lib/net.py:3")]:
        site = recorder.where(frame_in(str(tmp_path / "ws" / file)))
        assert (site.source_line, site.by) == (source_line, "code")


def test_relative_names_start_where_python_did(recorder: Any) -> None:
    assert recorder.where(frame_in("train.py")).source_line == "train.py:3"


def test_linked_workspace(inside: Callable[[str], ModuleType], tmp_path: Path) -> None:
    (tmp_path / "ws").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "ws")
    root = str(tmp_path / "link")
    recorder = inside("recorder").Recorder(str(tmp_path / "f"), root, root, root)
    for name in ("ws", "link"):
        assert recorder.where(frame_in(str(tmp_path / name / "a.py"))).source_line == "a.py:3"


def test_two_lines_of_one_file_and_two_files_with_one_code(recorder: Any, tmp_path: Path) -> None:
    file = str(tmp_path / "ws" / "proj" / "a.py")
    places = []
    code = compile("note()\nnote()\nfor _ in range(2):\n    note()\n", file, "exec")
    exec(code, {"note": lambda: places.append(recorder.where(sys._getframe(1)).source_line)})
    assert places == ["a.py:1", "a.py:2", "a.py:4", "a.py:4"]


def test_libraries_are_passed_over(recorder: Any, tmp_path: Path) -> None:
    own = str(tmp_path / "ws" / "proj" / "train.py")
    for library in (
        str(tmp_path / "ws" / "venv" / "lib" / "site-packages" / "x.py"),
        "<frozen importlib._bootstrap>",
        os.__file__,
        "/usr/local/bin/mlflow",
    ):
        frame = frame_in(own, call=lambda library=library: frame_in(library))
        assert recorder.where(frame).source_line == "train.py:3"


def test_the_function_of_a_library_that_the_line_called(recorder: Any, tmp_path: Path) -> None:
    own = str(tmp_path / "ws" / "proj" / "train.py")
    outer, inner = (
        str(tmp_path / "site-packages" / name / "trainer.py") for name in ("transformers", "accelerate")
    )
    frame = frame_in(
        own,
        call=lambda: frame_in(
            outer,
            __name__="transformers.trainer",
            call=lambda: frame_in(inner, __name__="accelerate.trainer"),
        ),
    )
    site = recorder.where(frame)
    recorder.note("log_param", "a", 1, None, None, site, ("nested",))
    recorder.note("log_param", "b", 1, None, None, recorder.where(frame_in(own)))
    first, second = calls(tmp_path)
    assert (first.via, first.library, first.options) == (
        "transformers.trainer.<module>",
        "transformers",
        ("nested",),
    )
    assert (second.via, second.library, second.options) == ("", "", ())


def test_what_decorators_put_around_a_function_isnt_what_was_called(recorder: Any, tmp_path: Path) -> None:
    code = "def wrapped_fn():\n    return log()\n\ndef log():\n    return call()\n"
    library: dict[str, Any] = {"__name__": "lightning.logger", "call": lambda: sys._getframe(1)}
    exec(compile(code, str(tmp_path / "site-packages" / "lightning" / "logger.py"), "exec"), library)
    own = str(tmp_path / "ws" / "proj" / "train.py")

    site = recorder.where(frame_in(own, call=library["wrapped_fn"]))
    recorder.note("log_param", "a", 1, None, None, site)
    library["call"] = lambda: recorder.note("log_param", "a", 1, None, None, recorder.where(sys._getframe(1)))
    # In a thread of the library, no line of the user's is on the stack.
    thread = threading.Thread(target=library["wrapped_fn"])
    thread.start()
    thread.join()
    assert [(call.via, call.source_line) for call in calls(tmp_path)] == [
        ("lightning.logger.log", "train.py:3"),
        ("lightning.logger.log", None),
    ]


def test_workspace_goes_before_code_elsewhere(recorder: Any, tmp_path: Path) -> None:
    elsewhere = tmp_path / "other.py"
    elsewhere.touch()
    assert recorder.where(frame_in(str(elsewhere))).source_line == f"{elsewhere}:3"
    own = str(tmp_path / "ws" / "proj" / "train.py")
    assert recorder.where(frame_in(own, call=lambda: frame_in(str(elsewhere)))).source_line == "train.py:3"


def test_typed_in_code_has_no_place(recorder: Any) -> None:
    site = recorder.where(frame_in("<string>"))
    assert site.by == "code"


@pytest.mark.parametrize(
    ("path", "by"),
    [
        ("utils/autologging_utils/safety.py", "autologging"),
        ("projects/utils.py", "mlflow-run"),
        ("cli.py", "mlflow-run"),
        ("cli/__init__.py", "mlflow-run"),
        ("models/evaluation/base.py", "code"),
    ],
)
def test_who_made_the_call(recorder: Any, tmp_path: Path, path: str, by: str) -> None:
    recorder.mlflow_found("/x/mlflow")
    own = str(tmp_path / "ws" / "proj" / "train.py")
    site = recorder.where(frame_in(own, call=lambda: frame_in(f"/x/mlflow/{path}")))
    assert (site.source_line, site.by) == ("train.py:3", by)
    # The user's own callback within it is the user's call.
    site = recorder.where(frame_in(f"/x/mlflow/{path}", call=lambda: frame_in(own)))
    assert (site.source_line, site.by) == ("train.py:3", "code")


def test_nobody_of_the_users(recorder: Any) -> None:
    recorder.mlflow_found("/x/mlflow")
    found = []
    for file in ("/x/mlflow/system_metrics/monitor.py", os.__file__):
        thread = threading.Thread(target=lambda file=file: found.append(recorder.where(_bare(file))))
        thread.start()
        thread.join()
    assert [(site.source_line, site.by) for site in found] == [(None, "mlflow"), (None, "code")]


def _bare(file: str) -> Any:
    """A frame whose callers are this test's, which lies outside the workspace, taken away."""

    class Frame:
        f_code = compile("", file, "exec")
        f_lasti = 0
        f_lineno = 1
        f_back = None

    return Frame


# Writing them down.


def test_strange_content_survives(recorder: Any, tmp_path: Path) -> None:
    site = recorder.where(frame_in(str(tmp_path / "ws" / "proj" / 'Ä "q".py')))
    recorder.note("log_param", 'a"\n\\ü\ud800', "\x00\u2028'\"", "r", None, site)
    recorder.note("log_param", 5, None, None, None, site)
    recorder.note("log_metric", "k", float("nan"), "r", 2.0, site)
    recorder.note("log_metric", "k", True, "r", -1, site)
    one, two, three, four = calls(tmp_path)
    assert (one.key, one.value, one.length) == ('a"\n\\ü\ud800', "\x00\u2028'\"", 4)
    assert one.source_line == 'Ä "q".py:3'
    assert one.process == os.getpid()
    assert (two.key, two.value, two.length, two.run_id) == ("5", None, 0, None)
    assert (three.value, three.step, four.value, four.step) == ("nan", 2, "True", -1)


def test_long_values_keep_both_ends(recorder: Any, tmp_path: Path) -> None:
    recorder.note("log_param", "k", "a" * 4000 + "b" * 4000, None, None, recorder.where(None))
    (one,) = calls(tmp_path)
    assert one.value == "a" * 500 + "…" + "b" * 500
    assert one.length == 8000


def test_unwritable_file_is_no_trouble(inside: Callable[[str], ModuleType], tmp_path: Path) -> None:
    for file in (tmp_path / "missing" / "f", tmp_path):
        recorder = inside("recorder").Recorder(str(file), str(tmp_path), str(tmp_path), str(tmp_path))
        recorder.note("log_param", "k", "v", None, None, recorder.where(None))


def test_metrics_in_a_burst_wait_for_one_another_and_none_is_lost(
    recorder: Any, inside: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Years: a busy machine may take longer from one call to the next than a burst lasts.
    monkeypatch.setattr(inside("recorder"), "_PATIENCE", 10**18)
    site = recorder.where(None)

    def written() -> list[int | None]:
        return [call.step for call in calls(tmp_path)]

    recorder.metric("k", 0.5, "r", 0, site)
    assert written() == [0]
    for step in range(1, 4):
        recorder.metric("k", 0.5, "r", step, site)
    recorder.metric("k", 1, "r", None, site)
    assert written() == [0]
    # What isn't a metric goes out at once, with what waits.
    recorder.metric("other", 0.5, "r", 7, site)
    recorder.metric("k", 0.5, "r", 8, site)
    recorder.note("log_param", "p", "v", None, None, site)
    assert written() == [0, 1, 2, 3, None, 7, 8, None]
    recorder.metric("k", 0.5, "r", 9, site)
    child = os.fork()
    if child == 0:
        recorder.metric("k", 0.5, "r", 10, site)
        recorder.metric("k", 0.5, "r", 11, site)
        os._exit(0)
    os.waitpid(child, 0)
    assert written() == [0, 1, 2, 3, None, 7, 8, None, 9, 10, 11]
    for step in range(12, 200):
        recorder.metric("k", 0.5, "r", step, site)
    assert len(written()) > 150
    recorder.flush()
    assert written()[-1] == 199
    assert len(written()) == 199


def test_closed_descriptor_is_replaced(recorder: Any, tmp_path: Path) -> None:
    site = recorder.where(None)
    recorder.note("log_param", "one", None, None, None, site)
    os.close(recorder._descriptor)
    with (tmp_path / "users.txt").open("w") as users:
        recorder.note("log_param", "two", None, None, None, site)
        users.write("mine")
    assert (tmp_path / "users.txt").read_text() == "mine"
    assert [call.key for call in calls(tmp_path)] == ["one", "two"]


def test_a_process_that_logs_says_what_it_is(
    recorder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "3")
    recorder.note("set_tag", "a", 1, None, None, recorder.where(None))
    parent = os.getpid()

    def work() -> None:
        recorder.note("set_tag", "b", 1, None, None, recorder.where(None))

    worker = multiprocessing.get_context("fork").Process(target=work)
    worker.start()
    worker.join()
    monkeypatch.setitem(
        sys.modules, "torch.utils.data", SimpleNamespace(get_worker_info=lambda: "of a loader")
    )
    loader = multiprocessing.get_context("fork").Process(target=work)
    loader.start()
    loader.join()
    assert [
        (one.number, one.parent, one.rank, one.worker_of, one.loaded_mlflow)
        for one in read_processes(tmp_path)
    ] == [
        (parent, os.getppid(), 3, "", True),
        (worker.pid, parent, 3, "multiprocessing", True),
        (loader.pid, parent, 3, "torch.utils.data", True),
    ]


def test_forks_and_threads_write_whole_lines(recorder: Any, tmp_path: Path) -> None:
    site = recorder.where(None)

    def write(name: str) -> None:
        for number in range(200):
            recorder.note("log_param", f"{name}{number}", "x" * 900, None, None, site)

    recorder.note("log_param", "before", None, None, None, site)
    children = []
    for name in "ab":
        child = os.fork()
        if child == 0:
            write(name)
            os._exit(0)
        children.append(child)
    threads = [threading.Thread(target=write, args=(name,)) for name in "cd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for child in children:
        os.waitpid(child, 0)
    found = calls(tmp_path)
    assert {call.key for call in found} == {"before", *(f"{n}{i}" for n in "abcd" for i in range(200))}
    assert len(found) == 801
    assert len({call.process for call in found}) == 3


# Wrapping.


def test_wrapped_function_looks_and_acts_like_the_original(
    recorder: Any, inside: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    import inspect

    def log_metric(key: str, value: float, step: int | None = None) -> str:
        """Doc."""
        if value < 0:
            raise ValueError(key)
        return f"{key}{value}{step}"

    wrapped = inside("wrappers").metric_call(log_metric, recorder, lambda: None)
    assert inspect.signature(wrapped) == inspect.signature(log_metric)
    assert (wrapped.__name__, wrapped.__doc__) == ("log_metric", "Doc.")
    assert wrapped("a", 1) == "a1None"
    assert wrapped(key="a", value=1, step=2) == "a12"
    with pytest.raises(ValueError, match="b"):
        wrapped("b", -1)
    with pytest.raises(TypeError):
        wrapped()
    assert wrapped("c", 1) == "c1None"
    recorder.flush()
    assert [(call.what, call.key, call.step) for call in calls(tmp_path)] == [
        ("log_metric", "a", None),
        ("log_metric", "a", 2),
        ("log_metric", "b", None),
        ("raised", "log_metric", None),
        ("raised", "log_metric", None),
        ("log_metric", "c", None),
    ]


def test_values_that_cannot_be_shown_are_passed_on(
    recorder: Any, inside: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    got = []
    describe = inside("call_arguments")
    wrapped = inside("wrappers").logging_call(
        lambda key, value: got.append(value), recorder, describe.log_param, lambda: None
    )
    odd = Odd()
    wrapped("k", odd)
    assert got == [odd]
    assert calls(tmp_path) == ()


# Starting.


def test_starts_silently_and_leaves_no_trace_on_the_path(tmp_path: Path) -> None:
    code = f"import sys; print({str(PATH)!r} in sys.path, 'json' in sys.modules)"
    done = start(code, tmp_path)
    assert (done.stdout, done.stderr) == ("False False\n", "")


@pytest.mark.parametrize(("option", "observed"), [("-S", False), ("-E", True), ("-I", True)])
def test_options_of_python(tmp_path: Path, option: str, observed: bool) -> None:
    done = start("import sys; print('_mlflow_check_observer' in sys.modules)", tmp_path, option)
    assert (done.stdout, done.stderr) == (f"{observed}\n", "")


def test_broken_settings_are_no_trouble(tmp_path: Path) -> None:
    code = "import os; os.environ['MLFLOW_TRACKING_URI'] = 'http://x'; print('fine')"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PATH)}
    for settings in ({}, {VARIABLE: ""}, {VARIABLE: "{"}, {VARIABLE: "[]"}):
        done = subprocess.run(
            [sys.executable, "-c", code], env=env | settings, capture_output=True, text=True, cwd=tmp_path
        )
        assert done.stdout == "fine\n", settings
        assert done.stderr == ""


def test_hands_over_to_another_sitecustomize(tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "sitecustomize.py").write_text("MARK = 7\n")
    code = "import sys, sitecustomize; print(sitecustomize.MARK, '_mlflow_check_observer' in sys.modules)"
    done = start(code, tmp_path, env={"PYTHONPATH": str(tmp_path / "user")})
    assert (done.stdout, done.stderr) == ("7 True\n", "")


def test_another_sitecustomize_that_fails_is_reported_as_always(tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    for text in ("raise ValueError('theirs')", "import not_there"):
        (tmp_path / "user" / "sitecustomize.py").write_text(text)
        done = start("print('ran')", tmp_path, env={"PYTHONPATH": str(tmp_path / "user")})
        assert done.stdout == "ran\n"
        assert "Error in sitecustomize" in done.stderr
        assert ("theirs" if "theirs" in text else "not_there") in done.stderr


def test_children_are_observed_too(tmp_path: Path) -> None:
    child = "import sys; print('_mlflow_check_observer' in sys.modules)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert start(code, tmp_path).stdout == "True\n"


# Reading.


def test_missing_file_holds_nothing(tmp_path: Path) -> None:
    assert read_observations(tmp_path / "missing") == ()


def test_foreign_and_half_lines_are_passed_over(tmp_path: Path) -> None:
    lines = [
        b'{"what":"log_param","key":"b","time":2e0,"by":"autologging"}',
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"5",
        b'{"key":"no what"}',
        b'{"what":"x","by":"nobody"}',
        b'{"what":"x","key":5}',
        b'{"what":"x","step":[]}',
        b'{"what":5}',
        b'{"what":"log_param","key":"a","time":1700e-3,"step":0,"later":"field"}',
        b'{"what":"log_par',
    ]
    (tmp_path / "calls.jsonl").write_bytes(b"\n".join(lines))
    assert calls(tmp_path) == (
        Observation("log_param", "a", step=0, time=1.7),
        Observation("log_param", "b", by="autologging", time=2.0),
    )


def test_settings_are_gone_with_the_launch(tmp_path: Path) -> None:
    """Its variables may hold the password of a store."""
    start("pass", tmp_path, env={"MLFLOW_TRACKING_PASSWORD": "s3cret"})
    assert "s3cret" in (tmp_path / inject.SETTINGS).read_text()
    inject.forget_settings(tmp_path)
    inject.forget_settings(tmp_path)
    assert not (tmp_path / inject.SETTINGS).exists()


def test_the_pth_file_is_put_into_an_environment_and_stays_the_newest(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    file, content = packages / pth.NAME, pth.CONTENT
    add_to_environment(tmp_path)
    assert file.read_text() == content
    file.write_text("import sys  # of an earlier version\n")
    add_to_environment(tmp_path)
    assert file.read_text() == content


def test_the_pth_file_is_what_its_module_says() -> None:
    # Beside its module in a checkout; where it was installed from a wheel, beside the package.
    files = [file for place in (PATH.parent, PATH.parents[3]) if (file := place / pth.NAME).is_file()]
    assert [file.read_text(encoding="ascii") for file in files] == [pth.CONTENT]
    assert [line.partition(" ")[0] for line in pth.CONTENT.splitlines()] == ["#", "import"]
