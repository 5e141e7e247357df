from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest
import yaml
from inline_snapshot import snapshot

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.models import Case, EntryPoint, Parameter, Project
from pytest_mlflow_check.mlproject.loader import (
    check_fluent,
    complete_params,
    extra_params,
    read_project,
    render_command,
    resolve_entry_point,
    shown_path,
    unset_null_defaults,
)

HERE = Path("example")


@pytest.fixture(autouse=True)
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory `example` in the current directory, with a few files that MLproject files name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHELL", "/bin/zsh")
    HERE.mkdir()
    return tmp_path / HERE


@pytest.fixture(scope="session")
def spec(real_mlflow: ModuleType) -> ModuleType:
    """MLflow's own reader."""
    return pytest.importorskip("mlflow.projects._project_spec")


@pytest.fixture(scope="session")
def quotes_extra_names(spec: ModuleType) -> bool:
    """Whether this MLflow shell-quotes the names of extra parameters: 3.17.2 does, 2.22.5 doesn't."""
    return hasattr(spec.EntryPoint, "_sanitize_extra_param_dict")


def write(text: str, name: str = "MLproject") -> Path:
    file = HERE / name
    file.write_text(dedent(text), encoding="utf-8")
    return file


def case_of(name: str = "main", fluent: str | None = None, /, **params: str) -> Case:
    project = read_project(HERE)
    return Case("ten", project, resolve_entry_point(project, name), params, fluent)


def command_of(name: str = "main", fluent: str | None = None, /, **params: str) -> str:
    return render_command(case_of(name, fluent, **params), HERE.absolute(), template=fluent)


def mlflow_command(spec: ModuleType, name: str, params: dict[str, str]) -> str:
    """The command MLflow would run, with `example` as the directory in which it is called."""
    entry_point = spec.load_project(str(HERE.absolute())).get_entry_point(name)
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as storage:
        os.chdir(HERE)
        try:
            command = entry_point.compute_command(params, storage)
        finally:
            os.chdir(before)
    assert isinstance(command, str)
    return command


MORE = "  more: pytest --mlflow-explain="
"""How a message ends that names its rule."""


def message_of(name: str = "main", fluent: str | None = None, /, **params: str) -> str:
    """What the user is told when the case can't be launched."""
    with pytest.raises(UserError) as refusal:
        command_of(name, fluent, **params)
    return str(refusal.value)


# reading


def test_reads_every_form_of_a_parameter_with_its_line() -> None:
    write(
        """\
        name: sample
        entry_points:
          # a comment
          main:
            parameters:
              typed: float
              mapping: {type: int, default: 3}
              untyped: {default: text}
              block:
                type: path
                default: data
              required: {type: uri}
              nothing: {default: null}
              empty: {default: ""}
              other: {type: choice}
              null_type: {type: null, default: 1}
            command: "ls"

          second: {command: pwd}
        """
    )
    project = read_project(HERE)
    assert project == Project(
        directory=HERE.absolute(),
        mlproject=HERE.absolute() / "MLproject",
        name="sample",
        entry_points={
            "main": EntryPoint(
                name="main",
                command="ls",
                parameters={
                    "typed": Parameter("typed", "float", None, False, 6),
                    "mapping": Parameter("mapping", "int", "3", False, 7),
                    "untyped": Parameter("untyped", "string", "text", False, 8),
                    "block": Parameter("block", "path", "data", False, 9),
                    "required": Parameter("required", "uri", None, False, 12),
                    "nothing": Parameter("nothing", "string", None, True, 13),
                    "empty": Parameter("empty", "string", "", False, 14),
                    "other": Parameter("other", "choice", None, False, 15),
                    "null_type": Parameter("null_type", "string", "1", False, 16),
                },
                line=4,
                command_line=17,
            ),
            "second": EntryPoint("second", "pwd", {}, 19, 19),
        },
    )
    assert list(project.entry_points["main"].parameters)[:2] == ["typed", "mapping"]
    assert project.source_line(6) == "MLproject:6"


@pytest.mark.parametrize("name", ["MLproject", "MLProject", "mlproject", "MLPROJECT"])
def test_takes_every_spelling_of_the_file_name(name: str) -> None:
    file = write("name: sample", name)
    assert read_project(HERE).mlproject == file.absolute()


def test_a_directory_without_mlproject_is_bare() -> None:
    write("", "MLproject.yaml")
    assert read_project(HERE) == Project(HERE.absolute())


def test_a_file_without_entry_points_is_read() -> None:
    write("name: 5")
    project = read_project(HERE)
    assert (project.name, dict(project.entry_points)) == ("5", {})


def test_directory_loses_dots_but_keeps_symbolic_links(tmp_path: Path) -> None:
    Path("link").symlink_to(HERE)
    assert read_project(Path("example/../link")).directory == tmp_path / "link"


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("1e-3", "1e-3"),
        ("1.0e-3", "0.001"),
        ("1.50", "1.5"),
        ("010", "8"),
        ("1:30", "90"),
        ("1_000", "1000"),
        ("true", "True"),
        ("no", "False"),
        ("None", "None"),
        ("'null'", "null"),
        (".inf", "inf"),
        ("''", ""),
        ("2020-01-02", "2020-01-02"),
        ("[1, a]", "[1, 'a']"),
        ("{b: {c: 1}}", "{'b': {'c': 1}}"),
        ('"é\\n☃"', "é\n☃"),
    ],
)
def test_default_is_the_text_of_the_yaml_value(spec: ModuleType, written: str, text: str) -> None:
    write(f"entry_points: {{main: {{command: '{{x}}', parameters: {{x: {{default: {written}}}}}}}}}")
    assert read_project(HERE).entry_points["main"].parameters["x"].default == text
    assert command_of() == shlex.quote(text) == mlflow_command(spec, "main", {})


