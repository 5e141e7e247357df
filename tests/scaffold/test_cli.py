"""Scripts as `--mlflow-init` reads them: their arguments, by each parser, and which files are scripts."""

from __future__ import annotations

import shlex
from textwrap import dedent
from typing import Any

import pytest
import yaml

from pytest_mlflow_check.scaffold.discovery import Script, scripts_of
from pytest_mlflow_check.scaffold.render import Entry, mlproject_text
from pytest_mlflow_check.scripts.cli import absl, argparse, click, fire, sys_argv, typer
from pytest_mlflow_check.scripts.model import Argument, Start, parameters
from pytest_mlflow_check.scripts.static_eval import Code

READERS = {"argparse": argparse, "click": click, "typer": typer, "argv": sys_argv}

GUARD = 'if __name__ == "__main__":\n    main()\n'
LOGS = f"import mlflow\n\ndef main():\n    mlflow.start_run()\n\n{GUARD}"


def code(text: str) -> Code:
    return Code.of(dedent(text).encode())


def shown(start: Start) -> list[str]:
    """The arguments of a start, each in a line that says all of it."""
    return [
        f"{level.word}: {_shown(one)}" if level.word else _shown(one)
        for level in start.levels
        for one in level.arguments
    ]


def _shown(one: Argument) -> str:
    parts = [one.name, one.flag or "positional", one.type]
    parts += [f"= {one.default!r}"] if one.default is not None else []
    parts += ["required"] if one.required else []
    parts += [f"of {', '.join(one.choices)}"] if one.choices else []
    parts += [f"({one.left_out})"] if one.left_out else []
    parts += [f"x{one.values}"] if one.values > 1 else []
    return " ".join(parts)


def read(reader: str, text: str) -> list[list[str]]:
    return [shown(parameters(one)) for one in READERS[reader].starts(code(text))]


# argparse


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ('"--lr", type=float, default=0.1', "lr --lr float = '0.1'"),
        ('"--lr", type=float, default=1', "lr --lr float = '1.0'"),
        ('"--lr", type=float, default=1e-5', "lr --lr float = '1e-05'"),
        ('"-n", "--n-iter", type=int, default=5', "n_iter --n-iter int = '5'"),
        ('"-n", type=int, default=-1', "n -n int = '-1'"),
        ('"--n", type=int, default=1e3', "n --n int = '1000'"),
        ('"--n", type=int, default=2 * 32', "n --n int = '64'"),
        ('"--n", type=int, default=BATCH', "n --n int = '16'"),
        ('"--n", type=int, default="7"', "n --n int = '7'"),
        ('"--name", default="a_b"', "name --name string = 'a_b'"),
        (
            '"--name", default="a b"',
            "name --name string (default in quotes: `mlflow run` would log these too)",
        ),
        ('"--name", default=""', "name --name string (default in quotes: `mlflow run` would log these too)"),
        ('"--n", type=int, default=0x' + "f" * 5000, "n --n int (computed default)"),
        ('"--learning-rate", dest="lr", type=float, default=2', "lr --learning-rate float = '2.0'"),
        ('"--model.lr", type=float, default=2', "model_lr --model.lr float = '2.0'"),
        ('"--data", type=Path, default=Path("a/b")', "data --data path = 'a/b'"),
        ('"--data", type=argparse.FileType("r"), required=True', "data --data path required"),
        ('"data"', "data positional string required"),
        ('"data", nargs="?", default="x"', "data positional string = 'x'"),
        ('"--opt", choices=["adam", "sgd"], required=True', "opt --opt string required of adam, sgd"),
        ('"--opt", choices=NAMES, default="adam"', "opt --opt string = 'adam'"),
        ('"--seed", type=str2bool, default=False', "seed --seed string = 'False'"),
        ('"--size", nargs=2, type=int, required=True', "size --size int required x2"),
        ('"--key", "-k", help="a"', "key --key string (no default)"),
        ('"--v", action="store_true"', "v --v string (flag: MLflow passes on values only)"),
        ('"--v", action="count", default=0', "v --v string (flag: MLflow passes on values only)"),
        (
            '"--v", action=argparse.BooleanOptionalAction, default=True',
            "v --v string (flag: MLflow passes on values only)",
        ),
        ('"--v", action=Own, default="x"', "v --v string (action of its own)"),
        ('"--b", type=bool, default=False', "b --b string (type=bool takes every text for true)"),
        ('"--n", default=10', "n --n string (no type: a number that is given would stay text)"),
        (
            '"--gpus", nargs="+", type=int, default=[0]',
            "gpus --gpus int (several values: MLflow passes a parameter on as one)",
        ),
        ('"--out", default=os.getcwd()', "out --out string (computed default)"),
        ('"--out", default="-"', "out --out string (default that can't stand on a command line)"),
        ('"--out", default="a\\0"', "out --out string (computed default)"),
        ('"--out", default="\\ud800"', "out --out string (computed default)"),
        ('"--\\ud800", default="a"', None),
        (
            '"--db", default="postgresql://me:word@host/x"',
            "db --db string (secret, it seems: `mlflow run` logs every parameter)",
        ),
        ('"--n", type=int, default="x"', "n --n int (default that can't stand on a command line)"),
        (
            '"--api-key", default="abc"',
            "api_key --api-key string (secret, it seems: `mlflow run` logs every parameter)",
        ),
        ('"--max-tokens", type=int, default=9', "max_tokens --max-tokens int = '9'"),
        ('"rest", nargs=argparse.REMAINDER', None),
        ('"--version", action="version", version="1"', None),
        ('"--" + name, default=1', None),
        ("*names", None),
    ],
)
def test_an_argument_of_argparse(call: str, expected: str | None) -> None:
    text = f"import argparse\nfrom pathlib import Path\nBATCH = 16\nparser.add_argument({call})\n"
    found = [line for start in read("argparse", text) for line in start]
    if "REMAINDER" in call:
        expected = "rest positional string (several values: MLflow passes a parameter on as one)"
    assert found == ([] if expected is None else [expected])


