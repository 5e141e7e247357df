"""Options that a script doesn't take: what its parser says, and the line of the command that gives them."""

from __future__ import annotations

import difflib
import re

from pytest_mlflow_check.checks.crash import Crash, Known
from pytest_mlflow_check.core.models import placeholders

_USAGE = re.compile(r"^(?:usage|Usage): ", re.MULTILINE)
_SAID = re.compile(r"^(?:(?P<program>\S{1,200}): error|Error): (?P<said>\S[^\n]*)$", re.MULTILINE)
_BOXED = re.compile(r"^╭─ Error ─+╮$\n(?P<said>(?:│[^\n]*│\n)+)", re.MULTILINE)
_ABSL = re.compile(r"FATAL Flags parsing error:\s+(?P<said>[^\n]+)")
_HYDRA = re.compile(r"^Could not override '(?P<key>[^'\n]{1,200})'\.", re.MULTILINE)

_UNKNOWN = re.compile(
    r"unrecognized arguments: (?P<argparse>.+)"
    r"|[Nn]o such option:? '?(?P<click>--?[\w-]+)'?\.?"
    r"|Unknown command line flag '(?P<absl>[\w-]+)'"
    r"|(?:[Gg]ot unexpected extra arguments? \((?P<extra>[^)]*)\))"
)
_CLOSE = re.compile(r"(?:Did you mean:? |Possible options: |\(Possible options: )'?(?P<option>--?[\w-]+)'?")
_REQUIRED = re.compile(
    r"the following arguments are required: (?P<argparse>.+)"
    r"|Missing (?:option|argument|parameter) '?(?P<click>[\w -]+?)'?(?: / [^.]*)?(?:\.|$)"
    r"|Flag --(?P<absl>[\w-]+) must have a value"
)
_INVALID = re.compile(
    r"argument (?:-\w/)?(?P<argparse>[\w-]+)[^:]{0,50}: (?P<problem>.+)"
    r"|Invalid value for '(?P<click>[^']+)'(?: / '[^']+')?: (?P<why>.+)"
)
_OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")


def usage_error(crash: Crash, _: str) -> Known | None:
    """What is known of options that the script's own parser refused."""
    said = _said(crash)
    if said is None:
        return _hydra(crash)
    for know in (_unknown, _required, _invalid):
        if known := know(crash, said):
            return known
    return Known(
        f"The script doesn't take what {crash.command_place} gives it: {said}",
        f"change the command in {crash.command_place}",
        crash.command_line,
    )


def _said(crash: Crash) -> str | None:
    """What the parser says, in one line."""
    text = crash.output
    if crash.launch.exit_code is None or "Traceback (most recent call last)" in text:
        return None
    if _USAGE.search(text):
        if boxed := _BOXED.search(text):
            return " ".join(line.strip("│ ") for line in boxed["said"].splitlines()).strip()
        return found["said"].strip() if (found := _SAID.search(text)) else None
    return found["said"].strip() if (found := _ABSL.search(text)) else None


def _unknown(crash: Crash, said: str) -> Known | None:
    found = _UNKNOWN.search(said)
    if not found:
        return None
    given = found["argparse"] or found["click"] or (f"--{found['absl']}" if found["absl"] else found["extra"])
    place = crash.command_place
    option = next(iter(_OPTION.findall(given)), None)
    if option is None:
        return Known(
            f"The script takes no argument {given}, which {place} gives it.",
            f"take it out of {place}, or give it with the name of its option",
            crash.command_line,
        )
    options = set(_OPTION.findall(_usage_lines(crash.output))) - {option}
    close = _close(said, option, options - {"-h", "--help"})
    if not close:
        listed = (
            f" It has {', '.join(sorted(options - {'-h', '--help'}))}." if options - {"-h", "--help"} else ""
        )
        return Known(
            f"The script has no option {option}, which {place} gives it.{listed}",
            f"take {option} out of {place}, or add the option to the script",
            crash.command_line,
        )
    written = _with(crash.command, option, close[0])
    return Known(
        f"The script has no option {option}, which {place} gives it; it has {close[0]}.",
        f"in {place} write  {written}",
        crash.command_line,
    )


def _close(said: str, option: str, options: set[str]) -> list[str]:
    """The option that was meant: as the parser says, by its initials, or by its letters."""
    told = _CLOSE.search(said)
    if told and told["option"] != "--help":
        return [told["option"]]
    initials = [
        one for one in options if "".join(part[:1] for part in one.strip("-").split("-")) == option.strip("-")
    ]
    return initials or difflib.get_close_matches(option, sorted(options), 1, 0.5)


def _required(crash: Crash, said: str) -> Known | None:
    found = _REQUIRED.search(said)
    if not found:
        return None
    needed = (found["argparse"] or found["click"] or f"--{found['absl']}").strip()
    option = next(iter(_OPTION.findall(needed)), None)
    name = (option or needed.split(",")[0]).strip("-").replace("-", "_").lower()
    place = crash.command_place
    used = f"{option} {{{name}}}" if option else f"{{{name}}}"
    declared = crash.comparison.declared(name) is not None
    return Known(
        f"The script needs {needed}, which {place} doesn't give it.",
        f"in {place} write  {crash.command} {used}"
        + (
            ""
            if declared or crash.is_fluent_override
            else f"  and declare the parameter:  {name}: {{type: string, default: …}}"
        ),
        crash.command_line,
    )


def _invalid(crash: Crash, said: str) -> Known | None:
    found = _INVALID.search(said)
    if not found:
        return None
    option, problem = found["argparse"] or found["click"], (found["problem"] or found["why"]).rstrip(".")
    name = _placeholder(crash.command, option)
    parameter = crash.comparison.declared(name) if name else None
    case = crash.comparison.case
    if name and case and name in case.params:
        return Known(
            f"The script doesn't take the value that the case gives {name}: {problem}.",
            f"give another one:  -P {name}=…",
            crash.command_line,
        )
    place = crash.comparison.source_line(parameter.line) if parameter else None
    return Known(
        f"The script doesn't take the value of {option}: {problem}.",
        f"give {name} another default in {place}"
        if name and place
        else f"change it in {crash.command_place}",
        place or crash.command_line,
    )


def _hydra(crash: Crash) -> Known | None:
    found = _HYDRA.search(crash.output)
    if not found:
        return None
    key, place = found["key"], crash.command_place
    return Known(
        f"The configuration that Hydra reads has no {key}, which {place} overrides.",
        f"add {key} to it, or in {place} write  {crash.command.replace(f'{key}=', f'+{key}=', 1)}",
        crash.command_line,
    )


def _usage_lines(text: str) -> str:
    """The usage that a parser prints before what it says."""
    found = _USAGE.search(text)
    return text[found.end() :].partition("error:")[0] if found else ""


def _with(command: str, option: str, other: str) -> str:
    return re.sub(rf"(?<![\w-]){re.escape(option)}(?![\w-])", other, command)


def _placeholder(command: str, option: str) -> str | None:
    """The parameter whose value a command gives to an option."""
    try:
        for before, name, _ in placeholders(command):
            if before.rstrip(" ='\"").endswith(option):
                return name
    except ValueError:
        pass
    return None
