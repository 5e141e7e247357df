"""Files that users write, broken in every way: a message with file and line, at once, and nothing else.

Where a test would show that something takes too long, it does so by not ending: what is refused here took
minutes, or all the memory there is, with the parsers alone.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_mlflow_check.config.settings import FILE_NAME, load_settings
from pytest_mlflow_check.config.toml_lines import line_of
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.engine.planning import cases_of, policy_of
from pytest_mlflow_check.mlproject.loader import read_project, resolve_entry_point
from support.projects import MLPROJECT, SETTINGS

BAD_SETTINGS = SETTINGS.replace("timeout", "timeuot")
# Of settings that were cut, the parameter that isn't given any more is missed in the MLproject.
PLACE = r"^proj/(?:{}|MLproject):\d+(:\d+)?( \[tool\.mlflow-check\])?: "


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound project `proj` in the current directory."""
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "proj"
    directory.mkdir()
    (directory / "MLproject").write_text(MLPROJECT, encoding="utf-8")
    (directory / "python_env.yaml").write_text("dependencies: [mlflow]\n")
    return directory


def collect(project: Path) -> None:
    """All that collecting does with the files of a project."""
    read = read_project(project)
    for name in read.entry_points:
        resolve_entry_point(read, name)
    settings = load_settings(project)
    policy_of(settings)
    if settings.values.case:
        cases_of(settings, read)


def mistake(project: Path) -> str | None:
    """What is said of the files, if anything."""
    try:
        collect(project)
    except UserError as error:
        return str(error)
    return None


def refusal(project: Path) -> str:
    said = mistake(project)
    assert said is not None
    return said


def refusals(project: Path, name: str, contents: Iterator[bytes]) -> int:
    """How many of these contents of a file are refused; each with file and line."""
    count = 0
    for content in contents:
        (project / name).write_bytes(content)
        if (said := mistake(project)) is not None:
            assert re.match(PLACE.format(name), said), (content, said)
            count += 1
    return count


def prefixes(text: str) -> Iterator[bytes]:
    content = text.encode()
    return (content[:length] for length in range(len(content)))


def test_the_project_is_sound(project: Path) -> None:
    (project / FILE_NAME).write_text(SETTINGS, encoding="utf-8")
    collect(project)


# cut short


def test_an_mlproject_cut_at_any_byte(project: Path) -> None:
    assert refusals(project, "MLproject", prefixes(MLPROJECT)) > len(MLPROJECT) / 2


def test_settings_cut_at_any_byte(project: Path) -> None:
    assert refusals(project, FILE_NAME, prefixes(SETTINGS)) > len(SETTINGS) / 2


def test_a_pyproject_cut_at_any_byte(project: Path) -> None:
    text = "[project]\nname = 'x'\n[tool.mlflow-check]\n" + re.sub(
        r"^(\[+)", r"\1tool.mlflow-check.", SETTINGS, flags=re.MULTILINE
    )
    assert refusals(project, "pyproject.toml", prefixes(text)) > len(SETTINGS) / 2


def test_settings_with_a_wrong_key_cut_at_any_byte(project: Path) -> None:
    length = BAD_SETTINGS.index("\nignore")
    assert refusals(project, FILE_NAME, (text for text in prefixes(BAD_SETTINGS) if len(text) > length))


# wrong types

ODD = [None, True, 0, "text", ["a"], {"a": 1}, [[1]]]


def places(value: Any) -> Iterator[tuple[Any, ...]]:
    """The way to each part of a document."""
    yield ()
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from ((key, *rest) for rest in places(part))


def replaced(value: Any, keys: tuple[Any, ...], by: Any) -> Any:
    if not keys:
        return by
    key, *rest = keys
    parts = dict(value) if isinstance(value, dict) else list(value)
    parts[key] = replaced(value[key], tuple(rest), by)
    return parts


def test_an_mlproject_with_a_wrong_type_anywhere(project: Path) -> None:
    documents = [{**yaml.safe_load(MLPROJECT)}]
    del (docker := {**documents[0]})["python_env"]
    volumes = {"image": "x", "volumes": ["/a:/b"], "environment": ["A", ["B", "c"]]}
    documents.append({**docker, "docker_env": volumes})
    changed = (
        yaml.safe_dump(replaced(document, keys, odd)).encode()
        for document in documents
        for keys in places(document)
        for odd in ODD
    )
    assert refusals(project, "MLproject", changed) > 100


