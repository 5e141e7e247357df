"""Files, programs and variables of the environment that a launch didn't find."""

from __future__ import annotations

import difflib
import re
import shlex
from pathlib import PurePosixPath

from pytest_mlflow_check.checks.crash import Crash, Known
from pytest_mlflow_check.checks.failure_causes import MISSING_FILE, unquoted

_SCRIPT = re.compile(r"can't open file '(?P<script>[^'\n]{1,1000})': \[Errno 2\]")
_NOT_FOUND = re.compile(
    r"(?:\w+\.)*\w*(?:Error|Exception): [^\n]*?"
    r"(?:No such file or directory|does not exist|not find|not found)"
    r"""[^'"\n]*['"](?P<path>[^'"\n]{1,1000})['"]"""
)
_NO_DIRECTORY = re.compile(
    r"(?:OSError: Cannot save file into a non-existent directory: '(?P<pandas>[^'\n]{1,1000})'"
    r"|RuntimeError: Parent directory (?P<torch>[^\n]{1,1000}) does not exist\.)"
)
_PROGRAM = re.compile(
    r"^(?:/\S{1,50}/)?(?:sh|bash|dash|zsh): (?:line )?(?:\d+: )?"
    r"(?P<program>[\w./+-]{1,200}): (?:command )?not found$",
    re.MULTILINE,
)
_CANNOT_OPEN = re.compile(r"^\S*sh: \d+: cannot open (?P<script>[^:\n]{1,1000}): No such file$", re.MULTILINE)
_DENIED = re.compile(r"^[^\n]{0,100}?(?P<program>[\w./+-]{1,200}): Permission denied$", re.MULTILINE)
_VARIABLE = re.compile(r"KeyError: '(?P<name>[A-Za-z_]\w{0,200})'")
_UNSET = re.compile(
    r"(?:[\w.]*InterpolationResolutionError: Environment variable '(?P<omegaconf>\w{1,200})' not found"
    r"|[\w.]*UndefinedValueError: (?P<decouple>\w{1,200}) not found\. Declare it as envvar"
    r"""|[\w.]*EnvError: Environment variable "(?P<environs>\w{1,200})" not set)"""
)
"""As OmegaConf, python-decouple and environs say it."""

_UNBOUND = re.compile(
    r"^[^\n:]{0,100}: (?:line )?(?:\d+: )?(?P<name>[A-Za-z_]\w*): (?:unbound variable|parameter not set)$",
    re.MULTILINE,
)
"""As shells say it under `set -u`."""

_WRITES = re.compile(
    r"""open\([^\n]*['"][wax]b?\+?['"]|\.(?:to_\w+|save\w*|dump|write\w*|mkdir)\(|\bdump\("""
)
_ENVIRON = re.compile(r"\benviron\b")
_LEFT_OUT = frozenset(["mlruns", "mlartifacts", "mlflow.db"])
"""What an earlier training left and no launch gets a copy of (`runtime/sandbox/workspace.py`)."""

_WITHHELD = ("MLFLOW_", "DATABRICKS_", "OTEL_EXPORTER_")
"""What no launch gets from the environment (`runtime/sandbox/environment.py`)."""


def missing_variable(crash: Crash, message: str) -> Known | None:
    """What is known of a variable of the environment that isn't set."""
    found = _UNSET.match(message) or _UNBOUND.search(message)
    if found:
        name = next(value for value in found.groupdict().values() if value)
    else:
        found = _VARIABLE.match(message)
        frames = crash.death.frames[-2:]
        if not found or not any(
            _ENVIRON.search(frame.code) or frame.file.endswith("/os.py") for frame in frames
        ):
            return None
        name = found["name"]
    where = f", which {crash.source_line} needs," if crash.source_line else ""
    if name.startswith(_WITHHELD):
        return Known(
            f"The environment variable {name}{where} isn't set: none that may lead to another server reaches "
            "a launch.",
            f'let the code do without it:  os.environ.get("{name}")',
            crash.source_line,
        )
    setting, code = crash.setting(name, "…")
    return Known(
        f"The environment variable {name}{where} isn't set where pytest runs.",
        f"{setting};  or start pytest with  {name}=…",
        crash.source_line,
        code,
    )


