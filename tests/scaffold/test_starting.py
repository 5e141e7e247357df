"""Where and as what scripts are started by the MLproject that `--mlflow-init` writes."""

from __future__ import annotations

from textwrap import dedent

import pytest
import yaml

from pytest_mlflow_check.scaffold.discovery import scripts_of
from pytest_mlflow_check.scaffold.project_files import Tree
from pytest_mlflow_check.scaffold.render import entries_of, mlproject_text, settings_text

LOGS = "import mlflow\nmlflow.start_run()\nif __name__ == '__main__': main()\n"


def tree(files: tuple[str, ...]) -> Tree:
    folders = {file.rsplit("/", depth)[0] for file in files for depth in range(1, file.count("/") + 1)}
    return Tree(files, tuple(sorted(folders)))


def written(sources: dict[str, str], *data: str) -> tuple[dict[str, object], str]:
    """The first entry point of the MLproject, and the settings."""
    there = tree((*sources, *data))
    scripts = scripts_of({path: dedent(text).encode() for path, text in sources.items()}, there).scripts
    entries, _ = entries_of(scripts)
    document = yaml.safe_load(mlproject_text("x", entries))
    return document["entry_points"]["main"], settings_text(entries, there)


def command(sources: dict[str, str], *data: str) -> str:
    return str(written(sources, *data)[0]["command"])


PACK = {"pack/data.py": "x = 1\n", "scripts/helper.py": ""}
SEARCH = ":$PYTHONPATH python"


@pytest.mark.parametrize(
    ("path", "imports", "expected"),
    [
        ("train.py", "import pack.data", "python train.py"),
        ("scripts/train.py", "import pack.data", "python -m scripts.train"),
        ("scripts/train.py", "import pack.data, helper", f"PYTHONPATH=.{SEARCH} scripts/train.py"),
        ("scripts/train.py", "import numpy", "python scripts/train.py"),
        ("scripts/train.py", "import helper", "python scripts/train.py"),
        ("scripts/train.py", "import sys, pack.data\nsys.path.append(root)", "python scripts/train.py"),
        ("pack/train.py", "from . import data", "python -m pack.train"),
        ("pack/train.py", "from .data import x", "python -m pack.train"),
        ("pack/deep/train.py", "from ..data import x", "python -m pack.deep.train"),
        ("my-scripts/train.py", "import pack.data", f"PYTHONPATH=.{SEARCH} my-scripts/train.py"),
    ],
)
def test_what_a_script_imports_is_found(path: str, imports: str, expected: str) -> None:
    assert command({path: f"{imports}\n{LOGS}", **PACK}) == expected


@pytest.mark.parametrize(
    ("path", "imports", "expected"),
    [
        ("scripts/train.py", "from pack.data import x", f"PYTHONPATH=src{SEARCH} scripts/train.py"),
        ("src/pack/train.py", "from pack.data import x", f"PYTHONPATH=src{SEARCH} src/pack/train.py"),
        (
            "src/pack/train.py",
            "from pack.data import x\nfrom . import y",
            f"PYTHONPATH=src{SEARCH} -m pack.train",
        ),
        ("src/train.py", "from pack.data import x", "python src/train.py"),
    ],
)
def test_what_a_script_imports_from_src(path: str, imports: str, expected: str) -> None:
    sources = {path: f"{imports}\n{LOGS}", "src/pack/__init__.py": "", "src/pack/data.py": ""}
    assert command(sources) == expected


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"pack/__main__.py": "from .cli import main\nmain()\n"}, "python -m pack --lr {lr}"),
        ({"pack/__main__.py": "from pack.cli import main\nmain()\n"}, "python -m pack --lr {lr}"),
        (
            {"src/pack/__main__.py": "from pack.cli import main\nmain()\n"},
            f"PYTHONPATH=src{SEARCH} -m pack --lr {{lr}}",
        ),
        (
            {
                "a/b/__main__.py": "import sys\nfrom a.b import cli\nsys.exit(cli.main())\n",
                "a/__init__.py": "",
            },
            "python -m a.b --lr {lr}",
        ),
        ({"__main__.py": "from cli import main\nmain()\n"}, "python __main__.py --lr {lr}"),
    ],
)
@pytest.mark.parametrize("reader", ["argparse", "click", "typer"])
def test_a_package_is_started_by_its_name(sources: dict[str, str], expected: str, reader: str) -> None:
    readers = {
        "argparse": """
            import argparse
            def main():
                parser = argparse.ArgumentParser()
                parser.add_argument("--lr", type=float, default=0.5)
                parser.parse_args()
            """,
        "click": """
            import click
            @click.command()
            @click.option("--lr", default=0.5)
            def main(lr): ...
            """,
        "typer": """
            import typer
            main = typer.Typer()
            @main.command()
            def start(lr: float = 0.5): ...
            """,
    }
    (path,) = [path for path in sources if path.endswith("__main__.py")]
    folder = path.removesuffix("__main__.py")
    cli = dedent(readers[reader]) + "import mlflow\nmlflow.autolog\n"
    assert command({**sources, f"{folder}cli.py": cli, f"{folder}__init__.py": ""}) == expected


def test_the_name_of_a_package_and_of_what_lies_in_it() -> None:
    sources = dict.fromkeys(("train.py", "pack/__main__.py", "pack/predict.py"), LOGS)
    scripts = scripts_of({path: text.encode() for path, text in sources.items()}).scripts
    entries = entries_of(scripts)[0]
    assert [(one.name, one.script and one.script.path) for one in entries] == [
        ("main", "train.py"),
        ("pack", "pack/__main__.py"),
        ("predict", "pack/predict.py"),
    ]