def test_a_constant_that_is_set_twice_is_none() -> None:
    text = "import argparse\nN = 1\nif x:\n    N = 2\nparser.add_argument('--n', type=int, default=N)\n"
    assert read("argparse", text) == [["n --n int (computed default)"]]


def test_a_constant_of_a_function() -> None:
    text = "import argparse\ndef get():\n    n = 4\n    parser.add_argument('--n', type=int, default=n)\n"
    assert read("argparse", text) == [["n --n int = '4'"]]
    for elsewhere in ("def f(n): ...\n", "n += 1\n", "for n in x: ...\n"):
        assert read("argparse", text + elsewhere) == [["n --n int (computed default)"]]
    assert read("argparse", text.replace("def get()", "class Options")) == [["n --n int (computed default)"]]


def test_groups_parents_and_subcommands_of_argparse() -> None:
    text = """
    import argparse
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--seed", type=int, default=0)
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", default="r")
    group = parser.add_argument_group("paths")
    group.add_argument("--cache", default="c")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--cpu", default="a")
    parser.add_argument_group("more").add_argument("--more", default="m")
    sub = parser.add_subparsers(dest="command")
    fit = sub.add_parser("fit", parents=[common])
    fit.add_argument("data")
    fit.add_argument_group("x").add_argument("--root", default="again")
    sub.add_parser("show").add_argument("--n", type=int, required=True)
    db = sub.add_parser("move")
    db.add_argument("--url", required=True)
    up = db.add_subparsers().add_parser("up")
    up.add_argument("--to", default="head")
    """
    shared = [
        "root --root string = 'r'",
        "cache --cache string = 'c'",
        "cpu --cpu string (excludes other options)",
        "more --more string = 'm'",
    ]
    assert read("argparse", text) == [
        [
            *shared,
            "fit: seed --seed int = '0'",
            "fit: data positional string required",
            "fit: root_2 --root string = 'again'",
        ],
        [*shared, "show: n --n int required"],
        [*shared, "move: url --url string required", "up: to --to string = 'head'"],
    ]


def test_a_positional_behind_one_that_is_left_out() -> None:
    text = """
    import argparse
    parser.add_argument("data")
    parser.add_argument("files", nargs="*")
    parser.add_argument("out", nargs="?", default="x")
    """
    assert read("argparse", text) == [
        [
            "data positional string required",
            "files positional string (several values: MLflow passes a parameter on as one)",
            "out positional string (behind a positional that is left out)",
        ]
    ]


