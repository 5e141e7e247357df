"""The check `launches`: did both launches end well, and did they log runs?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pytest_mlflow_check.checks.comparison import Comparison, matches_any, spoken
from pytest_mlflow_check.checks.crash import Crash, Known
from pytest_mlflow_check.checks.crash_causes import crash_cause
from pytest_mlflow_check.checks.crash_records import crash_line, crash_output, started_script
from pytest_mlflow_check.checks.empty_launch import empty_launches, nothing_logged
from pytest_mlflow_check.checks.exit_status import how_it_ended, last_source_line
from pytest_mlflow_check.checks.failure_causes import (
    async_failures,
    autologging_failures,
    explanations,
    swallowed_mismatches,
)
from pytest_mlflow_check.checks.known_errors import known_message, missing_package
from pytest_mlflow_check.checks.last_words import headline, kind_of_end, last_words
from pytest_mlflow_check.checks.metadata import compare_metadata
from pytest_mlflow_check.checks.output_tail import outputs_of
from pytest_mlflow_check.checks.param_conflicts import CHANGING
from pytest_mlflow_check.checks.processes import several_processes
from pytest_mlflow_check.checks.runs import closed_at_exit, failed_but_finished, left_running, runs_missing
from pytest_mlflow_check.checks.setting_lines import list_line
from pytest_mlflow_check.checks.static import obstacle, static_findings, without_run_id
from pytest_mlflow_check.checks.static_files import told_by_files
from pytest_mlflow_check.checks.store_damage import damages
from pytest_mlflow_check.checks.store_redirects import redirects, stopped
from pytest_mlflow_check.checks.stray_runs import stray_runs
from pytest_mlflow_check.checks.unobserved import unobserved
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Launch, Mode

_MAX_POINTERS = 3
"""Files of Git LFS that a finding names."""


def check_launches(comparison: Comparison) -> list[Finding]:
    """Findings about the launches as such; what the runs hold is for the other checks."""
    findings = list(static_findings(comparison))
    if obstacle(comparison):
        return findings
    findings += [
        *redirects(comparison),
        *unobserved(comparison),
        *autologging_failures(comparison),
        *async_failures(comparison),
    ]
    findings += [*_changed_originals(comparison), *_changed_files(comparison), *damages(comparison)]
    mixed = list(several_processes(comparison))
    findings += [*mixed, *stray_runs(comparison)]
    if failed := failed_launches(comparison.launches):
        explained = _explain_failures(comparison, failed, mixed)
        return [*findings, *explained, *failed_but_finished(comparison, failed)]
    findings += [*left_running(comparison), *closed_at_exit(comparison)]
    refused = swallowed_mismatches(comparison)
    findings += refused.values()
    if empty := empty_launches(comparison):
        return findings + list(nothing_logged(comparison, [mode for mode in empty if mode not in refused]))
    return [*findings, *runs_missing(comparison), *compare_metadata(comparison)]


def failed_launches(launches: Mapping[Mode, Launch]) -> dict[Mode, Launch]:
    """The launches that didn't end with exit code 0."""
    return {mode: launch for mode, launch in launches.items() if launch.exit_code != 0}


def launch_failed(failed: Mapping[Mode, Launch]) -> Finding:
    """The finding for launches that failed for no reason we know."""
    sides = {mode: how_it_ended(launch) for mode, launch in failed.items()}
    first = next(iter(failed.values()))
    late = first.exit_code is None
    source_line = last_source_line(first) or (None if late else crash_line(first))
    end, raised = kind_of_end(first), f" in {source_line}" if source_line else ""
    step = "" if late else started_script(first)
    what = f"started {step}, which ended with {end}" if step else f"ended with {end}"
    what = f"was {end}" if end.startswith("killed") else what
    finding = Finding(
        rule="launch-failed",
        subject=" and ".join(spoken(mode) for mode in failed),
        fluent=sides.get("fluent"),
        mlflow_run=sides.get("mlflow-run"),
        why=f"`{first.command}` didn't end within its time and was ended."
        if late
        else f"`{first.command}` {what}{raised}.",
        fix="give it a smaller case, or more time:  --mlflow-timeout=SECONDS"
        if late
        else f"resolve that in {source_line}; by hand it fails alike:  {first.command}"
        if source_line
        else f"start it by hand, and resolve what it says:  {first.command}",
        source_line=source_line,
        detail=outputs_of(failed),
        cause=headline(first),
    )
    pointers = first.lfs_pointers
    if late or not pointers:
        return finding
    # Those that the output names come first.
    named = sorted(pointers, key=lambda path: (Path(path).name not in first.stderr, path))
    more = f" and {len(named) - _MAX_POINTERS} more" if len(named) > _MAX_POINTERS else ""
    return replace(
        finding,
        why=f"{finding.why} Git LFS hasn't fetched {', '.join(named[:_MAX_POINTERS])}{more}: there is only a "
        "pointer in place of the content.",
        fix="fetch what the code reads:  git lfs pull",
    )