def test_merged_and_repeated_keys_have_the_line_that_counts(spec: ModuleType) -> None:
    write(
        """\
        shared: &shared
          alpha: {default: 1}
          beta: {default: 2}
        other: &other {beta: {default: 3}, gamma: {default: 4}}
        entry_points:
          main:
            parameters:
              alpha: {default: 5}
              <<: [*shared, *other]
              delta: {default: 6}
              delta: {default: 7}
            command: "{alpha} {beta} {gamma} {delta}"
        """
    )
    parameters = read_project(HERE).entry_points["main"].parameters
    theirs = spec.load_project(str(HERE)).get_entry_point("main")
    assert list(theirs.parameters) == list(parameters)
    # Of two merged mappings the first wins (yaml.org/type/merge); in PyYAML 6.0.4 the last may.
    beta = theirs.parameters["beta"].default
    assert {name: (p.default, p.line) for name, p in parameters.items()} == {
        "alpha": ("5", 8),
        "beta": (str(beta), {2: 3, 3: 4}[beta]),
        "gamma": ("4", 4),
        "delta": ("7", 11),
    }
    assert command_of() == f"5 {beta} 4 7" == mlflow_command(spec, "main", {})


@pytest.mark.parametrize("key", ["on", "1.5e+3", "null"])
def test_names_that_arent_text_are_named_as_in_python(spec: ModuleType, key: str) -> None:
    write(f"entry_points: {{main: {{command: ls, parameters: {{{key}: {{default: a}}}}}}}}")
    theirs = spec.load_project(str(HERE)).get_entry_point("main")
    assert list(read_project(HERE).entry_points["main"].parameters) == [str(k) for k in theirs.parameters]


def test_reads_files_with_byte_order_mark_and_windows_line_ends() -> None:
    file = HERE / "MLproject"
    file.write_bytes("\ufeffname: é\r\nentry_points:\r\n  main:\r\n    command: ls\r\n".encode())
    project = read_project(HERE)
    assert (project.name, project.entry_points["main"].command) == ("é", "ls")
    assert project.entry_points["main"].line == 3


@pytest.mark.parametrize(
    "text",
    [
        "conda_env: env.txt",
        "python_env: env.txt",
        "python_env: ''",
        "python_env: {}",
        "conda_env:",
        "docker_env: {image: i, volumes: ['/a:/b'], environment: [A, [B, c]]}",
        "docker_env:",
        "databricks_spark_job:",
    ],
)
def test_accepts_environments_that_mlflow_accepts(spec: ModuleType, text: str) -> None:
    write("", "env.txt")
    write(text)
    assert read_project(HERE).mlproject is not None
    spec.load_project(str(HERE))


# files that can't be read: text, message, whether MLflow refuses to load it too

SAMPLE = 'write:\n      entry_points:\n        main:\n          command: "python train.py"'

