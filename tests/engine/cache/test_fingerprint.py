"""What a launch depends on: each change of it changes the fingerprint, and nothing else does."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mlflow_check.config.settings import ProjectConfig, Tolerance, load_settings
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.engine.api import cases_of
from pytest_mlflow_check.engine.cache import fingerprint
from pytest_mlflow_check.engine.cache.fingerprint import files_of, rest_of
from pytest_mlflow_check.runtime.sandbox.interpreter import Interpreter
from pytest_mlflow_check.runtime.sandbox.workspace import make_workspace

LOCAL = Interpreter()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a project, with links that lead into it and out of it."""
    root = tmp_path / "repository"
    for name in ("project/MLproject", "project/train.py", "data/table.csv", "data/more/other.csv"):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    (root / ".git").mkdir()
    (root / "project/MLproject").write_text("entry_points: {main: {command: 'python train.py'}}")
    (root / "project/data").symlink_to("../data")
    (root / "project/whole").symlink_to(root / "data" / "more")
    (root / "project/outside").symlink_to(tmp_path / "elsewhere")
    (root / "project/beside").symlink_to("../../elsewhere")
    return root


@pytest.fixture
def case(root: Path) -> Case:
    """The case of that project."""
    return cases_of(load_settings(root / "project"))[0]


# what goes into the workspace


