"""Stores damaged for real: what can be read is read, the rest is named, and nothing hangs."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_mlflow_check.checks.runner import Policy
from pytest_mlflow_check.core.records import Damage, StoreRecord
from pytest_mlflow_check.core.store import Store, StoreKind
from pytest_mlflow_check.runtime.observer.read_calls import read_observations
from pytest_mlflow_check.stores.readers import read_store
from pytest_mlflow_check.stores.readers.sqlite_store import read_sqlite_store
from support.builders import case, compare, judge, launch, run, slugs
from support.projects import MakeProject

RAISING = Policy({}, ())


@dataclass(frozen=True)
class Stored:
    """A store with two runs that MLflow's client logged."""

    store: Store
    first: str
    second: str
    experiment: str

    @property
    def directory(self) -> Path:
        """That of the first run, in a file store."""
        return self.store.root / self.experiment / self.first

    def read(self) -> StoreRecord:
        return read_store(self.store)


@pytest.fixture(scope="module")
def templates(
    real_mlflow: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[StoreKind, Stored]]:
    """A store of each kind. Another place reads as well: artifacts aside, nothing names it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        patch.chdir(tmp_path_factory.mktemp("cwd"))
        yield {
            kind: fill(Store(kind, tmp_path_factory.mktemp(kind) / "store")) for kind in ("file", "sqlite")
        }


def fill(store: Store) -> Stored:
    from mlflow import MlflowClient

    if store.kind == "sqlite":
        store.root.mkdir()
    client = MlflowClient(store.uri, store.uri)
    experiment = client.create_experiment("damaged", (store.root.parent / "artifacts").as_uri())
    runs = [client.create_run(experiment).info.run_id for _ in range(2)]
    for run_id in runs:
        client.log_param(run_id, "alpha", "1")
        client.log_param(run_id, "beta", "2")
        client.set_tag(run_id, "team", "blue")
        for step in range(3):
            client.log_metric(run_id, "loss", 1.0 / (step + 1), step=step)
        client.log_metric(run_id, "score", 0.5)
    client.create_registered_model("registered", {"a": "b"})
    return Stored(store, *runs, experiment)


@pytest.fixture
def files(templates: dict[StoreKind, Stored], tmp_path: Path) -> Stored:
    return copied(templates["file"], tmp_path)


@pytest.fixture
def database(templates: dict[StoreKind, Stored], tmp_path: Path) -> Stored:
    return copied(templates["sqlite"], tmp_path)


def copied(template: Stored, tmp_path: Path) -> Stored:
    shutil.copytree(template.store.root, tmp_path / "store")
    return replace(template, store=Store(template.store.kind, tmp_path / "store"))


def test_a_whole_store_has_no_damage(templates: dict[StoreKind, Stored]) -> None:
    for stored in templates.values():
        assert stored.read().damages == ()
        assert len(stored.read().runs) == 2


METRICS: dict[str, tuple[Callable[[bytes], bytes], list[float], str | None]] = {
    "half a line": (lambda data: data[:-4], [1.0, 0.5], "1 of 3 lines can't be read"),
    "junk in between": (
        lambda data: b"\xff\x00\x1b junk\n" + data,
        [1.0, 0.5, 1 / 3],
        "1 of 4 lines can't be read",
    ),
    "NUL bytes": (lambda data: data + b"\0" * 4096, [1.0, 0.5, 1 / 3], "1 of 4 lines can't be read"),
    "a very long line": (
        lambda data: data + b"9" * (1 << 20) + b" 1 2\n" + b"5 0.25 9\n",
        [1.0, 0.5, 1 / 3, 0.25],
        "1 of 5 lines can't be read",
    ),
    "a timestamp out of range": (
        lambda data: data + b"1" * 30 + b" 1 2\n",
        [1.0, 0.5, 1 / 3],
        "1 of 4 lines can't be read",
    ),
    "a value out of range": (lambda data: b"1 1e400 0\n", [float("inf")], None),
    "nothing left": (lambda data: b"", [], "is empty"),
}


@pytest.mark.parametrize("damage", METRICS)
def test_a_metric_file(files: Stored, damage: str) -> None:
    change, values, why = METRICS[damage]
    file = files.directory / "metrics" / "loss"
    file.write_bytes(change(file.read_bytes()))
    record = files.read()
    (first,) = (one for one in record.runs if one.run_id == files.first)
    assert [*(first.metrics["loss"].values if "loss" in first.metrics else ())] == pytest.approx(values)
    assert first.params == {"alpha": "1", "beta": "2"}
    where = f"{files.experiment}/{files.first}/metrics/loss"
    assert record.damages == (() if why is None else (Damage(where, why, files.first),))


def bomb() -> str:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join([*levels, "run_name: *a11"])


def test_no_merge_but_its_sign_and_an_alias(files: Stored) -> None:
    with (files.directory / "meta.yaml").open("a") as meta:
        meta.write("prompt: <<SYS>> be brief <</SYS>>\none: &one [1]\nother: *one\n")
    assert files.read().damages == ()


def merging_bomb() -> str:
    levels = ["a0: &a0 {x: 1}"]
    levels += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    return "\n".join(levels)


METAS: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "is missing"),
    "empty": (b"", "is empty"),
    "a list": (b"[1, 2]", "isn't a mapping"),
    "cut short": (b"artifact_uri: 'file:///", "isn't valid YAML"),
    "of another run": (b"run_id: other", "isn't that of RUN"),
    "a tag of no sense": (b"run_id: !!timestamp x", "isn't valid YAML"),
    "not UTF-8": (b"run_id: \xff\xfe", "isn't valid YAML"),
    "deep": (b"[" * 100_000, "isn't valid YAML"),
    "deep in dashes": (b"- " * 100_000, "isn't valid YAML"),
    "deep in question marks": (b"? " * 100_000, "isn't valid YAML"),
    "a bomb": (bomb().encode(), "has more than 100,000 values"),
    "a bomb of merges": (merging_bomb().encode(), "merges mappings"),
    "large": (b"#" * (5 << 20), "is larger than 4,194,304 bytes"),
}


@pytest.mark.parametrize("damage", METAS)
def test_the_meta_file_of_a_run(files: Stored, damage: str) -> None:
    content, why = METAS[damage]
    file = files.directory / "meta.yaml"
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    record = files.read()
    assert [one.run_id for one in record.runs] == [files.second]
    where = f"{files.experiment}/{files.first}/meta.yaml"
    assert record.damages == (Damage(where, why.replace("RUN", files.first), files.first),)


def test_wrong_types_in_a_meta_file(files: Stored) -> None:
    file = files.directory / "meta.yaml"
    file.write_text(f"run_id: {files.first}\nstatus: [3]\nstart_time: soon\nend_time: {{}}\nrun_name: [a]\n")
    record = files.read()
    (first,) = (one for one in record.runs if one.run_id == files.first)
    assert (first.status, first.start_time, first.end_time) == ("RUNNING", 0, None)
    assert [damage.why for damage in record.damages] == [
        "status isn't a number",
        "start_time isn't a number",
        "end_time isn't a number",
    ]


def test_the_meta_file_of_an_experiment(files: Stored) -> None:
    (files.store.root / files.experiment / "meta.yaml").unlink()
    record = files.read()
    assert record.runs == ()
    assert record.damages == (Damage(f"{files.experiment}/meta.yaml", "is missing"),)


@pytest.mark.parametrize("part", ["params", "tags"])
def test_texts_that_are_not_utf_8(files: Stored, part: str) -> None:
    (files.directory / part / "odd").write_bytes(b"caf\xe9\x00")
    record = files.read()
    (first,) = (one for one in record.runs if one.run_id == files.first)
    assert getattr(first, part)["odd"] == "caf\N{REPLACEMENT CHARACTER}\0"
    where = f"{files.experiment}/{files.first}/{part}/odd"
    assert record.damages == (Damage(where, "isn't UTF-8", files.first),)


def pipe(file: Path) -> None:
    os.mkfifo(file)


def loop(file: Path) -> None:
    file.symlink_to(file.name)


def device(file: Path) -> None:
    file.symlink_to("/dev/zero")


def elsewhere(file: Path) -> None:
    file.symlink_to("/etc/hostname")


def socket_file(file: Path) -> None:
    import socket

    # Its name may have a hundred characters.
    short = Path(f"/tmp/{os.getpid()}.{file.name}")
    with closing(socket.socket(socket.AF_UNIX)) as one:
        one.bind(str(short))
    shutil.move(short, file)


@pytest.mark.parametrize(
    "replaced", [pipe, loop, device, elsewhere, socket_file], ids=lambda one: one.__name__
)
@pytest.mark.parametrize("name", ["params/alpha", "tags/team", "metrics/loss", "meta.yaml"])
def test_what_is_no_file_of_the_store(files: Stored, name: str, replaced: Callable[[Path], None]) -> None:
    file = files.directory / name
    file.unlink()
    replaced(file)
    record = files.read()
    (damage,) = {one.where: one for one in record.damages}.values()
    assert damage.where == f"{files.experiment}/{files.first}/{name}"
    assert damage.run_id == files.first
    # What is there beside it is read.
    assert {one.run_id for one in record.runs} >= {files.second}
    if name != "meta.yaml":
        (first,) = (one for one in record.runs if one.run_id == files.first)
        assert "score" in first.metrics
        assert first.params["beta"] == "2"


def test_a_directory_in_place_of_a_file(files: Stored) -> None:
    file = files.directory / "meta.yaml"
    file.unlink()
    file.mkdir()
    assert [damage.why for damage in files.read().damages] == ["isn't a regular file"]


def test_a_run_that_is_a_link_out_of_the_store(files: Stored, tmp_path: Path) -> None:
    shutil.move(files.directory, tmp_path / "moved")
    files.directory.symlink_to(tmp_path / "moved")
    record = files.read()
    assert [one.run_id for one in record.runs] == [files.second]
    where = f"{files.experiment}/{files.first}"
    assert record.damages == (Damage(where, "is a link that leads out of the store"),)


def test_a_link_within_the_store_is_followed(files: Stored) -> None:
    shutil.move(files.directory / "params" / "alpha", files.store.root / "kept")
    (files.directory / "params" / "alpha").symlink_to(files.store.root / "kept")
    assert files.read().runs[0].params["alpha"] == "1"
    assert files.read().damages == ()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(files: Stored) -> None:
    (files.directory / "params").chmod(0)
    (files.directory / "metrics" / "loss").chmod(0)
    try:
        record = files.read()
    finally:
        (files.directory / "params").chmod(0o700)
    assert {damage.why for damage in record.damages} == {"permission denied"}
    assert "score" in next(one for one in record.runs if one.run_id == files.first).metrics


def test_a_file_in_place_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("no store")
    assert read_store(Store("file", tmp_path / "store")).damages == (Damage(".", "isn't a directory"),)


@pytest.mark.parametrize("mlmodel", [b"", b"flavors: [", b"\xff\xfe\x00", None])
def test_a_broken_mlmodel_file(files: Stored, tmp_path: Path, mlmodel: bytes | None) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(files.store.uri)
    experiment = client.create_experiment("within", (files.store.root / "models here").as_uri())
    run_id = client.create_run(experiment).info.run_id
    client.log_dict(run_id, {"flavors": {"python_function": {"loader_module": "m"}}}, "model/MLmodel")
    assert files.read().damages == ()
    (file,) = files.store.root.rglob("MLmodel")
    if mlmodel is None:
        file.unlink()
        file.symlink_to("/dev/zero")
    else:
        file.write_bytes(mlmodel)
    record = files.read()
    assert [damage.where for damage in record.damages] == [file.relative_to(files.store.root).as_posix()]
    assert next(one for one in record.runs if one.run_id == run_id).models["model"].flavors == ()


@pytest.mark.parametrize("kind", ["file", "sqlite"])
def test_deleted_runs_and_experiments_are_counted(
    templates: dict[StoreKind, Stored], tmp_path: Path, kind: StoreKind
) -> None:
    from mlflow import MlflowClient

    stored = copied(templates[kind], tmp_path)
    client = MlflowClient(stored.store.uri)
    client.delete_run(stored.first)
    assert stored.read().deleted == (stored.first,)
    assert [one.run_id for one in stored.read().runs] == [stored.second]
    client.delete_experiment(stored.experiment)
    record = stored.read()
    assert (record.runs, set(record.deleted), record.damages) == ((), {stored.first, stored.second}, ())


def execute(stored: Stored, *statements: str) -> None:
    with closing(sqlite3.connect(stored.store.database, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_database_that_another_process_keeps_locked(database: Stored) -> None:
    script = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", script, str(database.store.database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        record = read_sqlite_store(database.store.database, patience=0.05)
        holder.communicate("")
    assert record == StoreRecord(damages=(Damage("mlflow.db", "another process kept it locked for 0.05 s"),))
    assert len(database.read().runs) == 2


DATABASES: dict[str, Callable[[Path], Any]] = {
    "not a database": lambda file: file.write_text("no database, but long enough for a header" * 9),
    "empty": lambda file: file.write_bytes(b""),
    "a directory": lambda file: (file.unlink(), file.mkdir()),
    "a pipe": lambda file: (file.unlink(), os.mkfifo(file)),
    "a pipe as journal": lambda file: os.mkfifo(f"{file}-journal"),
    "a device": lambda file: (file.unlink(), file.symlink_to("/dev/zero")),
    "removed": lambda file: file.unlink(),
}


@pytest.mark.parametrize("damage", DATABASES)
def test_what_is_no_database(database: Stored, damage: str) -> None:
    DATABASES[damage](database.store.database)
    record = database.read()
    assert record.runs == ()
    assert [one.where for one in record.damages] == ["mlflow.db"]


def test_a_truncated_database(database: Stored) -> None:
    file = database.store.database
    os.truncate(file, file.stat().st_size // 2)
    record = database.read()
    assert record.damages
    assert all("mlflow.db" in one.where or "table" in one.where for one in record.damages)


@pytest.mark.parametrize("size", range(0, 32768, 2048))
def test_a_database_overwritten_with_zeros(database: Stored, size: int) -> None:
    with database.store.database.open("r+b") as file:
        file.seek(size)
        file.write(b"\0" * 2048)
    database.read()


def test_missing_tables(database: Stored) -> None:
    execute(database, "PRAGMA foreign_keys = OFF", "DROP TABLE params", "DROP TABLE registered_model_aliases")
    record = database.read()
    assert record.damages == (Damage("mlflow.db", "lacks params, registered_model_aliases"),)
    assert [len(one.metrics["loss"]) for one in record.runs] == [3, 3]
    assert [one.params for one in record.runs] == [{}, {}]
    assert [one.name for one in record.registered_models] == ["registered"]


def test_wrong_types_in_a_database(database: Stored) -> None:
    execute(
        database,
        "PRAGMA ignore_check_constraints = ON",
        f"UPDATE metrics SET value = 'text' WHERE key = 'loss' AND run_uuid = '{database.first}'",
        "UPDATE params SET value = CAST(x'636166e9' AS TEXT) WHERE key = 'alpha'",
        "UPDATE params SET value = x'00ff' WHERE key = 'beta'",
        f"UPDATE runs SET start_time = 'soon', end_time = 'late' WHERE run_uuid = '{database.first}'",
    )
    record = database.read()
    (first,) = (one for one in record.runs if one.run_id == database.first)
    assert (first.start_time, first.end_time, [*first.metrics]) == (0, None, ["score"])
    assert first.params == {"alpha": "caf\N{REPLACEMENT CHARACTER}", "beta": "\0\N{REPLACEMENT CHARACTER}"}
    why = "the points of loss can't be read"
    assert record.damages == (Damage("table metrics", why, database.first),)


def test_a_database_with_a_write_ahead_log_of_a_killed_process(database: Stored) -> None:
    script = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("UPDATE params SET value = 'late' WHERE key = 'alpha'")
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", script, str(database.store.database)], check=False)
    assert Path(f"{database.store.database}-wal").stat().st_size
    record = database.read()
    assert [one.params["alpha"] for one in record.runs] == ["late", "late"]
    assert record.damages == ()


def test_observations_with_junk(tmp_path: Path) -> None:
    good = b'{"process":1,"what":"log_param","key":"a","time":1.0,"value":"1"}\n'
    junk = [
        b"\0\xff\n",
        b'{"what":"log_param","step":Infinity}\n',
        b"[" * 100_000 + b"\n",
        b"9" * (1 << 20) + b"\n",
    ]
    file = tmp_path / "observations.jsonl"
    file.write_bytes(b"".join([*junk, good, good[:20]]))
    assert [(one.what, one.key) for one in read_observations(file)] == [("log_param", "a")]


@pytest.mark.parametrize("replaced", [Path.mkdir, pipe, loop, device])
def test_observations_that_are_no_file(tmp_path: Path, replaced: Callable[[Path], None]) -> None:
    replaced(tmp_path / "observations.jsonl")
    assert read_observations(tmp_path / "observations.jsonl") == ()


def test_the_finding_tells_both_launches_together() -> None:
    both = [
        replace(
            launch(mode, run(name, params={"a": "1"})),
            record=StoreRecord(
                (run(name, params={"a": "1"}),), damages=(Damage(f"0/{name}/metrics/m", "is empty", name),)
            ),
        )
        for mode, name in (("fluent", "ab"), ("mlflow-run", "cd"))
    ]
    (finding,) = judge("launches", compare(*both, case=case()), RAISING).findings
    assert (finding.rule, finding.subject) == ("store-damaged", "0/RUN/metrics/m")
    assert (finding.fluent, finding.mlflow_run) == ("is empty", "is empty")


def test_a_launch_that_deleted_its_run_says_so() -> None:
    deleted = replace(launch("fluent"), record=StoreRecord(deleted=("r9",)))
    result = judge("launches", compare(deleted, launch("mlflow-run", run(params={"a": "1"}))), RAISING)
    assert slugs(result.findings) == [("no-run-logged", "fluent")]
    (finding,) = result.findings
    assert finding.fluent == "no run, 1 deleted"
    assert "deleted all that it had logged (1 run)" in finding.why
    assert finding.fix == "leave the run where it is"


DAMAGING = """
import os, shutil
from pathlib import Path
from urllib.parse import urlsplit

store = Path(urlsplit(os.environ["MLFLOW_TRACKING_URI"]).path)
run = store / "0" / "f00d"
(run / "metrics").mkdir(parents=True)
(run / "params").mkdir()
(store / "0" / "meta.yaml").write_text("{experiment_id: '0', name: Default}")
(run / "meta.yaml").write_text("{run_id: f00d, run_name: r, status: 3, start_time: 1, end_time: 2}")
(run / "metrics" / "loss").write_bytes(b"1 0.5 0\\n2 0.25")
(run / "params" / "alpha").write_text("1")
os.mkfifo(run / "params" / "pipe")
"""


def test_the_session_names_what_it_cannot_read(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project(files={"MLproject": "{}", "train.py": DAMAGING})
    result = pytester.runpytest(
        "--mlflow-project=proj", "--mlflow-entry-point=train.py", "--mlflow-launch=fluent", "-k", "launches"
    )
    result.stdout.fnmatch_lines(
        [
            "launches: the store has what can't be read:*[[]store-damaged]",
            "*0/RUN/params/pipe*isn't a regular file*",
            "*0/RUN/metrics/loss*1 of 2 lines can't be read*",
        ]
    )
    result.stdout.no_fnmatch_line("*INTERNAL ERROR*")