BROKEN = {
    "empty": ("", f"example/MLproject:1: the file is empty\n  {SAMPLE}"),
    "only a comment": ("# nothing\n", f"example/MLproject:1: the file is empty\n  {SAMPLE}"),
    "a list": ("- main\n", f"example/MLproject:1: the file holds a list, not keys with values\n  {SAMPLE}"),
    "text": ("main", f"example/MLproject:1: the file holds text, not keys with values\n  {SAMPLE}"),
    "tab": (
        "entry_points:\n\tmain:\n",
        "example/MLproject:2:1: not valid YAML: while scanning for the next token, "
        "found character '\\t' that cannot start any token\n"
        "      \tmain:\n"
        "      ^\n"
        "  indent with spaces: YAML takes no tabs",
    ),
    "colon": (
        "entry_points:\n  main:\n    command: echo a: b\n",
        "example/MLproject:3:20: not valid YAML: mapping values are not allowed here\n"
        "          command: echo a: b\n"
        "                         ^\n"
        '  put text with ": " in it in quotes',
    ),
    "brace": (
        "entry_points:\n  main:\n    command: {x} y\n",
        "example/MLproject:3:18: not valid YAML: while parsing a block mapping, "
        "expected <block end>, but found '<scalar>'\n"
        "          command: {x} y\n"
        "                       ^\n"
        "  put text that begins with {, [ or a quote in quotes, or fix the indentation",
    ),
    "two documents": (
        "name: a\n---\nname: b\n",
        "example/MLproject:2:1: not valid YAML: expected a single document in the stream, "
        "but found another document\n"
        "      ---\n"
        "      ^\n"
        "  keep one document: remove all from this line on",
    ),
    "python tag": (
        "name: !!python/name:os.system\n",
        "example/MLproject:1:7: not valid YAML: could not determine a constructor for the tag "
        "'tag:yaml.org,2002:python/name:os.system'\n"
        "      name: !!python/name:os.system\n"
        "            ^\n"
        "  remove the tag, or put text that begins with ! in quotes",
    ),
    "no such date": (
        "name: 2020-13-45\n",
        "example/MLproject:1:7: not valid YAML: this value can't be read (month must be in 1..12)\n"
        "      name: 2020-13-45\n"
        "            ^\n"
        "  put it in quotes if it is text",
    ),
    "control character": (
        "name: a\nentry_points: \x01\n",
        "example/MLproject:2: not valid YAML: the character U+0001 may not stand in it\n  remove it",
    ),
    "entry_points empty": (
        "name: a\nentry_points:\n",
        f'example/MLproject:2: "entry_points" holds nothing, not names with commands\n  {SAMPLE}',
    ),
    "entry_points a list": (
        "entry_points: [main]\n",
        f'example/MLproject:1: "entry_points" holds a list, not names with commands\n  {SAMPLE}',
    ),
    "entry point empty": (
        "entry_points:\n  main:\n",
        'example/MLproject:2: entry point "main" holds nothing, not a mapping with "command"\n'
        '  write below it:  command: "python train.py"',
    ),
    "entry point text": (
        "entry_points:\n  main: python train.py\n",
        'example/MLproject:2: entry point "main" holds text, not a mapping with "command"\n'
        '  write below it:  command: "python train.py"',
    ),
    "parameters empty": (
        "entry_points:\n  main:\n    parameters:\n    command: ls\n",
        'example/MLproject:3: "parameters" of entry point "main" holds nothing, not names with types\n'
        "  remove the key, or write below it:  alpha: {type: float, default: 0.5}",
    ),
    "parameters a list": (
        "entry_points:\n  main:\n    parameters: [a]\n    command: ls\n",
        'example/MLproject:3: "parameters" of entry point "main" holds a list, not names with types\n'
        "  remove the key, or write below it:  alpha: {type: float, default: 0.5}",
    ),
    "parameter empty": (
        "entry_points:\n  main:\n    command: ls\n    parameters:\n      alpha:\n",
        'example/MLproject:5: parameter "alpha" holds nothing, and MLflow wants a type or a mapping\n'
        '  write:  alpha: {type: string, default: "text"}',
    ),
    "parameter a number": (
        "entry_points:\n  main:\n    command: ls\n    parameters:\n      alpha: 0.5\n",
        'example/MLproject:5: parameter "alpha" holds a number, and MLflow wants a type or a mapping\n'
        "  write:  alpha: {type: float, default: 0.5}",
    ),
    "parameter true": (
        "entry_points:\n  main:\n    command: ls\n    parameters:\n      alpha: yes\n",
        'example/MLproject:5: parameter "alpha" holds true or false, and MLflow wants a type or a mapping\n'
        "  write:  alpha: {default: true}",
    ),
    "parameter a list": (
        "entry_points:\n  main:\n    command: ls\n    parameters:\n      alpha: [1]\n",
        'example/MLproject:5: parameter "alpha" holds a list, and MLflow wants a type or a mapping\n'
        '  write:  alpha: {type: string, default: "text"}',
    ),
    "two environments": (
        "conda_env: a\npython_env: b\n",
        "example/MLproject:2: MLflow takes only one of python_env, conda_env\n  remove the others",
    ),
    "conda file missing": (
        "name: a\nconda_env: conda.yml\n",
        'example/MLproject:2: "conda_env" names the file conda.yml, which doesn\'t exist\n'
        "  write a path relative to example, or remove the line",
    ),
    "python file missing": (
        "python_env: python_env.yaml\n",
        'example/MLproject:1: "python_env" names the file python_env.yaml, which doesn\'t exist\n'
        "  write a path relative to example, or remove the line",
    ),
    "python environment inline": (
        "python_env: {python: '3.11'}\n",
        'example/MLproject:1: "python_env" is a mapping, and MLflow wants the name of a file\n'
        "  write the content into a file beside this one:  python_env: python_env.yaml",
    ),
    "docker without image": (
        "docker_env: {volumes: []}\n",
        'example/MLproject:1: "docker_env" names no image\n  write below it:  image: NAME',
    ),
    "docker volumes": (
        "docker_env: {image: i, volumes: '/a:/b'}\n",
        'example/MLproject:1: "volumes" isn\'t a list of texts\n  write:  volumes: ["/here:/there"]',
    ),
    "docker environment": (
        "docker_env: {image: i, environment: {A: b}}\n",
        'example/MLproject:1: "environment" isn\'t a list of names and of [name, value] pairs\n'
        '  write:  environment: ["COPIED", ["NEW", "value"]]',
    ),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN)
def test_refuses_a_file_that_mlflow_dies_of(spec: ModuleType, text: str, message: str) -> None:
    (HERE / "MLproject").write_text(text)
    with pytest.raises(UserError) as refusal:
        read_project(HERE)
    assert str(refusal.value) == f"{message}\n{MORE}mlproject-invalid"
    assert refusal.value.rule == "mlproject-invalid"
    with pytest.raises(Exception):  # noqa: B017, PT011  (MLflow raises all sorts)
        spec.load_project(str(HERE))