TYPES = {
    "true": {"strict", "observer", "probes", "cache"},
    "1.5": {"timeout"},
    "0": set(),
    "'x'": {"entry_point"},
    "[]": {"artifact_contents", "pass_env", "case", "allow"},
    "[1]": set(),
    "[[]]": set(),
    "{}": {"params", "ignore", "metric_tolerance", "prediction_tolerance", "rules", "case[].x"},
    "{a = 1}": {"params"},
    "{a = {b = 1}}": set(),
    "1979-05-27": set(),
    "nan": set(),
    "0x" + "f" * 5000: set(),
}


@pytest.mark.parametrize("written", TYPES, ids=[key[:20] for key in TYPES])
def test_settings_with_a_wrong_type_anywhere(project: Path, written: str) -> None:
    keys = [
        *(
            "strict",
            "observer",
            "probes",
            "cache",
            "timeout",
            "entry_point",
            "store",
            "launch",
            "env_manager",
        ),
        *("tracking_uri", "params", "ignore", "metric_tolerance", "prediction_tolerance", "rules"),
        *("artifact_contents", "pass_env", "case", "allow", "ignore.tags", "metric_tolerance.rel"),
        *("rules.param-differs", "nobody", "params.a"),
    ]
    fits = TYPES[written] | ({"strict", "observer", "probes", "cache"} if written == "0" else set())
    fits |= {"metric_tolerance.rel"} if written in ("0", "1.5") else set()
    fits |= {"ignore.tags"} if written == "[]" else set()
    fits |= {"params.a"} if written in ("true", "1.5", "0", "'x'", "nan") else set()
    accepted = set()
    for key in keys:
        (project / FILE_NAME).write_text(f"\n{key} = {written}\n")
        said = mistake(project)
        if said is None:
            accepted.add(key)
        else:
            assert said.startswith(f"proj/{FILE_NAME}:2: "), key
            assert len(said) < 1000
    assert accepted == fits & set(keys)


# bombs


def doubling(levels: int, part: str) -> str:
    """Each level holds the one before it twice."""
    lines = [f"a0: &a0 {part}"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, levels)]
    return "\n".join(lines)


def merging(levels: int) -> str:
    lines = ["a0: &a0 {k: v}"]
    lines += [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, levels)]
    return "\n".join(lines)


def chain(levels: int) -> str:
    return "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, levels))])


MAIN = "\nentry_points: {main: {command: x, parameters: {p: {default: *DEFAULT}}}}\n"
MUCH, DEEP = "the aliases make more than 1,000,000 characters of it", "100 levels deep"
BOMBS = {
    "doubling": (doubling(60, "[lol]") + MAIN.replace("DEFAULT", "a59"), MUCH),
    "long text, many times": (f"a: &a {'x' * 50_000}\nb: [{'*a, ' * 1000}]", MUCH),
    "merged doubling": (merging(60), MUCH),
    "alias chain": (chain(2000), DEEP),
    "part of itself": ("a: &a [*a]\nb: *a", "the aliases make a value a part of itself"),
    "parts of each other": ("a: &a {b: &b [*a], c: [*b]}", "the aliases make a value a part of itself"),
    "merged into itself": ("a: &a\n  <<: *a\n", "the aliases make a value a part of itself"),
    "brackets": ("name: " + "[" * 100_000, DEEP),
    "braces": ("name: " + "{a: " * 30_000, DEEP),
    "dashes": ("- " * 60_000, DEEP),
    "questions": ("? " * 60_000, DEEP),
    "indentation": ("\n".join(" " * n + "a:" for n in range(400)), DEEP),
    "hex digits": ("a: 0x" + "f" * 100_000, "this value can't be read"),
    "digits": ("a: " + "9" * 100_000, "this value can't be read"),
    "sexagesimal": ("a: 1" + ":59" * 30_000, "this value can't be read"),
    "half a surrogate pair": ('a: "\\ud800"', "this value can't be read"),
    "a Python object": ("a: !!python/object/apply:os.system [touch pwned]", "constructor for the tag"),
    "a tag": ("a: !name x", "constructor for the tag"),
    "two documents": ("a: 1\n---\na: 2\n", "another document"),
}


@pytest.mark.parametrize(("text", "said"), BOMBS.values(), ids=BOMBS)
def test_yaml_that_makes_much_of_little(project: Path, text: str, said: str) -> None:
    message = refusals_message(project, "MLproject", text)
    assert said in message
    assert re.match(PLACE.format("MLproject"), message)
    assert len(message) < 1000
    assert not Path("pwned").exists()


