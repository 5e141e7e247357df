"""What a launch did to its files: changed, deleted, logged without having written them."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import pytest

from pytest_mlflow_check.core.records import SavedFile
from pytest_mlflow_check.engine.file_changes import changed_files, saved_files, stale_files, take_inventory


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    root = tmp_path / "origin"
    for path in ("a.txt", "out/old.png", "out/.gitkeep", "conf/x.yaml", "conf/y.yaml"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
        os.utime(root / path, (1, 1))
    (root / "link").symlink_to("a.txt")
    return root


@pytest.fixture
def copy(tmp_path: Path, origin: Path) -> Path:
    return Path(shutil.copytree(origin, tmp_path / "copy", symlinks=True))


def test_a_launch_that_only_adds_files_changes_nothing(origin: Path, copy: Path) -> None:
    before = take_inventory(copy)
    assert set(before) == {"a.txt", "out/old.png", "out/.gitkeep", "conf/x.yaml", "conf/y.yaml"}
    (copy / "new.txt").write_text("new")
    assert changed_files(before, copy, origin) == ()


def test_changed_deleted_and_replaced_files(origin: Path, copy: Path) -> None:
    before = take_inventory(copy)
    (copy / "a.txt").write_text("changed")
    (copy / "out/old.png").unlink()
    (copy / "conf/x.yaml").unlink()
    (copy / "conf/x.yaml").mkdir()
    assert changed_files(before, copy, origin) == ("a.txt", "conf/x.yaml", "out/old.png")


def test_a_file_written_anew_with_the_same_content_is_not_changed(origin: Path, copy: Path) -> None:
    before = take_inventory(copy)
    (copy / "a.txt").write_text("a.txt")
    assert changed_files(before, copy, origin) == ()


def test_old_files_beside_new_ones_are_stale(copy: Path) -> None:
    before = take_inventory(copy)
    (copy / "out/new.png").write_text("new")
    assert stale_files(before, copy, [str(copy / "out")]) == {"out": ("out/old.png",)}


def test_a_directory_all_of_one_kind_is_not_mixed(copy: Path) -> None:
    before = take_inventory(copy)
    (copy / "out/old.png").write_text("out/old.png")  # written anew
    (copy / "fresh").mkdir()
    (copy / "fresh/a.txt").write_text("")
    logged = [str(copy / name) for name in ("out", "conf", "fresh", "nowhere")]
    assert stale_files(before, copy, logged) == {}


def test_a_directory_outside_the_workspace_is_passed_over(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a").write_text("")
    assert stale_files({}, copy, [str(tmp_path / "elsewhere")]) == {}


PICKLE = pickle.dumps({"a": 1})


def save(directory: Path, path: str, *, time: int = 1, content: bytes = PICKLE) -> Path:
    """A file with a time of its own, in seconds."""
    file = directory / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, (time, time))
    return file


def test_what_was_saved_and_not_logged_the_newest_first(copy: Path) -> None:
    save(copy, "given.pkl")
    save(copy, "again.pkl")
    before = take_inventory(copy)
    save(copy, "out/old.pkl", time=2)
    save(copy, "out/new.pkl", time=4)
    save(copy, "again.pkl", time=3)
    save(copy, "out/notes.txt", content=b"text")
    saved = saved_files(before, copy, [])
    assert [*saved] == ["out/new.pkl", "again.pkl", "out/old.pkl"]
    assert saved["out/new.pkl"] == SavedFile("pickle", "")


def test_what_is_logged_isnt_only_saved(copy: Path, tmp_path: Path) -> None:
    save(copy, "a/same-content.pkl")
    save(copy, "a/best.pkl", content=pickle.dumps("best"))
    save(copy, "a/last.pkl", content=pickle.dumps("last"))
    logged = [save(tmp_path, "store/model.pkl"), save(tmp_path, "store/best.pkl", content=b"earlier")]
    assert [*saved_files({}, copy, logged)] == ["a/last.pkl"]


@pytest.mark.parametrize(
    "path",
    [
        ".hidden/a.pkl",
        "out/.a.pkl",
        "__pycache__/a.pkl",
        "data_cache/a.pkl",
        ".cache/a.pkl",
        "Cache/a.pkl",
        "tmp/a.pkl",
        "temp/deep/a.pkl",
        "wandb/run/a.pkl",
        "memory/joblib/train/load/0123456789abcdef0123456789abcdef/output.pkl",
        "mlruns/0/a.pkl",
        "venv/a.pkl",
    ],
)
def test_what_is_stored_for_a_while_isnt_saved(path: str, copy: Path) -> None:
    save(copy, path)
    assert saved_files({}, copy, []) == {}


def test_a_model_that_mlflow_saved_isnt_a_mere_file(copy: Path) -> None:
    save(copy, "saved/data/model.pkl")
    save(copy, "saved/MLmodel", content=b"flavors: {}")
    save(copy, "template/model.pkl")
    assert [*saved_files({}, copy, [])] == ["template/model.pkl"]