# MLflow loads these and fails later, or silently does something else.
UNUSABLE = {
    "no command": (
        "entry_points:\n  main:\n    parameters: {}\n",
        'example/MLproject:2: entry point "main" has no command\n'
        '  write below it:  command: "python train.py"',
    ),
    "command misspelt": (
        "entry_points:\n  main:\n    parameters: {}\n    comand: ls\n",
        'example/MLproject:4: entry point "main" has no command; did you mean it by "comand"?\n'
        "  write:  command:",
    ),
    "command a list": (
        "entry_points:\n  main:\n    command: [python, train.py]\n",
        'example/MLproject:3: "command" of entry point "main" is a list, not text\n'
        '  write:  command: "python train.py"',
    ),
    "entry point that isn't text": (
        "entry_points:\n  main: {command: ls}\n  off: {command: ls}\n",
        "example/MLproject:3: YAML reads the name of this entry point as False, not as text: "
        "it can never be started\n"
        "  write the name in quotes",
    ),
    "databricks": (
        "name: a\ndatabricks_spark_job: {python_file: train.py}\n",
        'example/MLproject:2: "databricks_spark_job" needs a Databricks cluster: '
        "this project can't be launched locally\n"
        "  remove the key, or check another project",
    ),
}


@pytest.mark.parametrize(("text", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_refuses_a_file_that_can_never_be_launched(text: str, message: str) -> None:
    write(text)
    with pytest.raises(UserError) as refusal:
        read_project(HERE)
    assert str(refusal.value) == f"{message}\n{MORE}mlproject-invalid"
    assert refusal.value.rule == "mlproject-invalid"


def refusal_of_directory(directory: Path) -> str:
    with pytest.raises(UserError) as refusal:
        read_project(directory)
    return str(refusal.value)


def test_refuses_several_files() -> None:
    write("name: a", "MLproject")
    write("name: b", "mlproject")
    if len(list(HERE.iterdir())) == 1:
        pytest.skip("the file system doesn't tell upper case from lower case")
    assert refusal_of_directory(HERE) == snapshot("""\
example has 2 MLproject files: MLproject, mlproject
  MLflow takes the one that the file system happens to list first: keep only one\
""")


def test_refuses_text_that_isnt_utf8() -> None:
    (HERE / "MLproject").write_bytes(b"name: a\n# caf\xe9\n")
    assert refusal_of_directory(HERE) == snapshot("""\
example/MLproject:2: the byte 0xe9 is not UTF-8
  save the file as UTF-8
  more: pytest --mlflow-explain=mlproject-invalid\
""")


def test_refuses_a_directory_in_place_of_the_file() -> None:
    (HERE / "MLproject").mkdir()
    assert refusal_of_directory(HERE) == snapshot("""\
example/MLproject: this is a directory, where a file of that name is read
  rename the directory\
""")


def test_refuses_a_file_that_cant_be_read() -> None:
    (HERE / "MLproject").symlink_to("MLproject")
    assert refusal_of_directory(HERE) == snapshot("""\
example/MLproject: can't read the file: Too many levels of symbolic links
  let this user read it, or remove it\
""")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_refuses_an_unreadable_file() -> None:
    write("name: a").chmod(0)
    assert refusal_of_directory(HERE) == snapshot("""\
example/MLproject: can't read the file: Permission denied
  let this user read it, or remove it\
""")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every directory")
def test_refuses_an_unreadable_directory() -> None:
    HERE.chmod(0)
    message = refusal_of_directory(HERE)
    HERE.chmod(0o700)
    assert message == snapshot("""\
can't read the directory example: Permission denied
  let this user read it, or name another: --mlflow-project=DIR\
""")


def test_refuses_a_directory_that_cant_be_listed() -> None:
    Path("loop").symlink_to("loop")
    assert refusal_of_directory(Path("loop")) == snapshot("""\
can't read the directory loop: Too many levels of symbolic links
  let this user read it, or name another: --mlflow-project=DIR\
""")


def test_refuses_a_missing_directory() -> None:
    assert refusal_of_directory(Path("exmaple")) == snapshot("""\
there is no directory exmaple
  name the one that holds the MLproject: --mlflow-project=DIR\
""")


def test_refuses_a_file_as_directory() -> None:
    assert refusal_of_directory(write("name: a")) == snapshot("""\
example/MLproject is not a directory
  name the one it lies in: --mlflow-project=example\
""")


def test_messages_name_paths_outside_the_current_directory_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert shown_path(tmp_path / "example") == str(tmp_path / "example")
    assert shown_path(tmp_path / "elsewhere" / "MLproject") == "MLproject"
    assert shown_path(tmp_path / "elsewhere") == "."


# entry points


def touch(*names: str) -> None:
    for name in names:
        (HERE / name).parent.mkdir(parents=True, exist_ok=True)
        (HERE / name).touch()


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("train.py", "python train.py"),
        ("two words.py", "python 'two words.py'"),
        ("jobs/run.sh", "/bin/zsh jobs/run.sh"),
        ("fit.R", "Rscript -e \"mlflow::mlflow_source('fit.R')\" --args"),
        ("it's.R", "Rscript -e \"mlflow::mlflow_source(''it'\"'\"'s.R'')\" --args"),
    ],
)
def test_a_script_is_an_entry_point(spec: ModuleType, name: str, command: str) -> None:
    write("entry_points: {main: {command: ls}}")
    touch(name)
    assert resolve_entry_point(read_project(HERE), name) == EntryPoint(name, command)
    assert mlflow_command(spec, name, {"a": "b c"}) == f"{command} --a 'b c'" == command_of(name, a="b c")


def test_a_shell_script_without_shell_variable_runs_in_bash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHELL")
    touch("run.sh")
    assert resolve_entry_point(read_project(HERE), "run.sh").command == "bash run.sh"


