"""The texts that `--mlflow-init` writes: whole, with every setting uncommented, and of hostile scripts."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from pytest_mlflow_check.config.settings import load_settings
from pytest_mlflow_check.engine.planning import cases_of
from pytest_mlflow_check.mlproject.loader import read_project, render_command
from pytest_mlflow_check.scaffold.discovery import scripts_of
from pytest_mlflow_check.scaffold.project_files import Tree
from pytest_mlflow_check.scaffold.render import entries_of, mlproject_text, settings_text
from pytest_mlflow_check.scaffold.sample_values import sample_of
from pytest_mlflow_check.scripts.model import Argument, parameters, plain_start

SETTINGS = """\
# What pytest-mlflow-check is told about this project. Check it:  pytest --mlflow-project=.
# A line that begins with "#" and no blank is a setting at its default, or an example: without "#" it counts.

#store = "file"                           # what is logged to; or "sqlite", "server", "postgresql://USER@HOST/NAME"
#timeout = 600                            # seconds for each launch
#strict = false                           # true: warnings fail too
#probes = false                           # true: also check with values derived from the MLproject
#cache = false                            # true: don't launch again what passed, until something changes
#ignore = { metrics = ["system/*"] }      # never compared; also params, artifacts, models, tags, datasets
#workspace = { link = ["data/**"] }       # large files: linked, not copied for each launch
#metric_tolerance = { rel = 1e-6 }        # how far values may lie apart; 1e-9 by default
#pass_env = ["AWS_*"]                     # variables that launches don't get otherwise

#[rules]
#metric-varies = "off"                    # error, warning or off; this one where training may vary
"""
ALLOWANCE = """
#[[allow]]                                # a difference that you accept
#rule = "param-differs"
#match = "model_dir"
#reason = "why it may differ"
"""

TRAIN = """
import argparse
import mlflow

parser = argparse.ArgumentParser()
parser.add_argument("data", help="a table")
parser.add_argument("--lr", "-l", type=float, default=1e-3)
parser.add_argument("--epochs", type=int, default=100)
parser.add_argument("--optimizer", choices=["adam", "sgd"], required=True)
parser.add_argument("--batch-size", type=int, required=True)
parser.add_argument("--note", default="it's {new}: 50 %")
parser.add_argument("--url", default="a:b/c,50%")
parser.add_argument("--on", default="yes")
parser.add_argument("--fraction", type=float, required=True)
parser.add_argument("--size", nargs=2, required=True)
parser.add_argument("--target", required=True)
parser.add_argument("--verbose", action="store_true")
parser.add_argument("--quiet", action="store_true")
parser.add_argument("--out")
mlflow.start_run()
"""
EVALUATE = """
import click, mlflow
mlflow.start_run
@click.group()
def cli(): ...
@cli.command()
@click.option("--model", type=click.Path(), required=True)
def show(model): ...
@cli.command()
@click.option("--n", default=1)
def train(n): ...
if __name__ == "__main__":
    cli()
"""
HYDRA = """
import hydra, mlflow
mlflow.start_run()
"""


def texts(sources: dict[str, str], tree: Tree = Tree()) -> tuple[str, str]:  # noqa: B008
    found = scripts_of({path: dedent(text).encode() for path, text in sources.items()})
    entries, beyond = entries_of(found.scripts)
    return mlproject_text("shop", entries, beyond), settings_text(entries, tree)


def test_both_files_of_a_project_of_several_scripts() -> None:
    sources = {"train.py": TRAIN, "eval uate.py": EVALUATE, "conf.py": HYDRA}
    mlproject, settings = texts(sources, Tree(("data/all.csv", "models/net.pt"), ("data", "models")))
    assert mlproject == snapshot("""\
# Written by pytest --mlflow-init, which read the scripts and ran nothing. It is yours to change.
# `mlflow run` logs every parameter by itself; the script has to log the same, under the same names.
# Without --env-manager=local, `mlflow run` makes an environment, of what a python_env.yaml here names.

name: shop

entry_points:
  main:
    parameters:
      data: string
      lr: {type: float, default: 0.001}
      epochs: {type: int, default: 100}
      optimizer: string
      batch_size: int
      url: {type: string, default: "a:b/c,50%"}
      "on": {type: string, default: "yes"}
      fraction: float
      size: string
      target: string
    # --size takes 2 values: write a parameter for each
    # left out, so that the script's own defaults hold:
    #   --note (default in quotes: `mlflow run` would log these too)
    #   --verbose, --quiet (flag: MLflow passes on values only)
    #   --out (no default; -P NAME=VALUE adds it)
    command: >-
      python train.py
      --lr {lr}
      --epochs {epochs}
      --optimizer {optimizer}
      --batch-size {batch_size}
      --url {url}
      --on {on}
      --fraction {fraction}
      --size {size}
      --target {target}
      {data}

  conf:
    # TODO: hydra reads the command line: write its options, or nothing
    command: "python conf.py TODO"

  train:
    parameters:
      n: {type: int, default: 1}
    command: "python 'eval uate.py' train --n {n}"

  show:
    parameters:
      model: string
    command: "python 'eval uate.py' show --model {model}"
