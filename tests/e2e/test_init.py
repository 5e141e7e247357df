"""`--mlflow-init` as its users meet it: what it writes and says, what it leaves alone, where it gives up."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest
from inline_snapshot import snapshot

from pytest_mlflow_check.config.settings import load_settings
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.scaffold.command import initialise, write_new
from pytest_mlflow_check.scaffold.project_files import tree_of
from support.projects import FILES, MakeProject
from support.sessions import ROOT, outcome, run_session

TRAIN = """
import argparse
import mlflow

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--learning-rate", type=float, default=1)
parser.add_argument("--epochs", type=int, default=50)
parser.add_argument("--note", default="plain")
parser.add_argument("--verbose", action="store_true")
parser.add_argument("--out")

if __name__ == "__main__":
    args = parser.parse_args()
    with mlflow.start_run():
        mlflow.log_params(vars(args))
        for epoch in range(args.epochs):
            mlflow.log_metric("loss", args.learning_rate / (epoch + 1), step=epoch)
"""
EVALUATE = """
import sys
import mlflow

alpha = float(sys.argv[1]) if len(sys.argv) > 1 else 0.5
with mlflow.start_run():
    mlflow.log_param("alpha", alpha)
"""
PROJECT = {"train.py": TRAIN, "evaluate.py": EVALUATE, "data/all.csv": "a,b\n1,2\n"}
BROKEN = {"test_broken.py": "raise SystemExit('imported')", "conftest_.py": "raise SystemExit('imported')"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages name paths relative to where they are asked for."""
    monkeypatch.chdir(tmp_path)


