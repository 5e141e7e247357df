"""Parsers that a script builds in functions, classes and other modules, as `--mlflow-init` follows them."""

from __future__ import annotations

from textwrap import dedent

import pytest

from pytest_mlflow_check.scaffold.discovery import Script, scripts_of
from pytest_mlflow_check.scripts.model import Start


def script(sources: dict[str, str], path: str = "train.py") -> Script:
    """The script at a path, which logs to MLflow whatever else it does."""
    files = {name: dedent(text) for name, text in sources.items()}
    files[path] += "\nimport mlflow\nmlflow.start_run()\n"
    found = scripts_of({name: text.encode() for name, text in files.items()}).scripts
    return next(one for one in found if one.path == path)


def shown(start: Start) -> str:
    """The command line of a start, with defaults; what is left out stands in parentheses."""
    words = []
    for level in start.levels:
        words += [level.word] if level.word else []
        for one in level.arguments:
            text = f"{one.flag or one.name}={one.default}" if one.default else one.flag or one.name
            words.append(f"({text})" if one.left_out else text)
    return " ".join(words)


def lines(sources: dict[str, str], path: str = "train.py") -> list[str]:
    return [shown(start) for start in script(sources, path).starts]


OPTIONS = """
import argparse

def common(parser):
    parser.add_argument("--seed", type=int, default=1)
    return parser

def train_parser():
    parser = common(argparse.ArgumentParser())
    parser.add_argument("--lr", type=float, default=0.5)
    return parser

def test_parser():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    return parser
"""


def test_only_the_parser_that_is_used() -> None:
    train = "from options import train_parser\nargs = train_parser().parse_args()\n"
    assert lines({"train.py": train, "options.py": OPTIONS}) == ["--seed=1 --lr=0.5"]
    test = "import options as o\ndef main():\n    args = o.test_parser().parse_args()\nmain()\n"
    assert lines({"train.py": test, "options.py": OPTIONS}) == ["checkpoint"]


def test_a_parser_of_a_package_that_hands_it_on() -> None:
    sources = {
        "train.py": "from tool import options\noptions.train_parser().parse_args()\n",
        "tool/options/__init__.py": "from .all import *\nfrom .all import train_parser\n",
        "tool/options/all.py": OPTIONS,
    }
    assert lines(sources) == ["--seed=1 --lr=0.5"]


def test_functions_that_add_to_the_parser_of_another() -> None:
    sources = {
        "train.py": """
            import argparse
            import model, data as d
            from lightning import Trainer

            def build():
                parser = argparse.ArgumentParser()
                parser.add_argument("--own", default="a")
                parser = model.Net.add_model_specific_args(parser)
                group = parser.add_argument_group("data")
                d.add_arguments(target=group)
                return Trainer.add_argparse_args(parser)

            args = build().parse_args()
            """,
        "model.py": """
            import argparse

            class Net:
                @staticmethod
                def add_model_specific_args(parent_parser):
                    parser = argparse.ArgumentParser(parents=[parent_parser], add_help=False)
                    parser.add_argument("--width", type=int, default=8)
                    return parser
            """,
        "data.py": "def add_arguments(*, target):\n    target.add_argument('--root', default='r')\n",
    }
    assert lines(sources) == ["--own=a --width=8 --root=r"]


def test_options_as_a_class() -> None:
    sources = {
        "train.py": "from options import TrainOptions\nopt = TrainOptions().parse()\n",
        "options/__init__.py": "from .train_options import TrainOptions\n",
        "options/base_options.py": """
            import argparse

            class BaseOptions:
                def __init__(self):
                    self.initialized = False

                def initialize(self, parser):
                    parser.add_argument("--name", default="x")
                    return parser

                def gather(self):
                    if not self.initialized:
                        parser = argparse.ArgumentParser()
                        parser = self.initialize(parser)
                    self.parser = parser
                    return parser.parse_args()

                def parse(self):
                    return self.gather()
            """,
        "options/train_options.py": """
            from .base_options import BaseOptions

            class TrainOptions(BaseOptions):
                def initialize(self, parser):
                    parser = BaseOptions.initialize(self, parser)
                    parser.add_argument("--epochs", type=int, default=9)
                    return parser
            """,
    }
    assert lines(sources) == ["--name=x --epochs=9"]
    sources["options/train_options.py"] = sources["options/train_options.py"].replace(
        "BaseOptions.initialize(self, parser)", "super().initialize(parser)"
    )
    assert lines(sources) == ["--name=x --epochs=9"]


