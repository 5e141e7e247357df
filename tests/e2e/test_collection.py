"""What is collected, and that it is collected once, however projects and arguments overlap."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from support.projects import FILES, MakeProject

CHECKS = ("launches", "params", "metrics", "artifacts", "models")
overlapping = pytest.mark.skipif(
    pytest.version_tuple < (9,), reason="pytest 8 itself loses tests where arguments overlap"
)
A, B = "tests/test_a.py::test_a", "other/test_b.py::test_b"


def ids(node: str) -> list[str]:
    """The five items of a case."""
    return [f"{node}::{check}" for check in CHECKS]


P = ids("proj/MLproject::main")
LINKED = ids("zlink/MLproject::main")
PARAMS = "proj/MLproject::main::params"


def collected(pytester: pytest.Pytester, *arguments: str) -> list[str]:
    """The node ids pytest lists, which must be as many as it counts; nothing may be launched for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pytest_mlflow_check.engine.launcher.make_launch", None)
        result = pytester.runpytest("--collect-only", "-q", *arguments)
    assert result.ret == 0, result.stdout.str() + result.stderr.str()
    found = result.outlines[: result.outlines.index("")]
    counts = re.fullmatch(r"(\d+)(/\d+)? tests? collected .*", result.outlines[-1])
    assert counts is not None, result.outlines[-1]
    assert int(counts[1]) == len(found)
    return found


@pytest.fixture
def repository(pytester: pytest.Pytester, make_project: MakeProject) -> Path:
    """A repository with a project, a link to it, and tests in and out of the testpaths."""
    make_project()
    make_project("tests", {"test_a.py": "def test_a(): pass\n"})
    make_project("other", {"test_b.py": "def test_b(): pass\n"})
    (pytester.path / "zlink").symlink_to("proj")
    return pytester.path


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # The project is the argument: the testpaths aren't searched.
        ("--mlflow-project=proj", P),
        ("--mlflow-project proj", P),
        ("--mlflow-project=proj tests", [A, *P]),
        ("--mlflow-project=proj other/test_b.py tests", [B, A, *P]),
        # Once, whatever leads to it.
        ("--mlflow-project=proj proj", P),
        pytest.param("--mlflow-project=proj . proj proj/MLproject", [B, *P, A], marks=overlapping),
        ("--mlflow-project=proj --mlflow-project=./proj/ --mlflow-project=tests/../proj", P),
        ("--mlflow-project=zlink", LINKED),
        ("--mlflow-project=zlink --mlflow-project=proj", LINKED),
        ("--mlflow-project=zlink .", [B, *LINKED, A]),
        ("--mlflow-project=proj zlink", P),
        # Node ids narrow it.
        (f"--mlflow-project=proj {PARAMS}", [PARAMS]),
        ("--mlflow-project=proj proj/MLproject::main", P),
        (f"--mlflow-project=proj {A} {PARAMS}", [A, PARAMS]),
        (f"--mlflow-project=proj {A}", [A, *P]),
        ("--mlflow-project=zlink proj/MLproject::main::params", [LINKED[1]]),
        # Selection.
        ("--mlflow-project=proj . -k params", [PARAMS]),
        ("--mlflow-project=proj . -k main", P),
        ("--mlflow-project=proj . -m mlflow_check", P),
        ("--mlflow-project=proj . -m 'not mlflow_check'", [B, A]),
        (f"--mlflow-project=proj --deselect={P[0]}", P[1:]),
        # Other plugins.
        ("--mlflow-project=proj -p no:xdist", P),
        ("--mlflow-project=proj -p no:cacheprovider", P),
        ("--mlflow-project=proj -n 0", P),
        ("--mlflow-project=proj -n 2", P),
        ("--mlflow-project=proj --doctest-modules", P),
        # By an ini file it comes with the tests, unless the arguments name something else.
        ("-o mlflow_project=proj", [A, *P]),
        ("-o mlflow_project=proj tests/test_a.py", [A]),
        ("-o mlflow_project=proj other", [B]),
        ("-o mlflow_project=proj proj", P),
        (f"-o mlflow_project=proj {PARAMS}", [PARAMS]),
        ("-o mlflow_project=proj .", [B, *P, A]),
        ("-o mlflow_project=other --mlflow-project=proj", P),
    ],
)
def test_what_the_arguments_collect(pytester: pytest.Pytester, arguments: str, expected: list[str]) -> None:
    pytester.makeini("[pytest]\ntestpaths = tests\n")
    assert collected(pytester, *shlex.split(arguments)) == expected


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("ini", "directory", "arguments", "expected"),
    [
        ("testpaths = tests proj\nmlflow_project = proj", "", "", [A, *P]),
        pytest.param("testpaths = tests .\nmlflow_project = proj", "", "", [B, *P, A], marks=overlapping),
        ("testpaths = tests proj", "", "--mlflow-project=proj", P),
        ("mlflow_project = proj", "", "", [B, *P, A]),
        ("testpaths = tests\naddopts = --mlflow-project=proj", "", "", [A, *P]),
        ("testpaths = tests\naddopts = --mlflow-project=proj", "", "other", [B]),
        # Relative to the ini file, wherever pytest is called.
        ("testpaths = tests\nmlflow_project = proj", "tests", "", [A, *P]),
        ("testpaths = tests\nmlflow_project = ./proj", "proj", "", P),
        # Relative to where pytest is called.
        ("mlflow_project = other", "tests", "--mlflow-project=../proj", P),
        ("", "proj", "--mlflow-project=.", P),
        ("", "tests", "--mlflow-project=../proj . ../proj", [A, *P]),
    ],
)
def test_what_an_ini_file_collects(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    ini: str,
    directory: str,
    arguments: str,
    expected: list[str],
) -> None:
    pytester.makeini(f"[pytest]\n{ini}\n")
    monkeypatch.chdir(pytester.path / directory)
    assert collected(pytester, *arguments.split()) == expected