def relink(link: Path, target: str) -> None:
    link.unlink()
    link.symlink_to(target)


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda root: (root / "project/train.py").write_text("project/train.pY"),
    "content beside the project": lambda root: (root / "data/table.csv").write_text("data/table.csV"),
    "mode": lambda root: (root / "project/train.py").chmod(0o755),
    "new file": lambda root: (root / "data/new").touch(),
    "new hidden file": lambda root: (root / "project/.env").touch(),
    "new directory": lambda root: (root / "project/empty").mkdir(),
    "new link": lambda root: (root / "project/new").symlink_to("train.py"),
    "removed file": lambda root: (root / "data/table.csv").unlink(),
    "removed link": lambda root: (root / "project/data").unlink(),
    "renamed file": lambda root: (root / "data/table.csv").rename(root / "data/table2.csv"),
    "moved file": lambda root: (root / "data/table.csv").rename(root / "project/table.csv"),
    "target of a link": lambda root: relink(root / "project/data", "../data/more"),
    "target of a link out of it": lambda root: relink(root / "project/outside", "/elsewhere"),
    "a link becomes a file": lambda root: (
        (root / "project/whole").unlink(),
        (root / "project/whole").touch(),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_files(root: Path, change: str) -> None:
    before = files_of(root)
    assert files_of(root) == before
    CHANGES[change](root)
    assert files_of(root) != before


PASSED_OVER: dict[str, Callable[[Path], object]] = {
    "time": lambda root: os.utime(root / "project/train.py", (1, 1)),
    "same content": lambda root: (root / "project/train.py").write_text("project/train.py"),
    "version control": lambda root: (root / ".git/index").touch(),
    "runs": lambda root: (root / "project/mlruns/0").mkdir(parents=True),
    "bytecode": lambda root: (root / "project/__pycache__").mkdir(),
    "a virtual environment": lambda root: (
        (root / "env").mkdir(),
        (root / "env/pyvenv.cfg").touch(),
    ),
    "a pipe": lambda root: os.mkfifo(root / "pipe"),
    "the other spelling of a link": lambda root: relink(root / "project/whole", "../data/more"),
}


@pytest.mark.parametrize("change", PASSED_OVER)
def test_what_no_workspace_gets(root: Path, change: str) -> None:
    before = files_of(root)
    PASSED_OVER[change](root)
    assert files_of(root) == before


def test_a_workspace_has_the_fingerprint_of_what_it_was_copied_from(tmp_path: Path, root: Path) -> None:
    (root / "project/train.py").chmod(0o444)
    make_workspace(root / "project", tmp_path / "copy")
    assert files_of(tmp_path / "copy") == files_of(root)
    (tmp_path / "copy/project/train.py").write_text("changed meanwhile")
    assert files_of(tmp_path / "copy") != files_of(root)


NAMES = st.sampled_from(["a", "b", "a b", "é", "mlruns", "train.py"])
TREES = st.dictionaries(
    NAMES,
    st.one_of(
        st.sampled_from([b"", b"1", b"2"]),
        st.tuples(st.just("link"), NAMES),
        st.dictionaries(NAMES, st.sampled_from([b"", b"1"]), max_size=2),
    ),
    max_size=3,
)
Tree = dict[str, "bytes | tuple[str, str] | dict[str, bytes]"]


def write(tree: Tree, directory: Path) -> Path:
    directory.mkdir(parents=True)
    for name, what in tree.items():
        if isinstance(what, bytes):
            (directory / name).write_bytes(what)
        elif isinstance(what, dict):
            write(dict(what), directory / name)
        else:
            (directory / name).symlink_to(what[1])
    return directory


def without_mlruns(tree: Tree) -> Tree:
    inside = {name: what for name, what in tree.items() if name != "mlruns"}
    return {name: without_mlruns(what) if isinstance(what, dict) else what for name, what in inside.items()}


@given(one=TREES, other=TREES)
def test_two_trees_have_one_fingerprint_where_they_are_the_same(one: Tree, other: Tree) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        left, right = write(one, Path(scratch, "left", "tree")), write(other, Path(scratch, "right", "tree"))
        assert (files_of(left) == files_of(right)) == (without_mlruns(one) == without_mlruns(other))
        copy = Path(scratch, "copy")
        make_workspace(left, copy)
        assert files_of(copy) == files_of(left)


# the case, the settings, the versions


def test_the_case(case: Case) -> None:
    point = case.entry_point
    cases = [
        case,
        replace(case, params={"alpha": "1"}),
        replace(case, params={"alpha": "2"}),
        replace(case, env={"SEED": "1"}),
        replace(case, fluent="python train.py 1"),
        replace(case, entry_point=replace(point, command="python3 train.py")),
        replace(case, entry_point=replace(point, name="other")),
        replace(case, project=replace(case.project, directory=case.project.directory.with_name("p2"))),
    ]
    values = ProjectConfig()
    assert len({rest_of(one, values, LOCAL) for one in cases}) == len(cases)


def test_the_settings(case: Case) -> None:
    launching = [
        {},
        {"store": "sqlite"},
        {"timeout": 5},
        {"env_manager": "uv"},
        {"observer": False},
        {"tracking_uri": "block"},
        {"pass_env": ("MLFLOW_X",)},
    ]
    prints = [rest_of(case, ProjectConfig(**keys), LOCAL) for keys in launching]
    assert len({*prints}) == len(launching)
    judging: list[dict[str, Any]] = [
        {"strict": True, "cache": True, "rules": {"metric-without-step": "off"}},
        {"metric_tolerance": Tolerance(rel=1), "prediction_tolerance": Tolerance(rel=1)},
        {"artifact_contents": ("*",), "launch": "fluent", "probes": True},
    ]
    for keys in judging:
        assert rest_of(case, ProjectConfig(**keys), LOCAL) == prints[0]


def test_the_interpreter(tmp_path: Path, case: Case) -> None:
    values, packages = ProjectConfig(env_manager="uv"), tmp_path / "env/lib/python3.12/site-packages"
    packages.mkdir(parents=True)
    made = Interpreter("uv", tmp_path / "env/bin/python", tmp_path / "env")
    before = rest_of(case, values, made)
    assert before != rest_of(case, values, LOCAL)
    assert before != rest_of(case, values, replace(made, python=tmp_path / "env/bin/python3"))
    (packages / "numpy-1.0.dist-info").mkdir()
    assert rest_of(case, values, made) != before


@pytest.mark.parametrize("package", ["mlflow", "pytest-mlflow-check"])
def test_a_version(case: Case, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    before = rest_of(case, ProjectConfig(), LOCAL)
    of = fingerprint.importlib.metadata.version
    monkeypatch.setattr(
        fingerprint.importlib.metadata, "version", lambda name: "0.0" if name == package else of(name)
    )
    assert rest_of(case, ProjectConfig(), LOCAL) != before


# variables


@pytest.mark.parametrize(
    "name",
    [
        *("SEED", "PATH", "HOME", "PYTHONHASHSEED", "CUDA_VISIBLE_DEVICES"),
        # They look like those of a shell.
        *("TERMS", "TERM_MONTHS", "HIST_BINS", "WINDOW", "WT_DECAY", "PSI"),
    ],
)
def test_a_variable(case: Case, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = rest_of(case, ProjectConfig(), LOCAL)
    monkeypatch.setenv(name, "/another")
    changed = rest_of(case, ProjectConfig(), LOCAL)
    assert changed != before
    monkeypatch.delenv(name)
    assert rest_of(case, ProjectConfig(), LOCAL) != changed


@pytest.mark.parametrize(
    "name",
    [
        *("PWD", "OLDPWD", "SHLVL", "_", "TERM", "TERM_PROGRAM", "COLUMNS", "SSH_TTY", "XDG_SESSION_ID"),
        # withheld from launches
        *("MLFLOW_TRACKING_URI", "PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER"),
    ],
)
def test_a_variable_of_the_shell_s(case: Case, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "/one")
    before = rest_of(case, ProjectConfig(), LOCAL)
    monkeypatch.setenv(name, "/another")
    assert rest_of(case, ProjectConfig(), LOCAL) == before


def test_a_withheld_variable_that_is_let_through(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    values = ProjectConfig(pass_env=("MLFLOW_S3_*",))
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "one")
    before = rest_of(case, values, LOCAL)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "another")
    assert rest_of(case, values, LOCAL) != before


# what can be imported


@pytest.fixture(autouse=True)
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which packages are installed, with one in it, and no other."""
    packages = tmp_path / "site-packages"
    (packages / "one-1.0.dist-info").mkdir(parents=True)
    (packages / "one-1.0.dist-info/RECORD").write_text("one.py,sha256=abc,10")
    monkeypatch.setattr(fingerprint.site, "getsitepackages", lambda: [str(packages)])
    monkeypatch.setattr(fingerprint.site, "ENABLE_USER_SITE", False)
    return packages


def editable(packages: Path, source: Path) -> None:
    """Has a package be imported from its source, in the way of pip."""
    source.mkdir(parents=True)
    (source / "two.py").write_text("x = 1")
    info = packages / "two-1.0.dist-info"
    info.mkdir()
    (info / "RECORD").touch()
    origin = {"url": source.as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(origin))


def on_path(packages: Path, source: Path) -> None:
    """Has a package be imported from its source, by a line of a file."""
    source.mkdir(parents=True)
    (source / "two.py").write_text("x = 1")
    (packages / "two.pth").write_text(f"import sys\n# a comment\n{source}\n")


def editable_with_metadata(packages: Path, source: Path) -> None:
    """The same in the way of setuptools, which leaves metadata beside the code."""
    editable(packages, source)
    (source / "two.egg-info").mkdir()


INSTALLS: dict[str, Callable[[Path], object]] = {
    "another package": lambda packages: (packages / "two-1.0.dist-info").mkdir(),
    "another version": lambda packages: (packages / "one-1.0.dist-info").rename(
        packages / "one-1.1.dist-info"
    ),
    "the same version built anew": lambda packages: (packages / "one-1.0.dist-info/RECORD").write_text(
        "one.py,sha256=abd,10"
    ),
    "an egg": lambda packages: (packages / "two-1.0.egg-info").write_text("Name: two"),
    "a line of code": lambda packages: (packages / "two.pth").write_text("import two"),
    "a module put there by hand": lambda packages: (packages / "sitecustomize.py").touch(),
}


@pytest.mark.parametrize("install", INSTALLS)
def test_what_is_installed(case: Case, packages: Path, install: str) -> None:
    before = rest_of(case, ProjectConfig(), LOCAL)
    INSTALLS[install](packages)
    assert rest_of(case, ProjectConfig(), LOCAL) != before


@pytest.mark.parametrize("way", [editable, editable_with_metadata, on_path])
def test_code_that_is_imported_from_where_it_lies(
    tmp_path: Path, case: Case, packages: Path, way: Callable[[Path, Path], None]
) -> None:
    source = tmp_path / "a source"
    way(packages, source)
    before = rest_of(case, ProjectConfig(), LOCAL)
    (source / "__pycache__").mkdir()
    (source / "__pycache__/two.pyc").touch()
    assert rest_of(case, ProjectConfig(), LOCAL) == before
    (source / "two.py").write_text("x = 12")
    assert rest_of(case, ProjectConfig(), LOCAL) != before


def test_code_on_pythonpath(
    tmp_path: Path, case: Case, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    monkeypatch.setenv("PYTHONPATH", f"relative:{source}:")
    before = rest_of(case, ProjectConfig(), LOCAL)
    (source / "new.py").touch()
    assert rest_of(case, ProjectConfig(), LOCAL) != before


@pytest.mark.parametrize("origin", ["", "[]", "null", '{"dir_info": {"editable": true}}'])
def test_an_editable_install_that_does_not_say_from_where(case: Case, packages: Path, origin: str) -> None:
    (packages / "one-1.0.dist-info/direct_url.json").write_text(origin)
    assert rest_of(case, ProjectConfig(), LOCAL)


def test_a_zip_file_on_pythonpath(tmp_path: Path, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "code.zip"
    file.write_bytes(b"one")
    monkeypatch.setenv("PYTHONPATH", str(file))
    before = rest_of(case, ProjectConfig(), LOCAL)
    file.write_bytes(b"two")
    assert rest_of(case, ProjectConfig(), LOCAL) != before


def test_code_that_goes_into_the_workspace_counts_by_its_content_alone(
    root: Path, case: Case, packages: Path
) -> None:
    editable(packages, root / "package")
    before = rest_of(case, ProjectConfig(), LOCAL), files_of(root)
    os.utime(root / "package/two.py", (1, 1))
    assert (rest_of(case, ProjectConfig(), LOCAL), files_of(root)) == before


@pytest.mark.parametrize("directory", [".venv/src/two", "env39/src/two"])
def test_code_in_an_environment_below_the_repository(
    root: Path, case: Case, packages: Path, directory: str
) -> None:
    """No workspace gets it."""
    editable(packages, root / directory)
    (root / directory.partition("/")[0] / "pyvenv.cfg").touch()
    before = rest_of(case, ProjectConfig(), LOCAL)
    (root / directory / "two.py").write_text("x = 12")
    assert rest_of(case, ProjectConfig(), LOCAL) != before