def test_a_declared_entry_point_goes_before_a_script() -> None:
    write("entry_points: {train.py: {command: ls}}")
    touch("train.py")
    assert resolve_entry_point(read_project(HERE), "train.py").command == "ls"


def test_bare_directory_without_entry_point() -> None:
    touch("eval.py", "train.py", "notes.txt", "lib/util.py")
    assert message_of() == snapshot("""\
no MLproject in example and no entry point given.
  name a script: --mlflow-entry-point=train.py   (there are: train.py, eval.py)\
""")


def test_bare_directory_with_a_name_that_is_no_script() -> None:
    touch("train.py")
    assert message_of("trian") == snapshot("""\
no MLproject in example, so the entry point "trian" has to be a script; did you mean "train.py"?
  name a script: --mlflow-entry-point=train.py   (there are: train.py)\
""")


def test_directory_with_nothing_to_run() -> None:
    assert message_of() == snapshot("""\
no MLproject in example and no entry point given.
  there is no script (.py, .sh, .R) either: is this the right directory?\
""")
    assert message_of("train.py") == snapshot("""\
there is no script "train.py" in example
  there is no other script (.py, .sh, .R) either: is this the right directory?\
""")


def test_unknown_entry_point() -> None:
    write("entry_points: {download: {command: ls}, train: {command: ls}}")
    touch("etl data.py")
    assert message_of() == snapshot("""\
example/MLproject has no entry point "main"
  name one:  --mlflow-entry-point=download   (there are: download, train)
  or a script: --mlflow-entry-point='etl data.py'   (there are: etl data.py)\
""")
    assert message_of("trian").splitlines()[:2] == [
        'example/MLproject has no entry point "trian"; did you mean "train"?',
        "  name one:  --mlflow-entry-point=train   (there are: download, train)",
    ]


def test_entry_points_under_another_key() -> None:
    write("entry_point: {main: {command: ls}}")
    assert message_of().splitlines()[:2] == [
        'example/MLproject has no entry point "main"',
        "  MLflow ignores the key entry_point in line 1: write:  entry_points:",
    ]


def test_unknown_script() -> None:
    write("entry_points: {main: {command: ls}}")
    touch("train.py", "jobs/prepare.py", "jobs/fit.sh")
    assert message_of("tain.py") == snapshot("""\
there is no script "tain.py" in example; did you mean "train.py"?
  name one:  --mlflow-entry-point=train.py   (there are: main, train.py)\
""")
    assert message_of("jobs/prepaer.py") == snapshot("""\
there is no script "jobs/prepaer.py" in example; did you mean "jobs/prepare.py"?
  name one:  --mlflow-entry-point=jobs/prepare.py   (there are: main, jobs/fit.sh, jobs/prepare.py)\
""")
    assert message_of("train.py/").splitlines()[0] == (
        'example/MLproject has no entry point "train.py/"; did you mean "train.py"?'
    )
    assert message_of("nowhere/x" + "y" * 300 + ".py").splitlines()[1] == (
        "  name one:  --mlflow-entry-point=main   (there are: main, train.py)"
    )


# placeholders: command, message, whether MLflow dies of it too

PLACEHOLDERS = {
    "{idx}": (
        "the command has the placeholder {idx}, which is no parameter\n"
        "  did you mean  {index}\n"
        '  declare it under "parameters:" of "main":  idx: string\n'
        "  or, where the braces are meant as they are, double them:  {{idx}}"
    ),
    "--n {max-depth}": (
        "the command has the placeholder {max-depth}, which is no parameter\n"
        '  declare it under "parameters:" of "main":  max-depth: string\n'
        "  or, where the braces are meant as they are, double them:  {{max-depth}}"
    ),
    "ls ${HOME}": (
        "the command has the placeholder {HOME}, which is no parameter\n"
        "  for a variable of the shell double the braces:  ${{HOME}}"
    ),
    "awk '{print $1}'": (
        "the command has the placeholder {print $1}, which is no parameter\n"
        "  double the braces where they are meant as they are:  {{print $1}}"
    ),
    "awk '{print $1'": (
        "the command can't be filled in: expected '}' before end of string\n"
        "  braces around a parameter's name make a placeholder; double all others:  {{ and }}"
    ),
    "a } b": (
        "the command can't be filled in: Single '}' encountered in format string\n"
        "  braces around a parameter's name make a placeholder; double all others:  {{ and }}"
    ),
    'x --json {"a": 1}': (
        'the command has the placeholder {"a": 1}, which is no parameter\n'
        '  double the braces where they are meant as they are:  {{"a": 1}}'
    ),
    "find -exec ls {} +": (
        "the command has the positional placeholder {}, and MLflow fills in by name only\n"
        "  write a parameter's name:  {index}\n"
        "  or, where the braces are meant as they are, double them:  {{}}"
    ),
    "{0}": (
        "the command has the positional placeholder {0}, and MLflow fills in by name only\n"
        "  write a parameter's name:  {index}\n"
        "  or, where the braces are meant as they are, double them:  {{0}}"
    ),
    "{index:{}}": (
        "the command has the positional placeholder {}, and MLflow fills in by name only\n"
        "  write a parameter's name:  {index}\n"
        "  or, where the braces are meant as they are, double them:  {{}}"
    ),
    "{index:.2f}": (
        "the command can't be filled in: Unknown format code 'f' for object of type 'str'\n"
        "  MLflow passes every value on as text: write plain placeholders such as {name}"
    ),
    "{index.value}": (
        "the command can't be filled in: 'str' object has no attribute 'value'\n"
        "  MLflow passes every value on as text: write plain placeholders such as {name}"
    ),
    "{index[999]}": (
        "the command can't be filled in: string index out of range\n"
        "  MLflow passes every value on as text: write plain placeholders such as {name}"
    ),
    "{a.b}": (
        "the command has the placeholder {a.b}, which is no parameter\n"
        '  a name with "." or "[" can\'t be a placeholder: rename the parameter'
    ),
    "{on}": (
        "the command has the placeholder {on}, which is no parameter\n"
        '  YAML reads the name on as True: write it in quotes under "parameters:":  "on":'
    ),
}