# click


@pytest.mark.parametrize(
    ("decorator", "expected"),
    [
        ('option("--lr", default=0.1)', "lr --lr float = '0.1'"),
        ('option("-e", "--n-epochs", default=3)', "n_epochs --n-epochs int = '3'"),
        ('option("--n", "number", type=int, required=True)', "number --n int required"),
        ('option("--n", type=click.IntRange(1, 9), default=2)', "n --n int = '2'"),
        ('option("--data", type=click.Path(exists=True), required=True)', "data --data path required"),
        ('option("--opt", type=click.Choice(["a", "b"]), default="a")', "opt --opt string = 'a' of a, b"),
        ('option("--name", prompt=True)', "name --name string required"),
        ('option("--name", prompt=True, default="x")', "name --name string = 'x'"),
        ('option("--fast", is_flag=True)', "fast --fast string (flag: MLflow passes on values only)"),
        (
            'option("--fast/--slow", default=True)',
            "fast --fast string (flag: MLflow passes on values only)",
        ),
        (
            'option("--f", multiple=True, default=["a"])',
            "f --f string (several values: MLflow passes a parameter on as one)",
        ),
        ('option("--lr")', "lr --lr string (no default)"),
        ('argument("training_data")', "training_data positional string required"),
        ('argument("out", default="x")', "out positional string = 'x'"),
        (
            'argument("files", nargs=-1)',
            "files positional string (several values: MLflow passes a parameter on as one)",
        ),
        ('version_option("1")', None),
    ],
)
def test_an_argument_of_click(decorator: str, expected: str | None) -> None:
    text = f"import click\n@click.command()\n@click.{decorator}\ndef main(**values): ...\n"
    assert read("click", text) == [[] if expected is None else [expected]]


def test_names_that_are_imported_from_click() -> None:
    text = """
    from click import command as make, option
    @make
    @option("--lr", default=1.5)
    def main(lr): ...
    """
    text = text.replace("command as make", "command").replace("@make", "@command")
    assert read("click", text) == [["lr --lr float = '1.5'"]]


def test_groups_of_click() -> None:
    text = """
    import click
    @click.group()
    @click.option("--root", default="r")
    def cli(root): ...
    @cli.command("fit")
    @click.option("--lr", default=0.1)
    def train(lr): ...
    @cli.group()
    def data(): ...
    @data.command()
    def make_all(): ...
    @click.command()
    @click.argument("n", type=int)
    def show(n): ...
    cli.add_command(show)
    """
    root = "root --root string = 'r'"
    assert read("click", text) == [
        [root, "fit: lr --lr float = '0.1'"],
        [root],
        [root, "show: n positional int required"],
    ]
    assert [start.words for start in click.starts(code(text))] == [
        ("fit",),
        ("data", "make-all"),
        ("show",),
    ]


def test_commands_are_called_as_click_calls_them() -> None:
    names = ["train_cmd", "Show_Command", "make_all", "cmd", "group_"]
    text = "import click\n@click.group()\ndef cli(): ...\n"
    text += "".join(f"@cli.command()\ndef {name}(): ...\n" for name in names)
    namespace: dict[str, Any] = {}
    exec(text, namespace)
    words = [start.words[0] for start in click.starts(code(text))]
    assert words == list(namespace["cli"].commands)


def test_of_two_commands_of_click_the_one_that_is_called() -> None:
    text = """
    import click
    @click.command()
    @click.option("--a", default=1)
    def one(a): ...
    @click.command()
    @click.option("--b", default=1)
    def two(b): ...
    one()
    """
    assert read("click", text) == [["a --a int = '1'"]]


def test_options_of_click_that_several_commands_share() -> None:
    text = """
    import click
    seed = click.option("--seed", default=3)
    def common(function):
        function = click.option("--lr", default=0.1)(function)
        return click.option("--data", required=True)(function)
    @click.command()
    @seed
    @common
    @timed
    def main(**values): ...
    """
    assert read("click", text) == [
        ["seed --seed int = '3'", "lr --lr float = '0.1'", "data --data string required"]
    ]


