"""What becomes of a contract when it is written anew: what stands there and still holds stays as it is.

That is how a pattern that somebody widened, a value that somebody took out, and what somebody moved to
`sometimes` outlive an update.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_mlflow_check.checks.run_matching import pair_runs
from pytest_mlflow_check.contract.as_launch import as_launch, numbered
from pytest_mlflow_check.contract.schema import (
    KINDS,
    SCOPES,
    CaseContract,
    Expected,
    RunShape,
    Scope,
    is_pattern,
    matches,
    names_of,
)


def merged(old: CaseContract, new: CaseContract) -> CaseContract:
    """The new contract of a case, with all of the old one that still holds.

    Args:
        old: as it stands in the file.
        new: from `contract_of`.
    """
    pairs, _ = pair_runs(as_launch(old, None), as_launch(new, None))
    before, after = numbered(old), numbered(new)
    same = {after[pair.both[1].run_id].path: before[pair.both[0].run_id].shape for pair in pairs if pair.both}
    return CaseContract(launch=new.launch, runs=_runs(new.runs, same, ()))


def _runs(
    runs: Mapping[str, RunShape], same: Mapping[tuple[str, ...], RunShape], above: tuple[str, ...]
) -> dict[str, RunShape]:
    return {
        name: _run(same.get((*above, name)), shape, _runs(shape.runs, same, (*above, name)))
        for name, shape in runs.items()
    }


def _run(old: RunShape | None, new: RunShape, nested: Mapping[str, RunShape]) -> RunShape:
    if old is None:
        return new.model_copy(update={"runs": dict(nested)})
    scopes: dict[Scope, dict[str, dict[str, Expected]]] = {scope: {} for scope in SCOPES}
    for kind in KINDS:
        # What somebody moved there is looser than all else.
        loose, _ = _still_valid(
            old.sometimes.entries(kind),
            {name: expected for scope in SCOPES for name, expected in new.scope(scope).entries(kind).items()},
        )
        scopes["sometimes"][kind] = loose
        for scope in SCOPES:
            made = new.scope(scope).entries(kind)
            there = old.scope(scope).entries(kind)
            ours, loosely = _standing_for(there), _standing_for(loose)
            fresh = {name: expected for name, expected in made.items() if ours(name) or not loosely(name)}
            kept, covered = ({}, set()) if scope == "sometimes" else _still_valid(there, fresh)
            rest = {name: expected for name, expected in fresh.items() if name not in covered}
            scopes[scope][kind] = {**scopes[scope].get(kind, {}), **kept, **rest}
    # A run that somebody takes for one that isn't always there stays one.
    only = "sometimes" if old.only == "sometimes" else new.only
    return RunShape.of_scopes(scopes, only=only, runs=nested)


def _standing_for(patterns: Mapping[str, Expected]) -> Callable[[str], bool]:
    """Tells of a name whether one of them stands for it; most are names themselves, and looked up at once."""
    wild = [pattern for pattern in patterns if is_pattern(pattern)]
    return lambda name: name in patterns or any(names_of(pattern, [name]) for pattern in wild)


def _still_valid(
    old: Mapping[str, Expected], new: Mapping[str, Expected]
) -> tuple[dict[str, Expected], set[str]]:
    """What of the old still holds, in its order, and the new names that it stands for."""
    kept: dict[str, Expected] = {}
    covered: set[str] = set()
    for pattern, expected in old.items():
        names = names_of(pattern, new, old)
        if names and all(matches(expected, new[name]) for name in names):
            kept[pattern] = expected
            covered.update(names)
    return kept, covered