@pytest.mark.parametrize(("command", "message"), PLACEHOLDERS.items(), ids=PLACEHOLDERS)
def test_refuses_a_command_that_cant_be_filled_in(spec: ModuleType, command: str, message: str) -> None:
    content = {
        "entry_points": {
            "main": {
                "parameters": {"index": {"default": 1}, "a.b": {"default": 2}, True: {"default": 3}},
                "command": command,
            },
            "broken": {"command": "{"},
        }
    }
    write(yaml.safe_dump(content, sort_keys=False))
    rule = "mlproject-invalid" if "as text" in message else "mlproject-undeclared-placeholder"
    assert message_of() == f'example/MLproject:2: entry point "main": {message}\n{MORE}{rule}'
    with pytest.raises((KeyError, IndexError, ValueError, AttributeError)):
        mlflow_command(spec, "main", {})


def test_other_entry_points_may_be_broken() -> None:
    write("entry_points: {main: {command: ls}, broken: {command: 'ls {'}}")
    assert command_of() == "ls"


def test_a_parameter_without_name_counts_in_the_entry_point_that_is_started() -> None:
    write("entry_points:\n  main: {command: ls}\n  a:\n    command: ls\n    parameters:\n      on: int\n")
    assert command_of() == "ls"
    assert message_of("a") == snapshot("""\
example/MLproject:6: YAML reads the name of this parameter as True, not as text: no value can be given
  write the name in quotes
  more: pytest --mlflow-explain=mlproject-invalid\
""")


def test_a_command_is_looked_at_when_resolved_and_when_rendered() -> None:
    write("entry_points: {main: {command: '{x}'}}")
    project = read_project(HERE)
    with pytest.raises(UserError, match="which is no parameter"):
        resolve_entry_point(project, "main")
    with pytest.raises(UserError, match="which is no parameter"):
        render_command(Case("main", project, project.entry_points["main"]), HERE)


def test_a_script_with_braces_in_its_name_is_refused(spec: ModuleType) -> None:
    touch("a{b}.py")
    assert message_of("a{b}.py") == snapshot("""\
example: entry point "a{b}.py": the command has the placeholder {b}, which is no parameter
  or, where the braces are meant as they are, double them:  {{b}}\
""")
    with pytest.raises(KeyError):
        mlflow_command(spec, "a{b}.py", {})


# values

ITERATE = """\
name: sample-mlflow-iterate

entry_points:
  main:
    parameters:
      index: int
      log_dir: {type: string, default: ""}
      model_dir: {default: null}
    command: "python iterate.py -i {index} -L {log_dir}"
"""


def test_complete_params_has_given_and_default_values_in_the_order_of_the_file() -> None:
    write(ITERATE)
    case = case_of(extra="1", index="10")
    assert list(complete_params(case).items()) == [("index", "10"), ("log_dir", "")]
    assert unset_null_defaults(case) == (Parameter("model_dir", "string", None, True, 8),)
    assert extra_params(case) == {"extra": "1"}
    assert command_of(extra="1", index="10") == "python iterate.py -i 10 -L '' --extra 1"
    assert unset_null_defaults(case_of(index="10", model_dir="")) == ()


def test_missing_value() -> None:
    write(ITERATE)
    assert message_of() == snapshot("""\
example/MLproject:6: entry point "main" needs a value for parameter "index" (int)
  on the command line:  -P index=VALUE
  or in mlflow-check.toml beside the MLproject:
      [[case]]
      params = { index = 10 }\
""")


def test_several_missing_values_with_odd_names() -> None:
    write(
        """\
        entry_points:
          "fit all":
            command: ls
            parameters:
              max-depth: float
              'a "b"': string
              in: path
              from: uri
              here: {default: 1}
              "é": other
        """
    )
    message = message_of("fit all")
    assert message == (
        'example/MLproject:5: entry point "fit all" needs values for the parameters "max-depth" (float), '
        '"a "b"" (string), "in" (path), "from" (uri), "é" (other)\n'
        "  on the command line:  --mlflow-entry-point='fit all' -P max-depth=VALUE -P 'a \"b\"=VALUE' "
        "-P in=VALUE -P from=VALUE -P 'é=VALUE'\n"
        "  or in mlflow-check.toml beside the MLproject:\n"
        "      [[case]]\n"
        '      entry_point = "fit all"\n'
        '      params = { max-depth = 0.5, "a \\"b\\"" = "text", in = "some/path", '
        'from = "s3://bucket/data", "é" = "text" }'
    )