@pytest.mark.parametrize(
    ("text", "library"),
    [
        ("import click\n@click.group()\ndef cli(): ...\ncli.add_command(elsewhere.train)\n", "click"),
        ("import typer\napp = typer.Typer()\napp.add_typer(elsewhere.app, name='x')\n", "typer"),
        ("import click\nclick.echo('x')\n", None),
    ],
)
def test_commands_that_other_modules_define(text: str, library: str | None) -> None:
    (script,) = scripts_of({"train.py": f"{text}{LOGS}".encode()}).scripts
    assert script.not_read == library


# typer


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("lr: float = 0.1", "lr --lr float = '0.1'"),
        ("n_iter: int = 3", "n_iter --n-iter int = '3'"),
        ("data: Path", "data positional path required"),
        ('out: Path = Path("out")', "out --out path = 'out'"),
        ("n: int = typer.Option(...)", "n --n int required"),
        ('n: int = typer.Option(5, "-k", "--count")', "n --count int = '5'"),
        ('n: Annotated[int, typer.Option("--n-iter")] = 3', "n --n-iter int = '3'"),
        ("n: Annotated[int, typer.Option()]", "n --n int required"),
        ('data: str = typer.Argument("x")', "data positional string = 'x'"),
        ("kind: Kind = Kind.sgd", "kind --kind string = 'SGD' of Adam, SGD"),
        ('kind: Literal["a", "b"] = "b"', "kind --kind string = 'b' of a, b"),
        ('kind: "int" = 2', "kind --kind int = '2'"),
        ("lr: Optional[float] = None", "lr --lr float (no default)"),
        ("lr: float | None = None", "lr --lr float (no default)"),
        ("fast: bool = False", "fast --fast string (flag: MLflow passes on values only)"),
        (
            "n: list[int] = [1]",
            "n --n string (several values: MLflow passes a parameter on as one)",
        ),
        ("n: Annotated[int, typer.Option(default_factory=f)]", "n --n int (computed default)"),
        ("context: typer.Context", None),
    ],
)
def test_an_argument_of_typer(declared: str, expected: str | None) -> None:
    text = f"""
    import typer
    from enum import Enum
    from pathlib import Path
    from typing import Annotated, Literal, Optional
    class Kind(str, Enum):
        adam = "Adam"
        sgd = "SGD"
    def main({declared}): ...
    typer.run(main)
    """
    assert read("typer", text) == [[] if expected is None else [expected]]


def test_apps_of_typer() -> None:
    alone = """
    import typer
    app = typer.Typer()
    @app.command()
    def main(lr: float = 0.1): ...
    """
    assert typer.starts(code(alone))[0].words == ()
    several = f"""{alone}
    other = typer.Typer()
    app.add_typer(other, name="data")
    @app.callback()
    def shared(root: str = "r"): ...
    @other.callback()
    def of_data(token_file: str = "x"): ...
    @other.command(name="get")
    def fetch_all(*, url: str): ...
    def plain(n: int = 1): ...
    app.command("by-hand")(plain)
    """
    root = "root --root string = 'r'"
    assert read("typer", several) == [
        [root, "by-hand: n --n int = '1'"],
        [root, "main: lr --lr float = '0.1'"],
        [root, "data: token_file --token-file string = 'x'", "get: url positional string required"],
    ]
    last = typer.starts(code(several))[-1]
    assert [level.word for level in last.levels] == [None, "data", "get"]


def test_of_options_that_exclude_each_other_the_first_is_given_where_one_has_to_be() -> None:
    text = """
    import argparse
    parser = argparse.ArgumentParser()
    source = parser.add_argument_group("from").add_mutually_exclusive_group(required=True)
    source.add_argument("--builtin", action="store_true")
    source.add_argument("--password")
    source.add_argument("--shape", type=parse_shape)
    source.add_argument("--csv", type=Path)
    source.add_argument("--url")
    """
    assert read("argparse", text) == [
        [
            "builtin --builtin string (excludes other options)",
            "password --password string (excludes other options)",
            "shape --shape string (excludes other options)",
            "csv --csv path required",
            "url --url string (excludes other options)",
        ]
    ]


