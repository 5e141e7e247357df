"""What a launch did to its files: changed, deleted, logged without having written them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pytest_mlflow_check.footprint import changed_files, stale_files, take_inventory


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