@pytest.mark.parametrize("name", ["index", "max-depth", "a.b", 'a "b"', "\\", "é", "\n", "\x7f"])
def test_toml_in_a_message_is_valid_for_every_name(name: str) -> None:
    tomllib = pytest.importorskip("tomllib")
    content = {"entry_points": {name: {"parameters": {name: "string"}, "command": "ls"}}}
    write(yaml.safe_dump(content))
    toml = "\n".join(message_of(name).splitlines()[-3:])
    assert tomllib.loads(toml) == {"case": [{"entry_point": name, "params": {name: "text"}}]}


def test_mistyped_name_is_told_before_the_missing_value() -> None:
    write(ITERATE)
    assert message_of(indx="a b") == snapshot("""\
example/MLproject:6: entry point "main" has no parameter "indx"; did you mean "index"?
  on the command line:  -P 'index=a b'
  in mlflow-check.toml:  params = { index = "a b" }
  if the command is to get --indx besides, give "index" a value too\
""")


@pytest.mark.parametrize(
    ("declared", "given_name", "refused"),
    [
        ("max-depth", "max_depth", True),
        ("a-b", "A_B", True),
        ("Epochs", "epochs", True),
        ("alpha", "alhpa", True),
        ("epochs", "epoch", True),
        ("learning_rate", "learning_rate_decay", False),
        ("learning_rate_decay", "learning_rate", False),
        ("layer1", "layer2", False),
        ("train_file", "test_file", False),
        ("min_depth", "max_depth", False),
        ("log_dir", "model_dir", False),
    ],
)
def test_what_counts_as_mistyped(declared: str, given_name: str, refused: bool) -> None:
    write(f"entry_points: {{main: {{command: ls, parameters: {{{declared}: {{default: 1}}}}}}}}")
    if refused:
        assert f'no parameter "{given_name}"; did you mean "{declared}"?' in message_of(**{given_name: "2"})
    else:
        assert command_of(**{given_name: "2"}) == f"ls --{given_name} 2"
    assert command_of(**{given_name: "2", declared: "1"}) == f"ls --{given_name} 2"


def typed(kind: str, default: str = "null") -> None:
    write(f"entry_points:\n  main:\n    command: ls {{x}}\n    parameters:\n      x: {kind}\n")
    if default != "null":
        write(
            "entry_points:\n  main:\n    command: ls {x}\n    parameters:\n"
            f"      x: {{type: {kind}, default: {default}}}\n"
        )


@pytest.mark.parametrize(
    ("kind", "value", "problem", "sample"),
    [
        ("int", "ten", 'is an int, and "ten" is not', "10"),
        ("int", "1.0", 'is an int, and "1.0" is not', "10"),
        ("integer", "", 'is an int, and "" is not', "10"),
        ("float", "0,5", 'is a float, and "0,5" is not', "0.5"),
        ("uri", "data.csv", 'is a uri, and "data.csv" has no scheme such as s3://', '"s3://bucket/data"'),
        ("uri", "http://[", 'is a uri, and "http://[" has no scheme such as s3://', '"s3://bucket/data"'),
        ("path", "data\n.csv", 'is a path, and there is no "data\\n.csv" in example', '"some/path"'),
        (
            "path",
            "file:///no/where",
            'is a path, and there is no "file:///no/where" in example',
            '"some/path"',
        ),
        ("path", "http://[", 'is a path, and "http://[" is none: Invalid IPv6 URL', '"some/path"'),
        ("path", "", "is a path, and its value is empty", '"some/path"'),
        ("path", "a" * 300, f'is a path, and there is no "{"a" * 300}" in example', '"some/path"'),
    ],
)
def test_value_of_the_wrong_type(kind: str, value: str, problem: str, sample: str) -> None:
    typed(kind)
    assert message_of(x=value) == (
        f'example/MLproject:5: parameter "x" of entry point "main" {problem}\n'
        "  on the command line:  -P x=VALUE\n"
        "  or in mlflow-check.toml beside the MLproject:\n"
        "      [[case]]\n"
        f"      params = {{ x = {sample} }}"
    )


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", "-1_000"),
        ("float", "1e-3"),
        ("float", "nan"),
        ("string", ""),
        ("choice", "ten"),
        ("uri", "dbfs:/x"),
        ("path", "there.csv"),
        ("path", "file:there.csv"),
        ("path", "."),
        ("path", "with%20space"),
    ],
)
def test_value_of_the_right_type(spec: ModuleType, kind: str, value: str) -> None:
    touch("there.csv", "with space")
    typed(kind)
    assert complete_params(case_of(x=value)) == {"x": value}
    assert command_of(x=value) == mlflow_command(spec, "main", {"x": value})


def test_several_values_of_the_wrong_type_in_one_message() -> None:
    write("entry_points: {main: {command: ls, parameters: {a: int, b: float, c: float}}}")
    assert message_of(a="x", b="y", c="1") == snapshot("""\
example/MLproject:1: parameter "a" of entry point "main" is an int, and "x" is not
example/MLproject:1: parameter "b" of entry point "main" is a float, and "y" is not
  on the command line:  -P a=VALUE -P b=VALUE
  or in mlflow-check.toml beside the MLproject:
      [[case]]
      params = { a = 10, b = 0.5 }\
""")


@pytest.mark.parametrize(("kind", "value"), [("int", "None"), ("float", "''"), ("integer", "1.5")])
def test_default_of_a_number_may_be_any_text_as_in_mlflow(spec: ModuleType, kind: str, value: str) -> None:
    typed(kind, value)
    assert command_of() == mlflow_command(spec, "main", {})