# sys.argv


def test_arguments_by_number() -> None:
    text = """
    import sys
    data = sys.argv[1]
    alpha = float(sys.argv[2]) if len(sys.argv) > 2 else 0.5
    ratio = 1 if len(sys.argv) < 4 else int(sys.argv[3])
    """
    assert read("argv", text) == [
        ["data positional string required", "alpha positional float = '0.5'", "ratio positional int = '1'"]
    ]


@pytest.mark.parametrize(
    "text",
    [
        "def main(argv):\n  data = argv[1]\n  alpha = float(argv[2])\nmain(sys.argv)",
        "def main(argv):\n  data = argv[0]\n  alpha = float(argv[1])\nmain(sys.argv[1:])",
        "def train(args):\n  data = args[0]\n  alpha = float(args[1])\n"
        "def main(argv):\n  train(argv[1:])\nmain(sys.argv)",
        "args = sys.argv[1:]\ndata = args[0]\nalpha = float(args[1])",
    ],
)
def test_arguments_by_number_of_another_name(text: str) -> None:
    assert read("argv", f"import sys\n{text}") == [
        ["data positional string required", "alpha positional float required"]
    ]


def test_arguments_that_are_taken_at_once() -> None:
    both = [["a positional string required", "b positional string required"]]
    assert read("argv", "import sys\n_, a, b = sys.argv") == both
    assert read("argv", "from sys import argv\n[a, b, *rest] = argv[1:]") == both
    assert read("argv", "import sys\na, b = map(float, sys.argv[1:3])") == [
        ["a positional float required", "b positional float required"]
    ]


@pytest.mark.parametrize(
    "text",
    [
        "import sys\ndef main(argv):\n  argv = argv[1:]\n  print(argv[0])\nmain(sys.argv)",
        "import sys\nargv = sys.argv\nargv = argv[1:]\nrest = argv[1:]\nn = int(rest[0])",
        "import sys\nargs = sys.argv[1:]\nif not args:\n  args = ['3']\nprint(args[0])",
        "import sys\ndef accuracy(args):\n  return args[3]\ndef main(args):\n  accuracy([])\nmain(sys.argv)",
        "import sys\nargs = sys.argv\nfor args in rows:\n  print(args[12])",
        "import sys\nargs = sys.argv\nkey = lambda args: args[2]",
        "from sys import argv\ndef main(argv):\n  print(argv[0], argv[1])\nmain(argv[1:])",
        "import sys\nclass Job:\n  def main(self, rows):\n    print(rows[2])\nmain(1, sys.argv)",
    ],
)
def test_a_name_that_stands_for_something_else_too_says_nothing(text: str) -> None:
    assert read("argv", text) == []


def test_arguments_of_a_function_that_takes_them_by_position_only() -> None:
    text = "import sys\ndef main(argv, /, config):\n  print(argv[1], config[7])\nmain(sys.argv, {})"
    assert read("argv", text) == [["arg1 positional string required"]]


@pytest.mark.parametrize(
    "text",
    [
        "try:\n  _, n, alpha = sys.argv\nexcept ValueError:\n  n, alpha = 3, 0.5",
        "if len(sys.argv) > 2:\n  n, alpha = sys.argv[1:]",
    ],
)
def test_arguments_that_are_taken_at_once_where_there_are_any(text: str) -> None:
    assert read("argv", f"import sys\n{text}") == [
        ["n positional string (computed default)", "alpha positional string (computed default)"]
    ]


def test_no_part_of_the_arguments_that_cannot_be_told() -> None:
    assert read("argv", "import sys\nprint(sys.argv[x:][0], sys.argv[::2][1], sys.argv[-1])") == []


def test_arguments_by_number_that_are_asked_for() -> None:
    text = """
    import sys
    if len(sys.argv) > 1:
        print(sys.argv[1])
    try:
        n = int(sys.argv[2])
    except IndexError:
        n = 3
    """
    assert read("argv", text) == [
        [
            "arg1 positional string (computed default)",
            "n positional int (computed default)",
        ]
    ]
    assert read("argv", "import sys\nprint(sys.argv[0], sys.argv[1:], sys.argv[10**9])") == []