def refusals_message(project: Path, name: str, text: str | bytes) -> str:
    (project / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return refusal(project)


def test_aliases_and_merges_that_are_no_bombs(project: Path) -> None:
    (project / "MLproject").write_text(
        "base: &base {type: float, default: &half 0.5}\n"
        "entry_points:\n  main:\n    command: 'x {a} {b}'\n    parameters:\n"
        "      a: {<<: *base, default: 1}\n      b: {default: *half}\n"
    )
    parameters = read_project(project).entry_points["main"].parameters
    assert [(one.type, one.default, one.line) for one in parameters.values()] == [
        ("float", "1", 6),
        ("string", "0.5", 7),
    ]


def test_the_last_of_two_equal_keys_counts(project: Path) -> None:
    (project / "MLproject").write_text("name: a\nname: b\nentry_points: {main: {command: x, command: y}}\n")
    read = read_project(project)
    assert (read.name, read.entry_points["main"].command) == ("b", "y")


TOML_BOMBS = {
    "a dotted key": ("\n" + "a." * 300_000 + "a = 1", ":2: not valid TOML: a key of more than 500 parts"),
    "a dotted table": ("[" + "a . " * 100_000 + "a]", ":1: not valid TOML: a key of more than 500 parts"),
    "a dotted key with quotes": ("'a'." * 90_000 + "a=1", ":1: not valid TOML: a key of more than 500 parts"),
    "brackets": ("\na = " + "[" * 100_000, ":2: not valid TOML: "),
    "braces": ("a = " + "{ a = " * 100_000, ":1: not valid TOML: "),
    "digits": (
        "\na = " + "9" * 100_000,
        ":2: not valid TOML: a number of too many digits; put text in quotes",
    ),
    "hex digits": ("timeout = 0x" + "f" * 100_000, ':1: "timeout": '),
    "many mistakes": ("\n".join(f"key{n} = 1" for n in range(20_000)), ':1: unknown key "key0": '),
    "a long value": (
        f"store = '{'x' * 500_000}'",
        ':1: "store": write file, sqlite, server or postgresql://USER@HOST/DATABASE (got \'x',
    ),
}


@pytest.mark.parametrize("name", [FILE_NAME, "pyproject.toml"])
@pytest.mark.parametrize(("text", "said"), TOML_BOMBS.values(), ids=TOML_BOMBS)
def test_toml_that_makes_much_of_little(project: Path, name: str, text: str, said: str) -> None:
    if name == "pyproject.toml" and "not valid" not in said:
        text, said = f"[tool.mlflow-check]\n{text}", said.replace(":1:", ":2:")
    message = refusals_message(project, name, text)
    assert message.startswith(f"proj/{name}{said}")
    assert len(message) < 2000


# size

COMMENTS = "# nothing\n" * 524_288
LARGE = {
    "MLproject, comments": ("MLproject", COMMENTS, "128 kB"),
    "MLproject, entry points": ("MLproject", "".join(f"e{n}: {{a: 1}}\n" for n in range(350_000)), "128 kB"),
    "settings, comments": (FILE_NAME, COMMENTS, "1024 kB"),
    "settings, cases": (FILE_NAME, "[[case]]\nid = 'a'\n" * 300_000, "1024 kB"),
    "pyproject": ("pyproject.toml", "[[a]]\nid = 'a'\n" * 350_000, "1024 kB"),
}


@pytest.mark.parametrize(("name", "text", "most"), LARGE.values(), ids=LARGE)
def test_5_mb(project: Path, name: str, text: str, most: str) -> None:
    assert len(text) > 5_000_000
    assert refusals_message(project, name, text).startswith(
        f"proj/{name}: the file has more than {most}\n  keep in it only what is meant for this file"
    )


# not text


@pytest.mark.parametrize("name", ["MLproject", FILE_NAME, "pyproject.toml"])
@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"# a\n# b\n# caf\xe9\n", 3),
        ("store = 'file'\n".encode("utf-16"), 1),
        ("store = 'file'\n".encode("utf-32"), 1),
        (b"# a\n# \0\n", 2),
        (b"\0" * 1000, 1),
        (bytes(range(128, 256)) * 100, 1),
        (b"# a\n# \xed\xa0\x80\n", 2),
    ],
    ids=["latin-1", "utf-16", "utf-32", "NUL", "zeroes", "binary", "surrogate"],
)
def test_no_utf_8(project: Path, name: str, content: bytes, line: int) -> None:
    message = refusals_message(project, name, content)
    assert re.match(rf"proj/{re.escape(name)}:{line}(:\d+)?: ", message)
    assert "\0" not in message


def test_a_byte_order_mark(project: Path) -> None:
    (project / "MLproject").write_text(MLPROJECT, encoding="utf-8-sig")
    (project / FILE_NAME).write_text(SETTINGS, encoding="utf-8-sig")
    collect(project)


def test_line_ends_of_windows_and_old_macs(project: Path) -> None:
    (project / "MLproject").write_bytes(MLPROJECT.replace("\n", "\r\n").encode())
    (project / FILE_NAME).write_bytes(SETTINGS.replace("\n", "\r\n").encode())
    collect(project)
    (project / FILE_NAME).write_bytes(SETTINGS.replace("\n", "\r").encode())
    assert refusal(project).startswith(f"proj/{FILE_NAME}:1:")


