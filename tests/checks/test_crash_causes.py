"""Why a launch crashed, told from its output: modules, files, variables, the network, options.

The messages are as Python 3.11 and 3.13, argparse, click 8, typer, bash and dash print them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_mlflow_check.checks.comparison import Comparison, compare_launches
from pytest_mlflow_check.checks.launches import check_launches
from pytest_mlflow_check.config.settings import ProjectConfig
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.models import Case, Project
from pytest_mlflow_check.core.surroundings import Surroundings
from pytest_mlflow_check.mlproject.surroundings import read_surroundings
from support.builders import HOME, case, launch, parameter

COMMAND = "python train.py --lr {lr}"


def traceback(message: str, *frames: tuple[str | Path, int, str]) -> str:
    lines = [f'  File "{file}", line {line}, in <module>\n    {code}\n' for file, line, code in frames]
    return "Traceback (most recent call last):\n" + "".join(lines) + f"{message}\n"


def crashed(
    stderr: str,
    *,
    of: Case | None = None,
    command: str = COMMAND,
    exit_code: int = 1,
    files: set[str] | None = None,
    around: Surroundings | None = None,
    **settings: Any,
) -> Finding:
    """What is said of a fluent launch with that output."""
    of = of or case(parameter("lr", line=6), command=command)
    one = launch("fluent", exit_code=exit_code, stderr=stderr, workspace=HOME)
    comparison: Comparison = compare_launches(
        {"fluent": one},
        settings=ProjectConfig.model_validate(settings),
        case=of,
        surroundings=around or Surroundings(frozenset(files or {"train.py"})),
    )
    (finding,) = (one for one in check_launches(comparison) if one.rule == "launch-failed")
    return finding


def at_train(message: str, code: str = "import net") -> str:
    return traceback(message, (HOME / "train.py", 3, code))


# Modules


NO_TORCH = at_train("ModuleNotFoundError: No module named 'torch'")


def test_a_package_that_a_file_of_the_project_names() -> None:
    around = Surroundings(frozenset(["train.py"]), {"torch": "requirements.txt:4"})
    finding = crashed(NO_TORCH, around=around)
    assert finding.cause == "ModuleNotFoundError: No module named 'torch'"
    assert finding.source_line == "train.py:3"
    assert finding.why == (
        "The package torch, which requirements.txt:4 names, isn't installed in the environment that "
        "pytest runs in."
    )
    assert finding.fix == "install what it names:  pip install -r requirements.txt"


@pytest.mark.parametrize(("file", "manager"), [("conda_env", "conda"), ("python_env", "virtualenv")])
def test_a_package_of_the_projects_environment(file: str, manager: str) -> None:
    of = case(command=COMMAND, **{file: HOME / f"{file}.yaml"})
    around = Surroundings(frozenset(), {"scikit-learn": f"{file}.yaml:7"})
    finding = crashed(at_train("ModuleNotFoundError: No module named 'sklearn.svm'"), of=of, around=around)
    assert finding.fix == (
        "install it:  pip install scikit-learn;  or have MLflow make the environment:  "
        f"--mlflow-env-manager={manager}"
    )


def test_a_package_that_no_file_names() -> None:
    finding = crashed(at_train("ModuleNotFoundError: No module named 'cv2'"))
    assert (
        finding.why == "The package opencv-python isn't installed here, and no file of the project names it."
    )
    assert finding.fix == "pip install opencv-python, and name it in requirements.txt"


def test_a_package_that_is_called_like_a_directory() -> None:
    around = Surroundings(frozenset(["examples/torch/train.py"]), {"torch": "requirements.txt:4"})
    assert crashed(NO_TORCH, around=around).why.startswith(
        "The package torch, which requirements.txt:4 names,"
    )


def test_a_module_of_the_repository_is_no_package_of_an_environment() -> None:
    finding = crashed(
        at_train("ModuleNotFoundError: No module named 'net'"),
        files={"src/net.py"},
        env_manager="virtualenv",
    )
    assert 'PYTHONPATH = "src"' in finding.fix
    finding = crashed(NO_TORCH, files={"src/net.py"}, env_manager="virtualenv")
    assert finding.why.startswith("torch isn't in the environment that MLflow made")


def test_an_exception_in_a_box() -> None:
    stderr = (
        "╭──────── Traceback (most recent call last) ────────╮\n"
        "│ /copy/project/train.py:3 in <module>              │\n"
        "│ ❱ 3 import torch                                  │\n"
        "╰───────────────────────────────────────────────────╯\n"
        "ModuleNotFoundError: No module named 'torch'\n"
    )
    finding = crashed(stderr)
    assert finding.cause == "ModuleNotFoundError: No module named 'torch'"
    assert finding.fix == "pip install torch, and name it in requirements.txt"


def test_a_module_beside_the_projects_directory() -> None:
    finding = crashed(
        at_train("ModuleNotFoundError: No module named 'net'"), files={"train.py", "../lib/net/__init__.py"}
    )
    assert "net is a module of this repository, and ../lib isn't on the path" in finding.why
    assert finding.fix == (
        'set it for the case in mlflow-check.toml:  [[case]]  env = { PYTHONPATH = "../lib" };  by '
        "hand, start it "
        "with  PYTHONPATH=../lib"
    )
    assert finding.code[0].text == '[[case]]\nenv = { PYTHONPATH = "../lib" }'


def test_a_module_of_a_project_that_can_be_installed() -> None:
    around = Surroundings(frozenset(["src/net/model.py"]), installable=".")
    finding = crashed(at_train("ModuleNotFoundError: No module named 'net.model'"), around=around)
    assert finding.fix.startswith("pip install -e ., or set it for the case in mlflow-check.toml:")
    assert 'PYTHONPATH = "src"' in finding.fix


def test_a_module_of_the_projects_directory_when_the_script_lies_below() -> None:
    finding = crashed(
        traceback(
            "ModuleNotFoundError: No module named 'src'", (HOME / "scripts/train.py", 1, "import src.net")
        ),
        command="python scripts/train.py --lr {lr}",
        files={"scripts/train.py", "src/net.py"},
    )
    assert finding.fix == "in MLproject:8 write  python -m scripts.train --lr {lr}"


def test_a_module_that_a_package_of_the_repository_lacks() -> None:
    finding = crashed(
        at_train("ModuleNotFoundError: No module named 'net.Model'"),
        files={"net/__init__.py", "net/model.py"},
    )
    assert finding.why == "net is a package of this repository, and Model isn't in it."
    assert finding.fix == "write net.model"


def test_a_relative_import_of_a_script() -> None:
    stderr = traceback(
        "ImportError: attempted relative import with no known parent package",
        (HOME / "pkg/train.py", 1, "from . import net"),
    )
    finding = crashed(stderr, command="python pkg/train.py --lr {lr}")
    assert finding.fix == "in MLproject:8 write  python -m pkg.train --lr {lr}"


def test_a_module_that_is_started() -> None:
    stderr = (
        "/env/bin/python: Error while finding module specification for 'pkg.train' "
        "(ModuleNotFoundError: No module named 'pkg')\n"
    )
    finding = crashed(stderr, command="python -m pkg.train", files={"src/pkg/train.py"})
    assert 'PYTHONPATH = "src"' in finding.fix
    finding = crashed("/env/bin/python: No module named pkg.train\n", files={"src/pkg/train.py"})
    assert 'PYTHONPATH = "src"' in finding.fix


# Variables


@pytest.mark.parametrize(
    "stderr",
    [
        traceback("KeyError: 'DATA_DIR'", (HOME / "train.py", 3, 'os.environ["DATA_DIR"]')),
        'Traceback (most recent call last):\n  File "train.py", line 3, in <module>\n    root()\n'
        '  File "/usr/lib/python3.11/os.py", line 679, in __getitem__\n    raise KeyError(key) from None\n'
        "KeyError: 'DATA_DIR'\n",
        at_train("omegaconf.errors.InterpolationResolutionError: Environment variable 'DATA_DIR' not found"),
        at_train(
            "decouple.UndefinedValueError: DATA_DIR not found. Declare it as envvar or define a "
            "default value."
        ),
        at_train('environs.EnvError: Environment variable "DATA_DIR" not set'),
    ],
)
def test_a_variable_that_isnt_set(stderr: str) -> None:
    finding = crashed(stderr)
    assert (
        finding.why
        == "The environment variable DATA_DIR, which train.py:3 needs, isn't set where pytest runs."
    )
    assert finding.fix == (
        'set it for the case in mlflow-check.toml:  [[case]]  env = { DATA_DIR = "…" };  or start '
        "pytest with  "
        "DATA_DIR=…"
    )
    assert finding.code[0].text == '[[case]]\nenv = { DATA_DIR = "…" }'


@pytest.mark.parametrize("said", ["bash: DATA_DIR: unbound variable", "sh: 1: DATA_DIR: parameter not set"])
def test_a_variable_that_a_shell_lacks(said: str) -> None:
    assert crashed(f"{said}\n").why == "The environment variable DATA_DIR isn't set where pytest runs."


def test_the_line_keeps_what_the_case_sets_already() -> None:
    from dataclasses import replace

    of = replace(case(command=COMMAND), env={"SEED": "0"}, id="ten")
    stderr = at_train("KeyError: 'DATA_DIR'", 'os.environ["DATA_DIR"]')
    finding = crashed(stderr, of=of, case=[{"id": "ten", "env": {"SEED": "0"}}, {"id": "two"}])
    assert finding.fix.startswith(
        'set it in mlflow-check.toml, below the [[case]] whose id is ten:  env = { SEED = "0", '
        'DATA_DIR = "…" };'
    )
    assert finding.code == ()


def test_a_variable_that_no_launch_gets() -> None:
    finding = crashed(at_train("KeyError: 'DATABRICKS_HOST'", 'os.environ["DATABRICKS_HOST"]'))
    assert finding.fix == 'let the code do without it:  os.environ.get("DATABRICKS_HOST")'


def test_a_key_of_a_dictionary_is_no_variable() -> None:
    finding = crashed(at_train("KeyError: 'DATA_DIR'", 'config["DATA_DIR"]'))
    assert finding.why == "`python train.py` ended with KeyError in train.py:3."
    assert finding.fix == "resolve that in train.py:3; by hand it fails alike:  python train.py"


# Scripts and programs


@pytest.mark.parametrize(
    "said",
    [
        f"/env/bin/python: can't open file '{HOME}/Train.py': [Errno 2] No such file or directory",
        "python3: can't open file 'Train.py': [Errno 2] No such file or directory",
    ],
)
def test_a_script_in_another_case(said: str) -> None:
    finding = crashed(f"{said}\n", command="python Train.py --lr {lr}", exit_code=2)
    assert finding.why == (
        "MLproject:8 starts Train.py, and the project has train.py: only file systems that ignore "
        "case find it."
    )
    assert finding.fix == "in MLproject:8 write  python train.py --lr {lr}"
    assert finding.source_line == "MLproject:8"


@pytest.mark.parametrize(
    "said",
    [
        "bash: ./run.sh: No such file or directory",
        "bash: line 1: ./run.sh: No such file or directory",
        "sh: 1: ./run.sh: not found",
        "sh: 0: cannot open run.sh: No such file",
    ],
)
def test_a_shell_script_elsewhere(said: str) -> None:
    finding = crashed(f"{said}\n", command="bash run.sh", exit_code=127, files={"scripts/run.sh"})
    assert finding.why == "MLproject:8 starts run.sh, and the project has scripts/run.sh."
    assert finding.fix == "in MLproject:8 write  bash scripts/run.sh"


def test_a_script_that_is_nowhere() -> None:
    finding = crashed(
        f"python: can't open file '{HOME}/fit.py': [Errno 2] No such file or directory\n", files=set()
    )
    assert finding.why == "MLproject:8 starts fit.py, which isn't in the project."


@pytest.mark.parametrize(
    "said", ["bash: line 1: dvc: command not found", "sh: 1: dvc: not found", "/bin/sh: 1: dvc: not found"]
)
def test_a_program_that_isnt_installed(said: str) -> None:
    finding = crashed(f"{said}\n", exit_code=127)
    assert finding.why == "MLproject:8 starts dvc, which isn't installed here."
    assert finding.cause == f"exit code 127: {said}" or said.startswith("/")


def test_a_program_that_the_code_starts() -> None:
    stderr = traceback(
        "FileNotFoundError: [Errno 2] No such file or directory: 'ffmpeg'",
        (HOME / "train.py", 3, 'subprocess.run(["ffmpeg"])'),
        ("/usr/lib/python3.11/subprocess.py", 1955, "raise child_exception_type(errno_num, err_msg)"),
    )
    finding = crashed(stderr)
    assert (finding.why, finding.fix) == (
        "train.py:3 starts ffmpeg, which isn't installed here.",
        "install ffmpeg",
    )


def test_a_script_that_may_not_be_executed() -> None:
    finding = crashed("bash: line 1: ./run.sh: Permission denied\n", exit_code=126, files={"run.sh"})
    assert finding.fix == "chmod +x ./run.sh  and, for all others,  git update-index --chmod=+x ./run.sh"


# Files


def missing(path: str, code: str = "pd.read_csv(path)") -> str:
    return at_train(f"FileNotFoundError: [Errno 2] No such file or directory: '{path}'", code)


def test_a_file_that_is_nowhere() -> None:
    finding = crashed(missing("data/x.csv"))
    assert (
        finding.why
        == "train.py:3 wants data/x.csv, which isn't in the project: launches run in a copy of it."
    )
    assert finding.fix == "put a file there as data/x.csv, or have the launch make it"


def test_a_file_in_another_case_or_directory() -> None:
    finding = crashed(missing("data/x.csv"), files={"Data/X.csv", "x.csv"})
    assert finding.why.startswith(
        "train.py:3 wants data/x.csv, and the project has Data/X.csv: only file systems"
    )
    assert finding.fix == "write Data/X.csv"
    finding = crashed(missing("x.csv"), files={"../data/x.csv"})
    assert finding.fix == "write ../data/x.csv"


@pytest.mark.parametrize(
    "stderr",
    [
        missing("out/x.csv", 'with open("out/x.csv", "w") as file:'),
        missing("out/x.csv", 'model.save("out/x.csv")'),
        at_train("OSError: Cannot save file into a non-existent directory: 'out'"),
        at_train("RuntimeError: Parent directory out does not exist."),
    ],
)
def test_a_directory_that_is_written_into(stderr: str) -> None:
    finding = crashed(stderr)
    assert finding.why == (
        "The code writes into the directory out, which isn't there. Git keeps no empty directory."
    )
    assert finding.fix == 'make it before train.py:3:  os.makedirs("out", exist_ok=True)'


def test_what_an_earlier_training_left() -> None:
    finding = crashed(missing("mlruns/0/meta.yaml"))
    assert finding.why.startswith(
        "mlruns/0/meta.yaml was left by an earlier training, and a launch gets no copy of it"
    )


def test_the_exception_that_others_followed_from() -> None:
    stderr = (
        missing("data/x.csv", "open(path)")
        + "\nThe above exception was the direct cause of the following exception:\n\n"
        + at_train("RuntimeError: no data", "raise RuntimeError from error")
    )
    finding = crashed(stderr)
    assert finding.cause == "RuntimeError: no data"
    assert finding.why.startswith("train.py:3 wants data/x.csv, which isn't in the project")


# The network


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='hub.example', "
            "port=443): Max retries exceeded "
            "with url: /x (Caused by NameResolutionError(\"Failed to resolve 'hub.example' ([Errno "
            "-2] Name or service "
            'not known)"))',
            "hub.example:443 has no address here",
        ),
        (
            "urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>",
            "a host has no address",
        ),
        (
            "OSError: We couldn't connect to 'https://hub.example' to load this file",
            "hub.example couldn't be reached",
        ),
        (
            "botocore.exceptions.EndpointConnectionError: Could not connect to the endpoint URL: "
            '"https://s3.example/b"',
            "s3.example couldn't be reached",
        ),
        ("TimeoutError: [Errno 110] Connection timed out", "a host couldn't be reached"),
        ("curl: (6) Could not resolve host: hub.example", "hub.example has no address here"),
    ],
)
def test_a_host_that_isnt_reached(said: str, why: str) -> None:
    finding = crashed(at_train(said, "get(URL)") if "curl" not in said else f"{said}\n")
    assert finding.why.startswith(why)
    assert "[[case]]" in finding.fix


@pytest.mark.parametrize(
    "said",
    [
        "requests.exceptions.ConnectionError: HTTPConnectionPool(host='127.0.0.1', port=9): Max "
        "retries exceeded with url: "
        '/x (Caused by NewConnectionError("Failed to establish a new connection: [Errno 111] '
        'Connection refused"))',
        "urllib.error.URLError: <urlopen error [Errno 111] Connection refused>",
        "ConnectionRefusedError: [Errno 111] Connection refused",
    ],
)
def test_a_connection_that_is_refused(said: str) -> None:
    finding = crashed(at_train(said, 'urlopen("http://127.0.0.1:9/x")'))
    assert finding.why == "127.0.0.1:9 refused the connection: nothing listens there."
    assert finding.fix == "start what listens on 127.0.0.1:9 before pytest"


def test_a_text_about_connections_is_no_network_error() -> None:
    assert "ended with ValueError" in crashed(at_train("ValueError: the layer has no output")).why


# Options


def argparse_says(said: str, usage: str = "[-h] [--learning-rate LEARNING_RATE] [--seed SEED]") -> str:
    return f"usage: train.py {usage}\ntrain.py: error: {said}\n"


def click_says(said: str) -> str:
    return f"Usage: train.py [OPTIONS]\nTry 'train.py --help' for help.\n\nError: {said}\n"


@pytest.mark.parametrize(
    "stderr",
    [
        argparse_says("unrecognized arguments: --lr 0.1"),
        click_says("No such option '--lr'. Did you mean '--learning-rate'?"),
        click_says("No such option: --lr Did you mean --learning-rate?"),
        click_says("No such option: --lr  (Possible options: --learning-rate, --lrs)"),
        "Usage: train.py [OPTIONS]\nTry 'train.py --help' for help.\n"
        "╭─ Error ──────────────────────────────────────────╮\n"
        "│ No such option: --lr Did you mean                │\n"
        "│ --learning-rate?                                 │\n"
        "╰──────────────────────────────────────────────────╯\n",
        "FATAL Flags parsing error:\n  Unknown command line flag 'lr'. Did you mean: --learning-rate ?\n"
        "Pass --helpshort or --helpfull to see help on flags.\n",
    ],
    ids=["argparse", "click 8.3", "click 8.1", "click, several", "typer", "absl"],
)
def test_an_option_by_another_name(stderr: str) -> None:
    finding = crashed(stderr, exit_code=2)
    assert finding.why == "The script has no option --lr, which MLproject:8 gives it; it has --learning-rate."
    assert finding.fix == "in MLproject:8 write  python train.py --learning-rate {lr}"
    assert finding.source_line == "MLproject:8"


@pytest.mark.parametrize(
    ("stderr", "has"),
    [
        (
            argparse_says("unrecognized arguments: --lr 0.1", "[-h] [--data DATA] [--seed SEED]"),
            " It has --data, --seed.",
        ),
        (click_says("No such option '--lr'. Did you mean '--help'?"), ""),
    ],
)
def test_an_option_that_nothing_is_like(stderr: str, has: str) -> None:
    finding = crashed(stderr, exit_code=2)
    assert finding.why == f"The script has no option --lr, which MLproject:8 gives it.{has}"
    assert finding.fix == "take --lr out of MLproject:8, or add the option to the script"


@pytest.mark.parametrize(
    "said",
    [
        argparse_says("the following arguments are required: --data/-d"),
        click_says("Missing option '--data' / '-d'."),
    ],
)
def test_an_option_that_is_needed(said: str) -> None:
    finding = crashed(said, exit_code=2)
    assert finding.fix == (
        "in MLproject:8 write  python train.py --lr {lr} --data {data}  and declare the parameter:  "
        "data: {type: string, default: …}"
    )


@pytest.mark.parametrize(
    "said",
    [argparse_says("the following arguments are required: data"), click_says("Missing argument 'DATA'.")],
)
def test_an_argument_that_is_needed(said: str) -> None:
    assert crashed(said, exit_code=2).fix.startswith(
        "in MLproject:8 write  python train.py --lr {lr} {data}  and"
    )


@pytest.mark.parametrize(
    "said",
    [
        argparse_says("argument --lr: invalid float value: 'x'"),
        click_says("Invalid value for '--lr': 'x' is not a valid float."),
    ],
)
def test_a_value_that_doesnt_fit(said: str) -> None:
    finding = crashed(said, exit_code=2)
    assert finding.fix == "give lr another default in MLproject:6"
    assert finding.source_line == "MLproject:6"
    given = case(parameter("lr", line=6), params={"lr": "x"}, command=COMMAND)
    assert crashed(said, exit_code=2, of=given).fix == "give another one:  -P lr=…"


def test_the_settings_own_command_is_named() -> None:
    of = case(parameter("lr", line=6), command=COMMAND, fluent="python train.py --lr {lr} -q")
    finding = crashed(argparse_says("unrecognized arguments: --lr 0.1"), exit_code=2, of=of)
    assert finding.fix == "in the settings key fluent write  python train.py --learning-rate {lr} -q"
    assert finding.source_line is None


def test_a_key_that_hydra_doesnt_know() -> None:
    stderr = "Could not override 'lr'.\nTo append to your config use +lr=0.1\nKey 'lr' is not in struct\n"
    finding = crashed(
        stderr + "\nSet the environment variable HYDRA_FULL_ERROR=1\n", command="python train.py lr={lr}"
    )
    assert finding.cause == "Could not override 'lr'."
    assert finding.fix == "add lr to it, or in MLproject:8 write  python train.py +lr={lr}"


def test_what_else_a_parser_says() -> None:
    finding = crashed(argparse_says("ambiguous option: --l could match --lr, --last"), exit_code=2)
    assert finding.why == (
        "The script doesn't take what MLproject:8 gives it: ambiguous option: --l could match --lr, --last"
    )


# What lies around a project


def test_surroundings_are_read(tmp_path: Path) -> None:
    project = tmp_path / "models" / "one"
    files = {
        "models/one/train.py": "",
        "models/one/conda.yaml": "dependencies:\n  - python=3.11\n  - pip:\n    - torch>=2\n"
        "    - 'scikit_learn[x]~=1'\n",
        "models/one/requirements-dev.txt": "# tools\npandas==2.0  # why\n-r other.txt\nzope.interface\n",
        "lib/net/__init__.py": "",
        "pyproject.toml": "",
        ".git/config": "",
        "models/one/mlruns/x": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (project / "pyproject.toml").write_text('[project]\ndependencies = ["numpy>=1", "Hydra.Core"]\n')
    found = read_surroundings(Project(project, conda_env=project / "conda.yaml"), tmp_path)
    assert {"train.py", "../../lib/net/__init__.py", "conda.yaml"} <= found.files
    assert not any("mlruns" in file or ".git" in file for file in found.files)
    assert found.dependencies == {
        "python": "conda.yaml:2",
        "torch": "conda.yaml:4",
        "scikit-learn": "conda.yaml:5",
        "pandas": "requirements-dev.txt:2",
        "zope-interface": "requirements-dev.txt:4",
        "numpy": "pyproject.toml:2",
        "hydra-core": "pyproject.toml:2",
    }
    assert found.installable == "."
    assert found.directories_with("net") == ["../../lib"]
    (project / "pyproject.toml").unlink()
    assert read_surroundings(Project(project), tmp_path).installable == "../.."


def test_directories_with_a_module() -> None:
    around = Surroundings(
        frozenset(["src/a/b/c.py", "x/a/b/__init__.py", "a.py", "deep/a/readme.md", "nota/b.py"])
    )
    assert around.directories_with("a") == [".", "src", "x"]
    assert around.directories_with("a.b") == ["src", "x"]
    assert around.directories_with("a.b.c") == ["src"]
    assert around.directories_with("b") == ["nota", "src/a", "x/a"]
    assert around.directories_with("zz") == []
