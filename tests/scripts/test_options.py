"""The options of scripts: all of them where the text tells them, and none where it doesn't."""

from __future__ import annotations

from textwrap import dedent

import pytest

from pytest_mlflow_check.scripts.options import Options, options_of
from pytest_mlflow_check.scripts.static_eval import Code

HELP = {"-h", "--help"}
ADD = 'parser.add_argument("--lr", "-l")\n'
MADE = "parser = argparse.ArgumentParser()\n"
ARGPARSE = f"import argparse\n{MADE}{ADD}args = parser.parse_args()\n"
COMMAND = """
import click
@click.command()
@click.option("--lr", "-l", "rate", default=0.1)
@click.option("--shuffle/--no-shuffle", default=True)
@click.argument("data")
def main(rate, shuffle, data): ...
main()
"""
TYPER = """
import typer
from typing import Annotated, Optional
def main(data: str, learning_rate: float = 0.1, shuffle: bool = True,
         seed: Annotated[Optional[int], typer.Option("--seed", "-s")] = None): ...
typer.run(main)
"""


def options(text: str) -> set[str] | None:
    found = options_of(Code.of(dedent(text).encode()))
    return None if found is None else {*found.names}


# argparse


def test_argparse() -> None:
    assert options(ARGPARSE) == {"--lr", "-l", *HELP}


@pytest.mark.parametrize(
    "text",
    [
        f"def parse(argv=None):\n    {MADE}    {ADD}    return parser.parse_args(argv)\nparse()\n",
        f"def make():\n    {MADE}    {ADD}    return parser\nmake().parse_args()\n",
        f"def add(parser):\n    {ADD}p = argparse.ArgumentParser('x')\nadd(p)\np.parse_args(sys.argv[1:])\n",
        "parser = argparse.ArgumentParser(description=__doc__)\ngroup = parser.add_argument_group('g')\n"
        "group.add_argument('--lr', '-l')\nargs = parser.parse_args()\n",
        f"parser = argparse.ArgumentParser()\nparser.add_argument('data', nargs='*')\n{ADD}"
        "if len(sys.argv) == 1:\n    raise SystemExit(sys.argv[0])\nparser.parse_args()\n",
    ],
)
def test_argparse_in_other_ways(text: str) -> None:
    assert options(f"import argparse, sys\n{text}") == {"--lr", "-l", *HELP}


def test_what_argparse_adds_by_itself() -> None:
    text = ARGPARSE.replace('"-l"', '"-l", action=argparse.BooleanOptionalAction')
    assert options(text) == {"--lr", "-l", "--no-lr", *HELP}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("args = parser.parse_args()", "args, _ = parser.parse_known_args()"),
        ("args = parser.parse_args()", "args = parser.parse_args(arguments())"),
        ("args = parser.parse_args()", 'args = parser.parse_args(["--lr", "1"])'),
        ("args = parser.parse_args()", "def parse():\n    parser.parse_args()\n"),
        ("args = parser.parse_args()", "args = parse(parser)"),
        ("args = parser.parse_args()", "add_more(parser)\nargs = parser.parse_args()"),
        ("args = parser.parse_args()", "try:\n    parser.parse_args()\nexcept SystemExit:\n    pass\n"),
        ("args = parser.parse_args()", "try:\n    parser.parse_args()\nexcept:\n    pass\n"),
        ("args = parser.parse_args()", "rest = sys.argv[3:]\nargs = parser.parse_args()"),
        ("args = parser.parse_args()", "sys.argv.remove('--x')\nargs = parser.parse_args()"),
        ("args = parser.parse_args()", "parser.error = print\nargs = parser.parse_args()"),
        (ADD, f"{ADD}sub = parser.add_subparsers()\n"),
        (ADD, f"{ADD}add = parser.add_argument\n"),
        (ADD, 'for name in names:\n    parser.add_argument(f"--{name}")\n'),
        (ADD, "for name in names:\n    parser.add_argument(*name)\n"),
        (ADD, f'{ADD}parser.add_argument("rest", nargs=argparse.REMAINDER)\n'),
        (ADD, f'{ADD}parser.add_argument("rest", nargs="...")\n'),
        (ADD, f'{ADD}parser.add_argument("--rest", **more)\n'),
        ("ArgumentParser()", "ArgumentParser(parents=[common])"),
        ("ArgumentParser()", 'ArgumentParser(fromfile_prefix_chars="@")'),
        ("ArgumentParser()", 'ArgumentParser(prefix_chars="+")'),
        ("ArgumentParser()", "ArgumentParser(**settings)"),
        ("argparse.ArgumentParser()", "MyParser()"),
        ("import argparse", "import argparse, hydra"),
        ("import argparse", "import argparse, click"),
        ("import argparse", "import argparse\nfrom absl import flags"),
        ("import argparse", "import configargparse as argparse"),
    ],
)
def test_argparse_that_may_take_more(old: str, new: str) -> None:
    text = f"import sys\n{ARGPARSE}"
    assert options(text)
    assert old in text
    assert options(text.replace(old, new)) is None