def missing_script(crash: Crash, message: str) -> Known | None:
    """What is known of a script or program that the command starts and that isn't there."""
    if found := _SCRIPT.search(message):
        return _script(crash, found["script"])
    if found := _CANNOT_OPEN.search(message):
        return _script(crash, found["script"])
    if found := _PROGRAM.search(message):
        program = found["program"]
        if "/" in program and crash.relative(program):
            return _script(crash, program)
        return Known(
            f"{crash.command_place} starts {program}, which isn't installed here.",
            f"install {program}, or write another command in {crash.command_place}",
            crash.command_line,
        )
    if (found := _DENIED.search(message)) and crash.relative(found["program"]) in crash.surroundings.files:
        program = found["program"]
        return Known(
            f"{program} may not be executed.",
            f"chmod +x {program}  and, for all others,  git update-index --chmod=+x {program}",
            crash.command_line,
        )
    return None


def missing_file(crash: Crash, message: str) -> Known | None:
    """What is known of a file that the code or its command wanted and that isn't there."""
    if found := _NO_DIRECTORY.match(message):
        return _no_directory(crash, found["pandas"] or found["torch"])
    found = MISSING_FILE.search(message)
    path = unquoted(found["quoted"] or found["script"] or found["plain"]) if found else None
    if path is None and (found := _NOT_FOUND.match(message)):
        path = found["path"]
    # A message may name anything; a path has no blanks around it, and of a URL nothing is known here.
    if not path or "://" in path or path != path.strip():
        return None
    inside = crash.relative(path)
    if inside is None or inside == ".":
        return None
    if inside in crash.surroundings.files:
        # It is there: what is missing is something else.
        return None
    if inside.split("/")[0] in _LEFT_OUT:
        return Known(
            f"{inside} was left by an earlier training, and a launch gets no copy of it: whoever clones the "
            "repository doesn't either.",
            "have the launch make what it reads, or keep it in the repository under another name",
            crash.source_line,
        )
    if crash.death.frames and crash.death.frames[-1].file.endswith("/subprocess.py") and "/" not in path:
        return Known(
            f"{crash.source_line or 'The code'} starts {path}, which isn't installed here.",
            f"install {path}",
            crash.source_line,
        )
    if crash.source_line is None and inside.endswith((".py", ".sh")):
        return _script(crash, path)
    code = crash.death.frames[-1].code if crash.death.frames else ""
    own = next((frame.code for frame in reversed(crash.death.frames) if _is_own(crash, frame.file)), code)
    directory = inside.rpartition("/")[0]
    if directory and _WRITES.search(own) and not _has_directory(crash, directory):
        return _no_directory(crash, directory)
    return _data(crash, inside)


def _script(crash: Crash, path: str) -> Known:
    inside = crash.relative(path) or path
    alike = crash.surroundings.named_alike(inside)
    scripts = [
        file for file in crash.surroundings.files if file.endswith(PurePosixPath(inside).suffix or ".py")
    ]
    close = alike or difflib.get_close_matches(inside, scripts, 1)
    place = crash.command_place
    if not close:
        return Known(
            f"{place} starts {inside}, which isn't in the project.",
            f"name a script of the project in {place}, or add {inside} to it",
            crash.command_line,
        )
    other_case = close[0] != inside and close[0].lower() == inside.lower()
    return Known(
        f"{place} starts {inside}, and the project has {close[0]}"
        + (": only file systems that ignore case find it." if other_case else "."),
        f"in {place} write  {_instead(crash.command, inside, close[0])}",
        crash.command_line,
    )


def _instead(command: str, old: str, new: str) -> str:
    return command.replace(old, new) if old in command else shlex.quote(new)


def _no_directory(crash: Crash, path: str) -> Known:
    inside = crash.relative(path) or path
    place = f" before {crash.source_line}" if crash.source_line else ""
    return Known(
        f"The code writes into the directory {inside}, which isn't there. Git keeps no empty directory.",
        f'make it{place}:  os.makedirs("{inside}", exist_ok=True)',
        crash.source_line,
    )


def _data(crash: Crash, inside: str) -> Known:
    alike = crash.surroundings.named_alike(inside)
    place = f"{crash.source_line} wants" if crash.source_line else "The launch wants"
    if not alike:
        return Known(
            f"{place} {inside}, which isn't in the project: launches run in a copy of it.",
            f"put a file there as {inside}, or have the launch make it",
            crash.source_line,
        )
    found = alike[0]
    if found.lower() == inside.lower():
        why = f"{place} {inside}, and the project has {found}: only file systems that ignore case find it."
    else:
        why = f"{place} {inside}, and the repository has {found}. A launch runs in the project's directory."
    return Known(why, f"write {found}", crash.source_line)


def _is_own(crash: Crash, file: str) -> bool:
    return (crash.launch.directory / file).is_relative_to(crash.launch.directory)


def _has_directory(crash: Crash, directory: str) -> bool:
    return any(file.startswith(f"{directory}/") for file in crash.surroundings.files)