""")
    assert (
        settings
        == SETTINGS
        + """
[[case]]
entry_point = "main"
[case.params]
data = "data/all.csv"
epochs = 2   # 100 by default; 2 are enough to check steps
optimizer = "adam"   # or sgd
batch_size = 2
fraction = 0.1
size = "TODO"   # TODO: write 2 values, each a parameter of its own in the MLproject
target = "TODO"   # TODO: write a text that it takes

[[case]]
entry_point = "conf"

[[case]]
entry_point = "train"

[[case]]
entry_point = "show"
[case.params]
model = "models/net.pt"
"""
        + ALLOWANCE
    )


def test_every_setting_counts_without_its_mark(tmp_path: Path) -> None:
    mlproject, settings = texts({"train.py": TRAIN}, Tree(("data/all.csv",)))
    (tmp_path / "MLproject").write_text(mlproject)
    file = tmp_path / "mlflow-check.toml"
    file.write_text(settings)
    plain = load_settings(tmp_path).values
    uncommented, count = re.subn(r"(?m)^#(?=\S)", "", settings)
    assert count == 15
    file.write_text(uncommented)
    changed = load_settings(tmp_path).values
    defaults = ("store", "timeout", "strict", "probes", "cache", "case")
    assert [getattr(changed, name) for name in defaults] == [getattr(plain, name) for name in defaults]
    assert changed.ignore.metrics == ("system/*",)
    assert (changed.rules, changed.allow[0].rule) == ({"metric-varies": "off"}, "param-differs")


def test_the_case_starts_what_was_read(tmp_path: Path) -> None:
    mlproject, settings = texts({"train.py": TRAIN}, Tree(("data/all.csv",)))
    (tmp_path / "MLproject").write_text(mlproject)
    (tmp_path / "mlflow-check.toml").write_text(settings.replace('"TODO"', '"mine"'))
    (case,) = cases_of(load_settings(tmp_path))
    assert render_command(case, tmp_path) == (
        "python train.py --lr 0.001 --epochs 2 --optimizer adam --batch-size 2 "
        "--url a:b/c,50% --on yes --fraction 0.1 --size mine --target mine data/all.csv"
    )


def test_many_that_are_left_out_take_several_lines() -> None:
    flags = "\n".join(f"parser.add_argument('--a-long-switch-{n}', action='store_true')" for n in range(9))
    mlproject, _ = texts({"train.py": f"import argparse, mlflow\n{flags}\nmlflow.start_run()\n"})
    assert mlproject == snapshot("""\
# Written by pytest --mlflow-init, which read the scripts and ran nothing. It is yours to change.
# `mlflow run` logs every parameter by itself; the script has to log the same, under the same names.
# Without --env-manager=local, `mlflow run` makes an environment, of what a python_env.yaml here names.

name: shop

entry_points:
  main:
    # left out, so that the script's own defaults hold:
    #   --a-long-switch-0, --a-long-switch-1, --a-long-switch-2, --a-long-switch-3, --a-long-switch-4,
    #     --a-long-switch-5, --a-long-switch-6, --a-long-switch-7, --a-long-switch-8 (flag: MLflow
    #     passes on values only)
    command: "python train.py"
""")


def test_what_mlflow_appends_reaches_only_a_program_without_subcommands() -> None:
    source = """
    import typer, mlflow
    app = typer.Typer()
    mlflow.start_run()
    @app.command()
    def fit(place: str = typer.Argument(None), out: str = None): ...
    """
    alone, _ = texts({"train.py": source})
    assert alone == snapshot("""\
# Written by pytest --mlflow-init, which read the scripts and ran nothing. It is yours to change.
# `mlflow run` logs every parameter by itself; the script has to log the same, under the same names.
# Without --env-manager=local, `mlflow run` makes an environment, of what a python_env.yaml here names.

name: shop

entry_points:
  main:
    # left out, so that the script's own defaults hold:
    #   place (no default)
    #   --out (no default; -P NAME=VALUE adds it)
    command: "python train.py"
""")
    several, _ = texts({"train.py": f"{source}@app.command()\n    def other(): ...\n"})
    assert several == snapshot("""\
# Written by pytest --mlflow-init, which read the scripts and ran nothing. It is yours to change.
# `mlflow run` logs every parameter by itself; the script has to log the same, under the same names.
# Without --env-manager=local, `mlflow run` makes an environment, of what a python_env.yaml here names.

name: shop

entry_points:
  main:
    # left out, so that the script's own defaults hold:
    #   place, --out (no default)
    command: "python train.py fit"

  other:
    command: "python train.py other"