# absl


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ('flags.DEFINE_string("data", "a/b", "help")', "data --data string = 'a/b'"),
        ('flags.DEFINE_integer("n_iter", 3, "help")', "n_iter --n_iter int = '3'"),
        ('flags.DEFINE_float("lr", default=1, help="x")', "lr --lr float = '1.0'"),
        ('flags.DEFINE_enum("opt", "a", ["a", "b"], "help")', "opt --opt string = 'a' of a, b"),
        ('flags.DEFINE_string("data", None, "help", required=True)', "data --data string required"),
        ('flags.DEFINE_string("marked", None, "help")', "marked --marked string required"),
        ('flags.DEFINE_string("out", None, "help")', "out --out string (no default)"),
        ('flags.DEFINE_bool("v", False, "x")', "v --v string (flag: MLflow passes on values only)"),
        (
            'flags.DEFINE_multi_integer("n", [1], "x")',
            "n --n string (several values: MLflow passes a parameter on as one)",
        ),
        ('flags.DEFINE_enum_class("k", Kind.A, Kind, "x")', "k --k string (action of its own)"),
        ("flags.DEFINE_string(name, 'x', 'help')", None),
    ],
)
def test_a_flag_of_absl(call: str, expected: str | None) -> None:
    text = f"from absl import flags\nF = {call}\nflags.mark_flags_as_required(['marked'])\n"
    found = [line for start in absl.starts([code(text)]) for line in shown(parameters(start))]
    assert found == ([expected] if expected else [])


def test_flags_of_absl_in_several_modules() -> None:
    sources = {
        "train.py": "from absl import app, flags\nimport net\nflags.DEFINE_float('lr', 0.5, 'x')\n"
        f"{LOGS}app.run(main)\n",
        "net.py": "from absl import flags\nflags.DEFINE_integer('width', 8, 'x')\n",
    }
    (script,) = scripts_of({path: text.encode() for path, text in sources.items()}).scripts
    assert [shown(start) for start in script.starts] == [["lr --lr float = '0.5'", "width --width int = '8'"]]
    sources["net.py"] += "from ml_collections import config_flags\n"
    (script,) = scripts_of({path: text.encode() for path, text in sources.items()}).scripts
    assert script.not_read == "absl"


# fire


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("lr: float = 0.1", "lr --lr float = '0.1'"),
        ("lr: float = 1", "lr --lr int = '1'"),
        ("n_iter=3", "n_iter --n_iter int = '3'"),
        ("data", "data --data string required"),
        ("n: int", "n --n int required"),
        ("fast=False", "fast --fast string = 'False'"),
        ("kind: str = 'adam'", "kind --kind string = 'adam'"),
        ("data='../data/a-b.csv'", "data --data string = '../data/a-b.csv'"),
        ("text='1'", "text --text string (default that can't stand on a command line)"),
        ("text='None'", "text --text string (default that can't stand on a command line)"),
        ("text='a,b'", "text --text string (default that can't stand on a command line)"),
        ("n=[1, 2]", "n --n string (several values: MLflow passes a parameter on as one)"),
        ("n=None", "n --n string (no default)"),
        ("*rest, **more", None),
    ],
)
def test_an_argument_of_fire(declared: str, expected: str | None) -> None:
    found = fire.starts(code(f"import fire\ndef main({declared}): ...\nfire.Fire(main)\n"))
    assert [shown(parameters(one)) for one in found or ()] == [[expected] if expected else []]


def test_commands_of_fire() -> None:
    text = """
    from fire import Fire
    def train(lr=0.1): ...
    def show(n): ...
    def _hidden(): ...
    class Job:
        def __init__(self, root="r"): ...
        def fit(self, lr=0.5): ...
        @staticmethod
        def check(n=1): ...
        def _own(self): ...
    """

    def commands(end: str) -> list[list[str]] | None:
        found = fire.starts(code(dedent(text) + end))
        return None if found is None else [[*start.words, *shown(start)] for start in found]

    root, lr, n = "root --root string = 'r'", "lr --lr float = '0.5'", "n --n int = '1'"
    assert commands("Fire(Job)\n") == [["fit", root, f"fit: {lr}"], ["check", root, f"check: {n}"]]
    assert commands("Fire({'go': train, 'n': show})\n") == [
        ["go", "go: lr --lr float = '0.1'"],
        ["n", "n: n --n string required"],
    ]
    assert [line[0] for line in commands("Fire()\n") or ()] == ["train", "show", "Job", "Job"]
    for unknown in ("Fire(Job())\n", "Fire({name: train})\n", "Fire(other)\n", "Fire(train)\nFire(show)\n"):
        assert commands(unknown) is None