def test_a_check_is_never_made_twice(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project()
    given = ("--keep-duplicates", "--mlflow-project=proj", "proj", "proj/MLproject")
    result = pytester.runpytest("--collect-only", "-q", *given)
    assert result.outlines[: result.outlines.index("")] == P


def test_a_project_that_is_the_rootdir(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project(".", {**FILES, "pytest.ini": "[pytest]\n", "test_a.py": "def test_a(): pass\n"})
    assert collected(pytester, "--mlflow-project=.") == ids("MLproject::main")
    assert collected(pytester, "--mlflow-project=.", ".") == [*ids("MLproject::main"), "test_a.py::test_a"]


def test_projects_outside_the_rootdir(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project("one")
    make_project("two")
    root = make_project("root", {"pytest.ini": "[pytest]\n", "test_a.py": "def test_a(): pass\n"})
    monkeypatch.chdir(root)
    one, two = ids("../one/MLproject::main"), ids("../two/MLproject::main")
    both = ("--mlflow-project=../two", f"--mlflow-project={pytester.path / 'one'}")
    assert collected(pytester, *both) == [*two, *one]
    assert collected(pytester, *both, ".", one[1]) == ["test_a.py::test_a", one[1], *two]


def test_cases_in_the_order_of_the_settings(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    settings = """
        [[case]]
        id = "ten"
        [[case]]
        entry_point = "other.py"
        [[case]]
        id = "two words +1"
        entry_point = "main"
    """
    make_project("z", {**FILES, "other.py": "", "mlflow-check.toml": settings})
    make_project("a/project")
    cases = [*ids("z/MLproject::ten"), *ids("z/MLproject::other.py"), *ids("z/MLproject::two words +1")]
    other = ids("a/project/MLproject::main")
    both = ("--mlflow-project=z", "--mlflow-project=a/project")
    assert collected(pytester, *both) == [*cases, *other]
    assert collected(pytester, *both, "-k", "two") == cases[10:]
    assert collected(pytester, *both, cases[11]) == [cases[11], *other]
    assert collected(pytester, *both, "--mlflow-entry-point=main") == [*cases[:5], *cases[10:], *other]


def test_an_mlproject_linked_into_two_projects(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project("one")
    make_project("two", {"train.py": ""})
    (pytester.path / "two" / "MLproject").symlink_to("../one/MLproject")
    both = [*ids("one/MLproject::main"), *ids("two/MLproject::main")]
    assert collected(pytester, "--mlflow-project=one", "--mlflow-project=two") == both


@pytest.mark.parametrize("spelling", ["mlproject", "MLProject", "MLPROJECT"])
def test_any_spelling_of_mlproject(
    pytester: pytest.Pytester, make_project: MakeProject, spelling: str
) -> None:
    make_project("proj", {spelling: FILES["MLproject"]})
    assert collected(pytester, "--mlflow-project=proj", ".") == ids(f"proj/{spelling}::main")


@pytest.mark.parametrize(
    ("directory", "arguments"),
    [
        ("build/proj", ""),
        (".hidden/proj", ""),
        ("node_modules", ""),
        ("a/b/c", "--ignore=a/b"),
        ("a/b", "--ignore-glob=*/b"),
        ("a/b", "-o collect_imported_tests=true -o norecursedirs=a"),
    ],
)
@pytest.mark.parametrize("also", ["", ".", "./"])
def test_a_directory_pytest_passes_over(
    pytester: pytest.Pytester, make_project: MakeProject, directory: str, arguments: str, also: str
) -> None:
    make_project(directory, {**FILES, "test_inside.py": "raise SystemExit('imported')\n"})
    given = [f"--mlflow-project={directory}", *arguments.split(), *also.split()]
    assert collected(pytester, *given) == ids(f"{directory}/MLproject::main")


@pytest.mark.parametrize("directory", ["with space", "ü", "#1%20", "it's", 'a"b', "$(touch x);"])
def test_any_name_of_a_directory(
    pytester: pytest.Pytester, make_project: MakeProject, directory: str
) -> None:
    make_project(directory)
    expected = ids(f"{directory}/MLproject::main")
    assert collected(pytester, f"--mlflow-project={directory}") == expected
    assert collected(pytester, f"--mlflow-project={directory}", expected[2]) == [expected[2]]


@pytest.mark.parametrize("arguments", ["", ".", "bare", "--doctest-modules", "--doctest-modules ."])
@pytest.mark.parametrize("script", ["train.py", "test_train.py", "sub/train.py"])
def test_a_script_is_launched_not_imported(
    pytester: pytest.Pytester, make_project: MakeProject, script: str, arguments: str
) -> None:
    make_project("bare", {script: "raise SystemExit('imported')\n"})
    given = ("--mlflow-project=bare", f"--mlflow-entry-point={script}", *arguments.split())
    assert collected(pytester, *given) == ids(f"bare/{script}::{script}")


def test_a_script_beside_an_mlproject(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project()
    given = ("--mlflow-project=proj", "--mlflow-entry-point=train.py")
    assert collected(pytester, *given) == ids("proj/MLproject::train.py")


def test_nodes_have_names_and_places(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project()
    result = pytester.runpytest("--collect-only", "--mlflow-project=proj", "-k", "launches")
    tree = ["<Dir *>", "  <Dir proj>", "    <ProjectFile MLproject>", "      <CaseNode main>"]
    result.stdout.fnmatch_lines([*tree, "        <CheckItem launches>"], consecutive=True)


def test_last_failed(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project()
    result = pytester.runpytest("--mlflow-project=proj", "--mlflow-launch=fluent")
    result.assert_outcomes(failed=1, skipped=4)
    again = pytester.runpytest("--mlflow-project=proj", "--lf", "--collect-only", "-q")
    assert again.outlines[0] == P[0]
    assert "1/5 tests collected (4 deselected)" in again.outlines[-1]
    again = pytester.runpytest("--mlflow-project=proj", "--mlflow-launch=fluent", "--lf")
    again.assert_outcomes(failed=1, deselected=4)