def test_a_second_parser_tells_nothing() -> None:
    assert options(f"{ARGPARSE}other = argparse.ArgumentParser()\n") is None


# click


def test_click() -> None:
    assert options(COMMAND) == {"--lr", "-l", "--shuffle", "--no-shuffle", "--version", *HELP}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("command()", 'command(context_settings={"ignore_unknown_options": True})'),
        ("command()", "command(cls=Mine)"),
        ("command()", "group()"),
        ("@click.argument", "@shared_options\n@click.argument"),
        ('"--lr", "-l", "rate"', "*names"),
        ('"--lr", "-l", "rate"', "NAME"),
        ("\nmain()", ""),
        ("\nmain()", "\nmain(arguments())"),
        ("\nmain()", "\nmain(standalone_mode=False)"),
        ("def main", "@click.group()\ndef other(): ...\ndef main"),
    ],
)
def test_click_that_may_take_more(old: str, new: str) -> None:
    assert old in COMMAND
    assert options(COMMAND.replace(old, new)) is None


# typer


def test_typer() -> None:
    assert options(TYPER) == {
        *("--learning-rate", "--no-learning-rate", "--shuffle", "--no-shuffle", "--seed", "-s", "--help"),
        *("--install-completion", "--show-completion"),
    }


def test_an_app_of_typer_with_one_command() -> None:
    app = TYPER.replace("def main", "app = typer.Typer()\n@app.command()\ndef main")
    app = app.replace("typer.run(main)", "app()")
    assert options(app) == options(TYPER)
    assert options(app.replace("app.command()", "app.command(context_settings=loose)")) is None
    assert options(app.replace("typer.Typer()", "typer.Typer(cls=Mine)")) is None
    assert options(f"@app.callback()\ndef shared(): ...\n{app}") is None
    assert options(app.replace("@app.command()", "@app.command()\n@twice")) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.1", "RATE"),
        ("0.1", "option()"),
        ('"--seed", "-s"', "*SPELLINGS"),
        ("data: str", "data: Name"),
        ("data: str", "data: str, *rest"),
        ("typer.run(main)", "typer.run(MAIN)"),
    ],
)
def test_typer_that_may_take_more(old: str, new: str) -> None:
    assert old in TYPER
    assert options(TYPER.replace(old, new)) is None


# words


@pytest.mark.parametrize("word", ["--lr", "--lr=1", "-l", "-l0.1", "--learn", "--learning-rate=2"])
def test_words_that_are_options(word: str) -> None:
    assert Options(frozenset(["--lr", "-l", "--learning-rate"]), abbreviated=True).takes(word)


@pytest.mark.parametrize("word", ["--learning_rate", "--lrs", "-x", "--l-r=3"])
def test_words_that_are_none(word: str) -> None:
    assert not Options(frozenset(["--lr", "-l", "--learning-rate"]), abbreviated=True).takes(word)


def test_click_takes_no_abbreviation() -> None:
    assert not Options(frozenset(["--learning-rate"])).takes("--learn")