# which files


def found(sources: dict[str, str]) -> list[str]:
    return [
        script.path for script in scripts_of({path: text.encode() for path, text in sources.items()}).scripts
    ]


def test_scripts_that_log_the_likeliest_first() -> None:
    assert found(
        {
            "evaluate.py": LOGS,
            "library.py": "import mlflow\n\ndef log(x):\n    mlflow.log_metric('x', x)\n",
            "deep/train.py": LOGS,
            "train.py": LOGS,
            "plain.py": GUARD,
            "serve.py": f"import flask\n{LOGS}",
            "load.py": f"import mlflow\nmlflow.pyfunc.load_model('x')\n{GUARD}",
            "notebook.py": "import mlflow\nmlflow.autolog()\nmodel.fit(x)\n",
            "through.py": f"from pack.deep import log\n{GUARD}",
            "pack/deep.py": "from . import library\n",
            "pack/library.py": "import mlflow\nmlflow.log_metric\n",
            "tests/test_train.py": LOGS,
            "tests/train.py": LOGS,
            "setup.py": LOGS,
            "pack/__init__.py": LOGS,
            "train_cnn.py": LOGS,
        }
    ) == ["train.py", "deep/train.py", "train_cnn.py", "evaluate.py", "notebook.py", "through.py"]


TEST = "def test_it():\n    assert f()\n"


@pytest.mark.parametrize(
    ("path", "text", "is_script"),
    [
        ("simple_test.py", "import mlflow\nwith mlflow.start_run():\n    mlflow.log_param('a', 1)\n", True),
        ("test_mlflow.py", LOGS, True),
        ("deep/ab_test.py", f"import helper\n{LOGS}", True),
        ("test_it.py", f"{TEST}{LOGS}", True),
        ("test_it.py", f"import mlflow\nmlflow.autolog()\n{TEST}", False),
        ("test_it.py", "import mlflow\nmlflow.autolog()\nclass TestIt: ...\n", False),
        ("test_it.py", f"import pytest\n{TEST}{LOGS}", False),
        ("it_test.py", f"import unittest\n{LOGS}", False),
        ("model_test.py", f"import train\n{GUARD}", False),
        ("test/train.py", LOGS, False),
    ],
)
def test_scripts_that_are_called_like_tests(path: str, text: str, is_script: bool) -> None:
    assert found({"train.py": LOGS, path: text}) == (["train.py", path] if is_script else ["train.py"])


def test_where_nothing_logs_the_usual_names() -> None:
    assert found({"tool.py": GUARD, "main.py": "print('x')\n", "train.py": "import x\n"}) == ["main.py"]
    assert found({"tool.py": GUARD, "zool.py": GUARD}) == ["tool.py"]
    assert found({"library.py": "def f(): ...\n"}) == []


def test_what_is_no_python_is_told_apart() -> None:
    both = scripts_of(
        {
            "train.py": b"import mlflow\nprint 'x'\n",
            "main.py": b"\xff\xfe__main__",
            "run.py": b"#" * 10 + b"\n" + b"(" * 10_000,
            "fit.py": b"x\0",
            "deep.py": LOGS.encode() + b"import argparse\nx" + b".add_argument_group()" * 3000,
            "ok.py": "# coding: latin-1\nNAME = 'ä'\n".encode("latin-1") + LOGS.encode(),
        }
    )
    assert [script.path for script in both.scripts] == ["ok.py"]
    assert sorted(both.broken) == ["deep.py", "fit.py", "main.py", "run.py", "train.py"]
    assert both.broken["train.py"].startswith("train.py:2: Missing parentheses")