def _explain_failures(
    comparison: Comparison, failed: Mapping[Mode, Launch], mixed: Iterable[Finding]
) -> Iterator[Finding]:
    # That the command uses MLFLOW_RUN_ID is told by its text, and tells why it fails where only it does.
    told = without_run_id(comparison)
    if told and comparison.launches.keys() - failed.keys() == {"mlflow-run"}:
        return
    failed = {mode: launch for mode, launch in failed.items() if not _mixed_up(mode, launch, mixed)}
    explained = {mode: explanations(comparison, mode, launch) for mode, launch in failed.items()}
    yield from _merged(
        finding
        for findings in explained.values()
        for finding in findings
        if not (told and finding.rule == "needs-run-id")
    )
    unexplained: dict[tuple[Known | None, str], dict[Mode, Launch]] = {}
    for mode, launch in failed.items():
        if not explained[mode] and not stopped(comparison, launch) and not told_by_files(comparison, launch):
            known = (
                known_message(launch)
                or missing_package(launch, comparison)
                or crash_cause(Crash(launch, comparison))
            )
            # What is known of is one thing, however each launch words it.
            unexplained.setdefault((known, "" if known else last_words(launch)), {})[mode] = launch
    for (known, _), launches in unexplained.items():
        finding = launch_failed(launches)
        yield (
            finding
            if known is None
            else replace(
                finding, why=known.why, fix=known.fix, source_line=known.source_line, code=known.code
            )
        )


def _mixed_up(mode: Mode, launch: Launch, mixed: Iterable[Finding]) -> bool:
    """Whether a launch crashed since another of its processes had logged a param with another value."""
    rewritten = [finding for finding in mixed if finding.rule == "param-rewritten"]
    sides = [finding.fluent if mode == "fluent" else finding.mlflow_run for finding in rewritten]
    return CHANGING in crash_output(launch) and any(side is not None for side in sides)


def _merged(findings: Iterable[Finding]) -> Iterable[Finding]:
    """The findings, with what is said alike of both launches said once."""
    merged: dict[tuple[str, str | None, str], Finding] = {}
    for finding in findings:
        key = (finding.subject, finding.source_line, finding.why)
        other = merged.get(key, finding)
        merged[key] = replace(
            other,
            fluent=other.fluent or finding.fluent,
            mlflow_run=other.mlflow_run or finding.mlflow_run,
        )
    return merged.values()


def _changed_originals(comparison: Comparison) -> Iterable[Finding]:
    """Files of the user's own that a launch was led to, and that aren't as they were."""
    changed = {file for launch in comparison.launches.values() for file in launch.changed_originals}
    links = comparison.settings.workspace.link
    left = [link for link in links if not any(matches_any(file, [link, f"*/{link}"]) for file in changed)]
    return _written(
        {mode: launch.changed_originals for mode, launch in comparison.launches.items()},
        rule="linked-file-written",
        how="changed meanwhile",
        why="The file was changed through workspace.link: in the launch's copy it is a link, and this is "
        "your own file, which isn't as it was. Launches at the same time both see it.",
        fix="put the file back, and leave it out of what is linked, so that launches get copies of it:  "
        f"workspace = {{ {list_line('link', left)} }}",
    )


def _changed_files(comparison: Comparison) -> Iterable[Finding]:
    """Files that the project brought along and a launch changed or deleted."""
    return _written(
        {mode: launch.changed for mode, launch in comparison.launches.items()},
        rule="project-dir-written",
        how="changed",
        why="The launch changed or deleted a file that came with the project. The next run starts from "
        "something else than this one did.",
        fix="with  import os  write to a directory that isn't committed:  "
        'os.makedirs("out", exist_ok=True)  and there to  '
        '"out/{name}"',
    )


def _written(
    written: Mapping[Mode, Collection[str]], *, rule: str, how: str, why: str, fix: str
) -> Iterator[Finding]:
    """A finding for each file that one launch or both wrote to."""
    for path in sorted({path for paths in written.values() for path in paths}):
        sides = {mode: how for mode, paths in written.items() if path in paths}
        yield Finding(
            rule=rule,
            subject=path,
            fluent=sides.get("fluent"),
            mlflow_run=sides.get("mlflow-run"),
            why=why,
            fix=fix.replace("{name}", Path(path).name),
        )