OPTION = (
    "import argparse\np = argparse.ArgumentParser()\np.add_argument('--data', default={})\np.parse_args()\n"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (OPTION.format("'../data/all.csv'"), "cd src && python train.py --data {data}"),
        (OPTION.format("'own/few.csv'"), "cd src && python train.py --data {data}"),
        (OPTION.format("'data/all.csv'"), "python src/train.py --data {data}"),
        (OPTION.format("'data/not-there.csv'"), "python src/train.py --data {data}"),
        ("pandas.read_csv('../data/all.csv')\n", "cd src && python train.py"),
        ("open(os.path.join('..', 'data', 'all.csv'))\n", "cd src && python train.py"),
        ("import sys\nsys.path.append('..')\n", "cd src && python train.py"),
        ("open('../data/all.csv'); open('data/all.csv')\n", "python src/train.py"),
        ("open('../../elsewhere/all.csv')\n", "python src/train.py"),
        ("open(os.path.join(os.path.dirname(__file__), '../data/all.csv'))\n", "python src/train.py"),
        ("HERE = Path(__file__).parent\nUP = HERE / '..'\nopen(UP / '../data')\n", "python src/train.py"),
        ("import hydra\nhydra.initialize('../conf')\nx()\n", "python src/train.py TODO"),
        ("'''See ../data/all.csv'''\n'''../data/all.csv'''\n", "python src/train.py"),
        ("os.walk('./')\n", "python src/train.py"),
        ("import helper\n", "cd src && python train.py"),
        ("from pack.data import x\nopen('../data/all.csv')\n", f"cd src && PYTHONPATH=..{SEARCH} train.py"),
        ("from . import helper\n", f"cd src && PYTHONPATH=..{SEARCH} -m src.train"),
    ],
)
def test_a_script_is_started_where_its_files_are(text: str, expected: str) -> None:
    sources = {"src/train.py": f"import mlflow\n{text}{LOGS}", "src/helper.py": "open('../data/all.csv')\n"}
    assert command({**sources, **PACK}, "data/all.csv", "src/own/few.csv") == expected


@pytest.mark.parametrize(
    ("document", "started_there"),
    [
        ("Run `python src/train.py --lr 1`.", False),
        ("train:\n\tpython3.11 -u ./src/train.py\n", False),
        ("python other/src/train.py", True),
        ("python src/train.py.old", True),
        ("cd src; python train.py", True),
    ],
)
def test_how_the_project_itself_starts_a_script(document: str, started_there: bool) -> None:
    sources = {"src/train.py": f"open('own/few.csv')\n{LOGS}".encode()}
    (script,) = scripts_of(sources, tree(("src/train.py", "src/own/few.csv")), document).scripts
    assert script.how.directory == ("src" if started_there else "")


def test_values_of_a_script_that_is_started_elsewhere() -> None:
    text = "import click\n@click.command()\n@click.option('--data', required=True)\n"
    text += "@click.option('--labels', default='../data/labels.csv')\ndef main(data): ...\n"
    entry, settings = written({"src/train.py": text + LOGS}, "data/data.csv", "data/labels.csv")
    assert entry["parameters"] == {
        "data": "string",
        "labels": {"type": "string", "default": "../data/labels.csv"},
    }
    assert 'data = "../data/data.csv"\n' in settings


@pytest.mark.parametrize(
    ("default", "expected"),
    [
        ("Path(__file__).parent / 'own' / 'few.csv'", "src/own/few.csv"),
        ("Path(__file__).resolve().parents[1].joinpath('data')", "data"),
        ("pathlib.Path(__file__).absolute().parent.parent / 'data/all.csv'", "data/all.csv"),
        ("ROOT / 'data' / 'all.csv'", "data/all.csv"),
        ("Path(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'own'))", "src/own"),
        ("Path(f'{ROOT}/data')", "data"),
        ("Path(str(ROOT) + '/data')", "data"),
        ("ROOT", "."),
        ("Path('data') / 'all.csv'", "data/all.csv"),
        ("ROOT / 'out' / 'new.csv'", None),
        ("ROOT.parent / 'data'", None),
        ("ROOT / name", None),
        ("ROOT / '/data'", None),
        ("ROOT / 'data' if x else None", None),
    ],
)
def test_a_default_that_is_relative_to_the_script(default: str, expected: str | None) -> None:
    head = "import os, pathlib\nfrom pathlib import Path\nROOT = Path(__file__).parent.parent\n"
    option = OPTION.format(default).replace("default=", "type=Path, default=")
    entry, _ = written({"src/train.py": head + option + LOGS}, "data/all.csv", "src/own/few.csv")
    declared = {"data": {"type": "string", "default": expected}} if expected else None
    assert entry.get("parameters") == declared


@pytest.mark.parametrize("kind", ["", "type=str, "])
def test_a_path_as_default_where_text_is_taken(kind: str) -> None:
    """What is given would be a text, and code that uses it as a path would die."""
    option = OPTION.format("Path('data') / 'all.csv'").replace("default=", f"{kind}default=")
    entry, _ = written({"train.py": f"from pathlib import Path\n{option}{LOGS}"}, "data/all.csv")
    assert "parameters" not in entry
    click = "import click\n@click.command()\n"
    click += "@click.option('--data', type=click.Path({}), default=Path('a.csv'))\n"
    for argument, declared in (("", False), ("path_type=Path", True), ("exists=True", False)):
        text = f"from pathlib import Path\n{click.format(argument)}def main(data): ...\n{LOGS}"
        assert ("parameters" in written({"train.py": text}, "a.csv")[0]) is declared