def test_what_reads_a_command_line_is_named_where_it_isnt_understood() -> None:
    sources = {
        "a.py": f"import hydra\n{LOGS}",
        "b.py": f"import tyro\n{LOGS}",
        "c.py": f"from transformers import HfArgumentParser\n{LOGS}",
        "d.py": f"import fire\n{LOGS}",
    }
    scripts = scripts_of({path: text.encode() for path, text in sources.items()}).scripts
    assert [script.not_read for script in scripts] == ["hydra", "tyro", "HfArgumentParser", "fire"]


def test_a_parser_in_a_module_of_its_own() -> None:
    options = "import argparse\ndef get():\n    parser.add_argument('--lr', type=float, default=1)\n"
    for end, expected in (("", ["lr --lr float = '1.0'"]), (GUARD, [])):
        sources = {"train.py": f"from options import get\n{LOGS}", "options.py": options + end}
        script = scripts_of({path: text.encode() for path, text in sources.items()}).scripts[0]
        assert (script.path, shown(script.starts[0])) == ("train.py", expected)


# and as the parsers themselves take it

ARGPARSE = """
import argparse
from pathlib import Path

def kind(text):
    return text == "True"

shared = argparse.ArgumentParser(add_help=False)
shared.add_argument("--seed", type=int, default=-3)
parser = argparse.ArgumentParser(parents=[shared])
parser.add_argument("--lr", type=float, default=1e-7)
parser.add_argument("-n", "--n-iter", type=int, default=1e3)
parser.add_argument("--on", type=kind, default=True)
parser.add_argument("--off", type=kind, default=False)
parser.add_argument("--where", type=Path, default=Path("a/b.c"))
parser.add_argument("--quoted", default="it's {x}")
parser.add_argument("--text", default="a:b,c%d@e+f=g/h")
parser.add_argument("--empty", default="")
parser.add_argument("--minus", type=float, default=-0.5)
parser.add_argument("--option", default="--text")
parser.add_argument("--flag", action="store_true")
commands = parser.add_subparsers()
fit = commands.add_parser("fit")
fit.add_argument("--deep", default="x")
fit.add_argument("place", nargs="?", default="p-q")
"""
CLICK = """
import click

@click.group()
@click.option("--root", default="a.b")
@click.pass_context
def cli(context, root):
    context.obj = {"root": root}

@cli.group()
@click.option("--mid", default=-2)
@click.pass_obj
def data(seen, mid):
    seen["mid"] = mid

@data.command("get")
@click.option("-r", "--learning-rate", "rate", default=1e-7)
@click.option("--yes", type=bool, default=False)
@click.option("--kind", type=click.Choice(["a", "b"]), default="b")
@click.option("--fast/--slow", default=True)
@click.argument("place", default="its")
@click.pass_obj
def get(seen, **values):
    return seen | values
"""


def command_line(reader: str, text: str) -> list[str]:
    """What the command of the written MLproject gives the script, with every default."""
    (start,) = [parameters(one) for one in READERS[reader].starts(code(text))]
    entry_point = Entry("main", start, Script("train.py"))
    document = yaml.safe_load(mlproject_text("x", [entry_point]))["entry_points"]["main"]
    declared = document["parameters"].items()
    values = {name: shlex.quote(str(parameter["default"])) for name, parameter in declared}
    return shlex.split(document["command"].format(**values))[2:]


def test_argparse_makes_the_same_of_defaults_that_are_given() -> None:
    names: dict[str, Any] = {}
    exec(ARGPARSE, names)
    given = command_line("argparse", ARGPARSE)
    assert names["parser"].parse_args(given) == names["parser"].parse_args(["fit"])
    assert len(given) == 2 * 8 + 1 + 2 + 1


def test_click_makes_the_same_of_defaults_that_are_given() -> None:
    names: dict[str, Any] = {}
    exec(CLICK, names)
    given = command_line("click", CLICK)
    seen = [names["cli"].main(words, standalone_mode=False) for words in (given, ["data", "get"])]
    assert seen[0] == seen[1]
    assert given == [
        *("--root", "a.b", "data", "--mid", "-2", "get"),
        *("--learning-rate", "1e-07", "--yes", "False", "--kind", "b", "its"),
    ]