def test_a_parser_of_the_projects_own_kind() -> None:
    own = """
    import argparse

    class Parser(argparse.ArgumentParser):
        def __init__(self, **more):
            super().__init__(**more)
            self.add_argument("--verbosity", type=int, default=2)
            self.more()

        def more(self):
            self.add_argument("--deep", default="d")

    parser = Parser(description="x")
    parser.add_argument("--lr", type=float, default=1)
    parser.parse_args()
    """
    assert lines({"train.py": own}) == ["--verbosity=2 --deep=d --lr=1.0"]


def test_subcommands_that_functions_and_modules_add() -> None:
    sources = {
        "train.py": """
            import argparse
            import fit

            def add_show(subparsers, common):
                show = subparsers.add_parser("show", parents=[common])
                show.add_argument("--n", type=int, default=1)

            def main():
                common = argparse.ArgumentParser(add_help=False)
                common.add_argument("--seed", type=int, default=3)
                parser = argparse.ArgumentParser()
                parser.add_argument("--root", default="r")
                commands = parser.add_subparsers(dest="command", required=True)
                fit.register(commands, parent=common)
                add_show(commands, common)
                args = parser.parse_args()
                args.run(args)

            if __name__ == "__main__":
                main()
            """,
        "fit.py": """
            import argparse

            def register(where, parent):
                parser = where.add_parser("fit", parents=[parent])
                parser.add_argument("data")
                parser.set_defaults(run=run)

            def run(args): ...

            if __name__ == "__main__":
                argparse.ArgumentParser().add_argument("--not-this")
            """,
    }
    assert lines(sources) == ["--root=r fit --seed=3 data", "--root=r show --seed=3 --n=1"]


def test_a_parser_for_the_config_before_the_parser_for_all() -> None:
    text = """
    import argparse
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--config", default="c.yaml")
    known, rest = first.parse_known_args()
    parser = argparse.ArgumentParser(parents=[first])
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--n", type=int, default=1)
    parser.set_defaults(**read(known.config))
    parser.set_defaults(n=5)
    args = parser.parse_args(rest)
    """
    assert lines({"train.py": text}) == ["--config=c.yaml --lr=0.1 (--n)"]
    assert lines({"train.py": text.replace("parents=[first]", "")}) == ["--config=c.yaml --lr=0.1 (--n)"]


def test_a_parser_that_does_not_read_the_command_line() -> None:
    text = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--lr', default='1')\n"
    assert lines({"train.py": f"{text}args = p.parse_args([])\n"}) == [""]
    assert lines({"train.py": f"{text}args = p.parse_args()\n"}) == ["--lr=1"]


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("for n in names():\n    p.add_argument('--' + n)", ()),
        ("for n in names():\n    p.add_argument(f'--{n}', type=int)", ()),
        ("p.add_argument('-h', action='help')", ()),
        ("p.add_argument('--' + name, required=needed)", "an argument that only running it tells"),
        ("p.add_argument(*names)", "an argument that only running it tells"),
        ("p.add_argument('--n', **more)", "an argument that only running it tells"),
        ("p.add_subparsers().add_parser(name)", "a subcommand that only running it tells"),
        (
            "g = p.add_mutually_exclusive_group(required=True); "
            "g.add_argument('--a', action='store_true'); g.add_argument('--b', action='store_true')",
            "one of --a, --b has to be given",
        ),
        (
            "g = p.add_mutually_exclusive_group(required=True); "
            "g.add_argument('--a', action='store_true'); g.add_argument('--b')",
            (),
        ),
        ("q = argparse.ArgumentParser()\nq.parse_args()", "several parsers, of which one is used"),
    ],
)
def test_what_only_running_it_would_tell(text: str, unread: str) -> None:
    source = f"import argparse\np = argparse.ArgumentParser()\np.parse_args\n{text}\np.parse_args()\n"
    found = script({"train.py": source}).unread
    assert [one.partition(": ")[2] for one in found] == ([unread] if unread else [])
    assert all(one.startswith("train.py:4") for one in found if "several" not in one)


def test_functions_that_call_each_other_and_many_of_them() -> None:
    text = (
        "import argparse\ndef a(p):\n    b(p)\ndef b(p):\n    a(p)\n    p.add_argument('--n', default='1')\n"
    )
    text += "".join(
        f"def f{n}(p=None):\n    f{n + 1}()\n    f{n + 1}()\n    f{n + 1}(p)\n" for n in range(60)
    )
    text += "def f60(p=None): ...\np = argparse.ArgumentParser()\na(p)\nf0()\nf0(p)\np.parse_args()\n"
    assert lines({"train.py": text}) == ["--n=1"]


def test_an_expression_that_is_nested_too_deep_to_follow() -> None:
    text = (
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--n', default='1')\np.parse_args()\n"
    )
    assert lines({"train.py": f"x = {' + '.join(['y'] * 800)}\n{text}"}) == ["--n=1"]