# no file


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        # The name of a socket may not be long.
        server.bind(os.path.relpath(path))


NO_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "directory": (
        Path.mkdir,
        "this is a directory, where a file of that name is read\n  rename the directory",
    ),
    "pipe": (os.mkfifo, "this is a pipe, a socket or a device\n  put a file in its place"),
    "socket": (bound, "this is a pipe, a socket or a device\n  put a file in its place"),
    "device": (
        lambda path: path.symlink_to("/dev/zero"),
        "this is a pipe, a socket or a device\n  put a file in its place",
    ),
    "dangling": (
        lambda path: path.symlink_to("nowhere"),
        "can't read the file: No such file or directory\n  let this user read it, or remove it",
    ),
    "loop": (
        lambda path: path.symlink_to(path.name),
        "can't read the file: Too many levels of symbolic links\n  let this user read it, or remove it",
    ),
}


@pytest.mark.parametrize("name", ["MLproject", FILE_NAME])
@pytest.mark.parametrize(("make", "said"), NO_FILES.values(), ids=NO_FILES)
def test_something_else_in_place_of_the_file(
    project: Path, name: str, make: Callable[[Path], object], said: str
) -> None:
    (project / name).unlink(missing_ok=True)
    make(project / name)
    assert refusal(project) == f"proj/{name}: {said}"


@pytest.mark.parametrize(("make", "said"), NO_FILES.values(), ids=NO_FILES)
def test_a_pyproject_that_is_no_file_is_none_of_ours(
    project: Path, make: Callable[[Path], object], said: str
) -> None:
    make(project / "pyproject.toml")
    collect(project)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
@pytest.mark.parametrize("name", ["MLproject", FILE_NAME, "pyproject.toml"])
def test_a_file_that_may_not_be_read(project: Path, name: str) -> None:
    (project / name).touch()
    (project / name).chmod(0)
    assert refusal(project).startswith(f"proj/{name}: can't read the file: Permission denied\n")


# what the MLproject names


@pytest.mark.parametrize("key", ["python_env", "conda_env"])
@pytest.mark.parametrize("make", [make for make, _ in NO_FILES.values()], ids=NO_FILES)
def test_the_file_of_an_environment_that_is_none(
    project: Path, key: str, make: Callable[[Path], object]
) -> None:
    make(project / "env.yaml")
    message = refusals_message(project, "MLproject", f"\n{key}: env.yaml\n")
    assert re.match(
        rf'proj/MLproject:2: "{key}" names .*env.yaml, which (is no file|doesn\'t exist)\n', message
    )


@pytest.mark.parametrize("name", ["x" * 5000, "a\\0b", "../" * 2000 + "x"])
def test_the_file_of_an_environment_with_an_impossible_name(project: Path, name: str) -> None:
    message = refusals_message(project, "MLproject", f'python_env: "{name}"')
    assert message.startswith("proj/MLproject:1: ")
    assert len(message) < 1000


def test_the_content_of_an_environments_file_is_mlflows(project: Path) -> None:
    (project / "python_env.yaml").write_text(doubling(60, "[lol]"))
    collect(project)


# lines of TOML


@pytest.mark.parametrize(
    ("keys", "table", "line"),
    [
        (("timeout",), "", 2),
        (("case", 0, "id"), "", 9),
        (("case", 1, "id"), "", 12),
        (("case", 1, "params"), "", 13),
        (("case", 2, "id"), "", 15),
        (("rules", "param-differs"), "", 6),
        (("rules",), "", 4),
        (("ignore", "metrics"), "", 3),
        (("nobody",), "", None),
        (("timeout",), "tool.mlflow-check", 20),
        (("allow", 0, "reason"), "tool.mlflow-check", 21),
        (("twice",), "tool.mlflow-check", None),
    ],
)
def test_line_of_a_key(keys: tuple[str | int, ...], table: str, line: int | None) -> None:
    text = """store = "file"
timeout = 0
ignore = { metrics = 1 }
[rules]
# param-differs: comment
"param-differs" = 1
"case" = ["id"]
[[ case ]]
id = 1
# [[case]]
[[case]]
"id" = "a"
[case.params]
[[case]]
id="b"
['tool'.x]
timeout = 1
["tool".mlflow-check]
observer = true
timeout = 2
[[tool.mlflow-check.allow]]
[tool.mlflow-check.twice]
a = { twice = 1 }
"""
    if table == "":
        text = text.partition("['tool'")[0]
    assert line_of(text, keys, table=table) == line