@pytest.mark.parametrize(("kind", "value"), [("path", "no.csv"), ("path", "5"), ("uri", "no"), ("uri", "5")])
def test_default_of_path_and_uri_has_to_fit_as_in_mlflow(spec: ModuleType, kind: str, value: str) -> None:
    typed(kind, value)
    assert f'example/MLproject:5: parameter "x" of entry point "main" is a {kind}, and ' in message_of()
    with pytest.raises(Exception):  # noqa: B017, PT011
        mlflow_command(spec, "main", {})


# the command line


def test_local_paths_become_absolute_in_the_directory_of_the_launch(tmp_path: Path) -> None:
    touch("data/a.csv", "data/b c")
    write(
        """\
        entry_points:
          main:
            parameters: {x: path, y: {type: path, default: data/../data}, z: path, s: {default: data}}
            command: "cat {x} {y} {z} {s}"
        """
    )
    case = case_of(x="data/b c", z="s3://bucket/a key")
    copy = tmp_path / "copy"
    assert render_command(case, copy) == (
        f"cat {shlex.quote(f'{copy}/data/b c')} {copy}/data 's3://bucket/a key' data"
    )
    assert command_of(x=".", z="file://host/key").split()[-2:] == ["file://host/key", "data"]
    assert complete_params(case)["x"] == "data/b c"
    assert render_command(case, copy, template="head {y}") == f"head {copy}/data"


COMMANDS = {
    "placeholders": ("a {x} b {x} {{x}} {x!s:>8}|", {"x": "1"}),
    "quoted": ("echo {x}", {"x": "it's $(rm -rf) `x` ; \\ \" é☃ \n ."}),
    "empty": ("echo {x}|", {"x": ""}),
    "extra": ("echo", {"x": "1", "b": "", "a": "c d", "max-depth": "3", "--twice": "1"}),
    "newline at the end": ("echo {x}\n", {"x": "1", "a": "2"}),
    "braces in values": ("echo {x}", {"x": "{x} {y} {}"}),
    "index": ("echo {x[1]}", {"x": "a b"}),
}


@pytest.mark.parametrize(("command", "params"), COMMANDS.values(), ids=COMMANDS)
def test_command_is_mlflows(spec: ModuleType, command: str, params: dict[str, str]) -> None:
    content = {"entry_points": {"main": {"parameters": {"x": "string"}, "command": command}}}
    write(yaml.safe_dump(content))
    assert command_of(**params) == mlflow_command(spec, "main", params)


def test_names_of_extra_parameters_are_quoted_as_in_mlflow_3(
    spec: ModuleType, quotes_extra_names: bool
) -> None:
    touch("train.py")
    params = {"odd; name": "é"}
    assert command_of("train.py", **params) == "python train.py --'odd; name' 'é'"
    if quotes_extra_names:
        assert command_of("train.py", **params) == mlflow_command(spec, "train.py", params)


def test_extra_parameters_follow_in_the_given_order() -> None:
    write("entry_points: {main: {command: 'run {x}', parameters: {x: string}}}")
    assert command_of(b="2", x="1", a="c d") == "run 1 --b 2 --a 'c d'"


def test_command_with_a_null_default_that_has_no_value() -> None:
    write(ITERATE.replace("{log_dir}", "{model_dir}"))
    assert message_of(index="10") == snapshot("""\
example/MLproject:8: entry point "main": "model_dir" has the default null, which MLflow counts as no value
  write a default, such as the empty text, in the MLproject:  model_dir: {default: ""}
  or give a value:
  on the command line:  -P model_dir=VALUE
  or in mlflow-check.toml beside the MLproject:
      [[case]]
      params = { model_dir = "text" }\
""")
    assert command_of(index="10", model_dir="m") == "python iterate.py -i 10 -L m"
    assert message_of("main", "python {model_dir}", index="10") == message_of(index="10")
    assert command_of("main", "python {index}", index="10") == "python 10"


def test_fluent_may_name_declared_and_extra_parameters_and_gets_nothing_appended() -> None:
    write(ITERATE)
    case = case_of("main", "python {script} -i {index}", index="10", script="a b.py", unused="1")
    check_fluent(case)
    assert render_command(case, HERE, template=case.fluent) == "python 'a b.py' -i 10"
    check_fluent(case_of(index="1"))


@pytest.mark.parametrize(
    ("fluent", "problem"),
    [
        (
            "python {idx}",
            " has the placeholder {idx}, which is no parameter\n"
            "  did you mean  {index}\n"
            '  give it a value in the case:  params = { idx = "text" }\n'
            "  or, where the braces are meant as they are, double them:  {{idx}}",
        ),
        (
            "awk '{print $1}'",
            " has the placeholder {print $1}, which is no parameter\n"
            "  double the braces where they are meant as they are:  {{print $1}}",
        ),
        (
            "ls {",
            " can't be filled in: Single '{' encountered in format string\n"
            "  braces around a parameter's name make a placeholder; double all others:  {{ and }}",
        ),
    ],
)
def test_refuses_a_fluent_command_that_cant_be_filled_in(fluent: str, problem: str) -> None:
    write(ITERATE)
    message = f'example/MLproject: case "ten": the command under the settings key "fluent"{problem}'
    assert message_of("main", fluent, index="1") == message
    with pytest.raises(UserError) as refusal:
        check_fluent(case_of("main", fluent, index="1"))
    assert str(refusal.value) == message
