"""Cases derived from a case: values that the first user will give, and that its own don't happen to be.

`mlflow run` logs a parameter as the text it was given, quoted for the shell. What code makes of that text
shows with a whole number where it reads a float, with a space in a text, and where a value is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from pytest_mlflow_check.core.models import Case, Parameter

_WHOLE_NUMBER = "1"
_WITH_SPACE = "two words"


def probes_of(case: Case) -> tuple[Case, ...]:
    """The probes of a case, each with another set of values, and none with the case's own.

    None where a parameter with the default null has no value, which has to be fixed first.
    """
    parameters = case.entry_point.parameters
    if any(one.null_default and one.name not in case.params for one in parameters.values()):
        return ()
    probes: dict[str, Case] = {}
    seen = [identity(case)]
    for what, suffix, params in _variations(case):
        probe = replace(case, params=params, probe=what, probe_of=case.id)
        if identity(probe) not in seen:
            seen.append(identity(probe))
            id = _unused(case.id + re.sub(r"[^\w .+=-]", "_", suffix), probes)
            probes[id] = replace(probe, id=id)
    return tuple(probes.values())


def identity(case: Case) -> tuple[object, ...]:
    """Equal for cases that would launch the same, whether a value is given or is the default."""
    return case.entry_point.name, values_in_use(case), case.fluent, dict(case.env)


def values_in_use(case: Case) -> dict[str, str]:
    """The value of each parameter that has one, given or default, declared or not."""
    defaults = {
        one.name: one.default for one in case.entry_point.parameters.values() if one.default is not None
    }
    return {**defaults, **case.params}


def changed_values(case: Case, probe: Case) -> str:
    """What a case has where its probe has something else: `alpha=0.5, name=x`."""
    ours, theirs = values_in_use(case), values_in_use(probe)
    return ", ".join(f"{name}={value}" for name, value in ours.items() if theirs.get(name) != value)


def _variations(case: Case) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """What each probe does, what its id ends with, and its values."""
    declared, given = case.entry_point.parameters, case.params
    in_use = values_in_use(case)
    for name, parameter in declared.items():
        if parameter.type == "float" and not re.fullmatch(r"\s*[+-]?\d+\s*", in_use.get(name, "")):
            yield f"{name}={_WHOLE_NUMBER}", f"+{name}={_WHOLE_NUMBER}", {**given, name: _WHOLE_NUMBER}
        if parameter.type == "string" and _is_free(in_use.get(name, "")):
            yield f"{name}={_WITH_SPACE}", f"+{name}={_WITH_SPACE}", {**given, name: _WITH_SPACE}
    optional = [name for name in given if _has_default(declared.get(name))]
    for name in optional:
        yield f"{name} left out", f"-{name}", {key: value for key, value in given.items() if key != name}
    for name in given:
        if {*given} - {name} <= {*optional}:
            yield f"only {name} given", f" only {name}", {name: given[name]}


def _is_free(value: str) -> bool:
    """Whether a text may have a space in it: it has none yet, and isn't a number without a type."""
    try:
        float(value)
    except ValueError:
        return " " not in value
    return False


def _has_default(parameter: Parameter | None) -> bool:
    return parameter is not None and parameter.default is not None


def _unused(id: str, taken: Mapping[str, Case]) -> str:
    while id in taken:
        id += " again"
    return id