""")


def test_more_entry_points_than_anybody_launches() -> None:
    source = "import mlflow\nmlflow.start_run()\n"
    mlproject, settings = texts({f"s{number:02}.py": source for number in range(14)})
    assert mlproject.endswith(
        '  s11:\n    command: "python s11.py"\n'
        "  # not here, since these are many: python s12.py\n"
        "  # not here, since these are many: python s13.py\n"
    )
    assert settings.count("[[case]]") == 12


def test_names_of_entry_points_are_each_their_own() -> None:
    source = "import mlflow\nmlflow.start_run()\n"
    sources = dict.fromkeys(("train.py", "a/train.py", "b/train.py", "a b.py", "a_b.py", "b/main.py"), source)
    found = scripts_of({path: text.encode() for path, text in sources.items()})
    names = [(entry.name, entry.script and entry.script.path) for entry in entries_of(found.scripts)[0]]
    assert names == [
        ("main", "b/main.py"),
        ("train", "train.py"),
        ("a_train", "a/train.py"),
        ("b_train", "b/train.py"),
        ("a_b", "a b.py"),
        ("a_b_2", "a_b.py"),
    ]


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("train.py", "python train.py"),
        ("-x.py", "python ./-x.py"),
        ("a'b {c}.py", "python 'a'\"'\"'b {{c}}.py'"),
        ("pack/train.py", "python -m pack.train"),
        ("$(touch x)\n.py", "python '$(touch x)\n.py'"),
    ],
)
def test_the_command_of_a_script(path: str, command: str) -> None:
    source = "from . import mlflow\nmlflow.start_run()\nif __name__ == '__main__': ...\n"
    mlproject, _ = texts({path: source if "/" in path else source.replace("from . ", "")})
    assert yaml.safe_load(mlproject)["entry_points"]["main"]["command"] == command


# No surrogates: a default with one is left out, and a path with one can't be written.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    name=TEXTS,
    flag=TEXTS.map(lambda text: f"--{text}"),
    default=TEXTS,
    path=TEXTS.map(lambda text: f"{text}.py".replace("\0", "")),
)
def test_whatever_a_script_is_called_and_says(
    tmp_path_factory: pytest.TempPathFactory, name: str, flag: str, default: str, path: str
) -> None:
    tmp_path = tmp_path_factory.mktemp("any")
    source = f"import argparse, mlflow\nparser.add_argument({flag!r}, dest={name!r}, default={default!r})\n"
    mlproject, settings = texts({path: source + "mlflow.start_run()\n"})
    (tmp_path / "MLproject").write_bytes(mlproject.encode())
    (tmp_path / "mlflow-check.toml").write_bytes(settings.encode())
    project = read_project(tmp_path)
    declared = project.entry_points["main"].parameters
    if declared:
        (parameter,) = declared.values()
        assert parameter.default == default
    (case,) = cases_of(load_settings(tmp_path))
    render_command(case, tmp_path)


# samples

TREE = Tree(
    (
        "package.json",
        "config.yaml",
        "data/README.txt",
        "data/test.csv",
        "data/train.csv",
        "net.onnx",
        "notes.txt",
    ),
    ("data", "data/images", "src"),
)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        (Argument("n", type="int", required=True), 2),
        (Argument("lr", type="float", required=True), 0.1),
        (Argument("shuffle", type="bool", required=True), "true"),
        (Argument("kind", required=True, choices=("a", "b")), "a"),
        (Argument("train_data", required=True), "data/train.csv"),
        (Argument("test-file", type="path", required=True), "data/test.csv"),
        (Argument("inputFile", required=True), "data/test.csv"),
        (Argument("csv", required=True), "data/test.csv"),
        (Argument("config_path", required=True), "config.yaml"),
        (Argument("model_path", required=True), "net.onnx"),
        (Argument("data_dir", required=True), "data"),
        (Argument("images", type="path", required=True), "data/images"),
        (Argument("image_folder", required=True), None),
        (Argument("images_folder", required=True), "data/images"),
        (Argument("output_dir", required=True), "check-output"),
        (Argument("log_file", required=True), "check-output"),
        (Argument("output_dir", type="path", required=True), None),
        (Argument("run_name", required=True), "check"),
        (Argument("name", required=True), "check"),
        (Argument("model_name", required=True), None),
        (Argument("label", required=True), None),
        (Argument("device", required=True), "cpu"),
        (Argument("target", required=True), None),
        (Argument("source", type="uri", required=True), None),
        (Argument("epochs", type="int", default="50"), 2),
        (Argument("num_train_epochs", default="50"), 2),
        (Argument("max_steps", type="int", default="1000"), 2),
        (Argument("warmup_steps", type="int", default="1000"), "default"),
        (Argument("steps_per_epoch", type="int", default="1000"), "default"),
        (Argument("log_every_n_steps", type="int", default="1000"), "default"),
        (Argument("epochs", type="int", default="1"), "default"),
        (Argument("lr", type="float", default="0.1"), "default"),
    ],
)
def test_a_sample(argument: Argument, expected: object) -> None:
    sample = sample_of(argument, TREE)
    if expected == "default":
        assert sample is None
    elif expected is None:
        assert sample is not None
        assert (sample.value, sample.open) == ("TODO", True)
    else:
        assert sample is not None
        assert (sample.value, sample.open) == (expected, False)


def test_arguments_of_one_name_and_of_odd_names() -> None:
    given = tuple(Argument(name, flag="--x", default="1") for name in ("a.b", "a_b", "3", "", "ä b", "a_b"))
    start = parameters(plain_start(given))
    assert [one.name for one in start.arguments] == ["a_b", "a_b_2", "arg3", "arg", "ä_b", "a_b_3"]