def write(home: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    return home


def mistake(home: Path) -> str:
    with pytest.raises(UserError) as error:
        initialise(home)
    return str(error.value)


def names(home: Path) -> list[str]:
    return sorted(path.name for path in home.iterdir())


# as an option


@pytest.mark.parametrize("option", ["--mlflow-project=proj", None])
def test_what_it_writes_and_says(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, option: str | None
) -> None:
    home = make_project("proj", {**PROJECT, **BROKEN})
    monkeypatch.chdir(pytester.path if option else home)
    place = "proj" if option else "."
    result = pytester.runpytest("--mlflow-init", *([option] if option else []))
    within = "proj/" if option else ""
    assert (result.ret, result.errlines) == (0, [])
    assert result.outlines == [
        f"wrote {within}mlflow-check.toml: a case each for main, evaluate",
        f"wrote {within}MLproject: main (train.py), evaluate (evaluate.py)",
        "",
        f"next:  pytest --mlflow-project={place}",
    ]
    again = pytester.runpytest("--mlflow-init", *([option] if option else []))
    assert (again.ret, again.errlines) == (0, [])
    assert again.outlines == [
        f"{within}MLproject is there already",
        f"{within}mlflow-check.toml is there already",
        "nothing written",
        "",
        f"next:  pytest --mlflow-project={place}",
    ]
    collected = pytester.runpytest("--co", "-q", f"--mlflow-project={place}")
    assert f"{within}MLproject::evaluate::models" in collected.outlines


def test_what_is_left_to_fill_in_ends_the_next_session_at_once(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    make_project("proj", {"train.py": TRAIN, "predict.py": "import fire, mlflow\nmlflow.start_run()\n"})
    result = pytester.runpytest("--mlflow-init", "--mlflow-project=proj")
    value = 'mlflow-check.toml:20: "data" of main: write a file or directory that the project has'
    command = (
        "MLproject:21: the command of predict: fire reads the command line: write its options, or nothing"
    )
    assert result.outlines[-4:] == [
        f"to be filled in: proj/{value}",
        f"to be filled in: proj/{command}",
        "",
        "next:  fill that in, and  pytest --mlflow-project=proj",
    ]
    result = pytester.runpytest("--mlflow-project=proj")
    first = "2 places are still TODO, so nothing is launched: proj/mlflow-check.toml:20, proj/MLproject:21"
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.outlines == []
    assert result.errlines == [f"ERROR: {first}", f"  proj/{value}", f"  proj/{command}", ""]
    assert names(pytester.path / "proj") == ["MLproject", "mlflow-check.toml", "predict.py", "train.py"]


def test_in_an_empty_directory(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--mlflow-init", "--mlflow-project=.")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert (result.outlines, result.errlines) == (
        [],
        [
            "ERROR: nothing to start in .: no MLproject, and no Python script to start",
            '  one is called main.py or train.py, logs to MLflow, or has  if __name__ == "__main__":',
            "  name the directory that has one:  pytest --mlflow-init --mlflow-project=DIR",
            "",
        ],
    )
    assert list(pytester.path.iterdir()) == []


def test_help_writes_nothing(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    home = make_project("proj", PROJECT)
    result = pytester.runpytest("--help", "--mlflow-init", "--mlflow-project=proj")
    assert result.ret == 0
    assert names(home) == ["data", "evaluate.py", "train.py"]


# what is there


def test_a_case_for_each_entry_point_of_an_mlproject(tmp_path: Path) -> None:
    mlproject = """
entry_points:
  main:
    parameters:
      data: path
      epochs: {type: float, default: 30}
      none: {default: null}
      rate: float
    command: "bash run.sh {data} {epochs} {none} {rate}"
  odd "name":
    command: "echo"
"""
    home = write(tmp_path, {"MLProject": mlproject, "train.csv": "", "train.py": TRAIN})
    assert initialise(home) == snapshot("""\
MLProject is there already
wrote mlflow-check.toml: a case each for main, odd "name"
to be filled in: mlflow-check.toml:22: "none" of main: write a text that it takes

next:  fill that in, and  pytest --mlflow-project=.\
""")
    text = (home / "mlflow-check.toml").read_text()
    cases = text[text.index("[[case]]") : text.index("#[[allow]]")]
    assert cases == snapshot("""\
[[case]]
entry_point = "main"
[case.params]
data = "train.csv"
epochs = 2   # 30 by default; 2 are enough to check steps
none = "TODO"   # TODO: write a text that it takes
rate = 0.1

[[case]]
entry_point = "odd \\"name\\""

""")
    assert (home / "MLProject").read_text() == mlproject
    assert text.splitlines()[21].startswith("none = ")
    assert load_settings(home).values.case[1].entry_point == 'odd "name"'


def test_settings_that_are_there_stay(tmp_path: Path) -> None:
    pyproject = "[tool.mlflow-check]\nstrict = true\n"
    home = write(tmp_path, {**PROJECT, "pyproject.toml": pyproject})
    assert initialise(home) == snapshot("""\
pyproject.toml [tool.mlflow-check] is there already
wrote MLproject: main (train.py), evaluate (evaluate.py)

next:  pytest --mlflow-project=.\
""")
    assert names(home) == ["MLproject", "data", "evaluate.py", "pyproject.toml", "train.py"]
    assert (home / "pyproject.toml").read_text() == pyproject


def test_a_pyproject_without_settings_gets_none(tmp_path: Path) -> None:
    home = write(tmp_path, {**FILES, "pyproject.toml": "[project]\n"})
    assert "wrote mlflow-check.toml: a case for main\n" in initialise(home)
    assert (home / "pyproject.toml").read_text() == "[project]\n"


@pytest.mark.parametrize("text", ["entry_points: [", "name: x\n", "entry_points: {main: {}}"])
def test_an_mlproject_that_is_broken(tmp_path: Path, text: str) -> None:
    home = write(tmp_path, {"MLproject": text})
    assert mistake(home).startswith("MLproject")
    assert names(home) == ["MLproject"]


def test_what_is_said_of_scripts(tmp_path: Path) -> None:
    fire = "import fire, mlflow\nmlflow.start_run()\n"
    home = write(tmp_path, {"train.py": fire, "run.py": "print 'x'", "\x1b[31m.py": "mlflow ="})
    assert initialise(home) == snapshot("""\
wrote mlflow-check.toml: a case for main
wrote MLproject: main (train.py)
passed over, since it isn't Python: �[31m.py:1: invalid syntax
passed over, since it isn't Python: run.py:1: Missing parentheses in call to 'print'. Did you mean print(...)?
to be filled in: MLproject:10: the command of main: fire reads the command line: write its options, or nothing

next:  fill that in, and  pytest --mlflow-project=.\
""")
    plain = write(tmp_path / "a b", {"train.py": "print()\n"})
    assert initialise(plain).endswith(
        "none of these scripts logs to MLflow yet\n\nnext:  pytest --mlflow-project='a b'"
    )


# files


def test_what_is_looked_at(tmp_path: Path) -> None:
    (outside := tmp_path / "outside").mkdir()
    (outside / "train.py").write_text(TRAIN)
    write(tmp_path / "home", {os.fsdecode(b"\xff.py"): ""})
    files = dict.fromkeys(
        ("z.py", "a/b/c.py", ".hidden/x.py", "mlruns/0/x.py", "env/x.py", "inner/train.py"), ""
    )
    home = write(tmp_path / "home", {**files, "env/pyvenv.cfg": "", "inner/MLproject": ""})
    write(home, {f"many/{number:04}.txt": "" for number in range(1200)} | {"many/zz.py": ""})
    (home / "link.py").symlink_to(outside / "train.py")
    (home / "away").symlink_to(outside)
    (home / "back").symlink_to(home)
    os.mkfifo(home / "train.py")
    tree = tree_of(home)
    assert tree.directories == ("a", "inner", "many", "a/b")
    assert [path for path in tree.files if path.endswith(".py")] == ["z.py", "many/zz.py", "a/b/c.py"]
    assert len(tree.files) == 1002


def test_a_script_that_is_too_large(tmp_path: Path) -> None:
    home = write(tmp_path, {"main.py": TRAIN, "train.py": TRAIN + "#" * 1024 * 1024})
    assert "wrote MLproject: main (main.py)\n" in initialise(home)


def test_the_documents_of_a_project_tell_how_it_starts_its_scripts(tmp_path: Path) -> None:
    home = write(tmp_path, {"src/train.py": f"open('few.csv')\n{TRAIN}", "src/few.csv": "", "data": ""})
    initialise(home)
    assert "cd src" in (home / "MLproject").read_text()
    for name in ("MLproject", "mlflow-check.toml"):
        (home / name).unlink()
    write(home, {"Makefile": "train:\n\tpython src/train.py few\n"})
    initialise(home)
    assert "cd src" not in (home / "MLproject").read_text()


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(UserError, match=r"^file is there already: nothing is written over it$"):
        write_new(file, "ours")
    assert file.read_text() == "mine"
    assert names(tmp_path) == ["file"]


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    home = write(tmp_path / "home", PROJECT)
    (home / "mlflow-check.toml").symlink_to(tmp_path / "elsewhere")
    assert "home/mlflow-check.toml: can't read the file" in mistake(home)
    with pytest.raises(UserError, match="is there already"):
        write_new(home / "mlflow-check.toml", "ours")
    assert names(tmp_path) == ["home"]


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Lets this process write files of so many bytes only."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("links", [True, False])
def test_no_room_leaves_no_half_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    home = write(tmp_path, PROJECT)
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    with room_for(500):
        message = mistake(home)
    assert message == snapshot("""\
mlflow-check.toml: can't be written: File too large
  make room there, or let this user write in the directory\
""")
    assert names(home) == ["data", "evaluate.py", "train.py"]


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", _no_links)
    write_new(tmp_path / "file", "text")
    assert ((tmp_path / "file").read_text(), names(tmp_path)) == ("text", ["file"])
    with pytest.raises(UserError, match="is there already"):
        write_new(tmp_path / "file", "more")
    assert ((tmp_path / "file").read_text(), names(tmp_path)) == ("text", ["file"])


def _no_links(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_files_have_the_rights_that_others_have(tmp_path: Path) -> None:
    write_new(tmp_path / "ours", "x")
    (tmp_path / "other").write_text("x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "other").stat().st_mode


# and then


@pytest.mark.e2e
@pytest.mark.launch
def test_the_check_of_what_it_wrote(tmp_path: Path) -> None:
    home = write(tmp_path / "home", {name: text for name, text in PROJECT.items() if name != "evaluate.py"})
    initialise(home)
    _, report = run_session(tmp_path, f"--mlflow-project={home}")
    assert [item.attrib["name"] for item in report.iter("testcase")].count("launches") == 1
    assert not any(outcome(report).values())


@pytest.mark.e2e
@pytest.mark.launch
@pytest.mark.heavy
def test_the_check_of_scripts_in_directories_of_their_own(tmp_path: Path) -> None:
    """One is started where its data is, and one is a package that isn't on the path."""
    train = TRAIN.replace('"data")', '"--data", default="../data/all.csv")').replace(
        "for epoch", "open(args.data).close()\n        for epoch"
    )
    files = {
        "jobs/train.py": train,
        "data/all.csv": "a,b\n1,2\n",
        "src/shop/__init__.py": "",
        "src/shop/__main__.py": "from shop.options import parser\nfrom . import fit\n\nfit.fit(parser())\n",
        "src/shop/options.py": """
            import argparse
            from pathlib import Path

            def parser():
                options = argparse.ArgumentParser()
                table = Path(__file__).parents[2] / "data" / "all.csv"
                options.add_argument("--table", type=Path, default=table)
                return options
            """,
        "src/shop/fit.py": """
            import mlflow

            def fit(parser):
                args = parser.parse_args()
                with mlflow.start_run():
                    mlflow.log_params(vars(args))
                    mlflow.log_metric("rows", len(args.table.read_text().splitlines()))
            """,
    }
    home = write(tmp_path / "home", {name: dedent(text) for name, text in files.items()})
    initialise(home)
    written = (home / "MLproject").read_text()
    assert "cd jobs &&" in written
    assert 'command: "PYTHONPATH=src:$PYTHONPATH python -m shop --table {table}"' in written
    _, report = run_session(tmp_path, f"--mlflow-project={home}")
    assert [item.attrib["name"] for item in report.iter("testcase")].count("launches") == 2
    assert not any(outcome(report).values())


@pytest.mark.e2e
@pytest.mark.launch
@pytest.mark.heavy
def test_the_check_of_several_scripts(tmp_path: Path) -> None:
    """That of the reference project without its own files, which uses click, and one by number."""
    home = write(tmp_path / "home", {"evaluate.py": EVALUATE})
    shutil.copy(ROOT / "example_project" / "iterate.py", home)
    initialise(home)
    text, report = run_session(tmp_path, f"--mlflow-project={home}")
    assert [item.attrib["name"] for item in report.iter("testcase")].count("launches") == 2
    assert not any(outcome(report).values())
    assert "warning" not in text
