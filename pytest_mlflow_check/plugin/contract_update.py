"""`--mlflow-update`: the contract written, once a session, by the process that lasts until its end."""

from __future__ import annotations

import difflib
import os
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_mlflow_check.contract import FILE_NAME
from pytest_mlflow_check.core.errors import FAULT, UserError, shown_path
from pytest_mlflow_check.core.findings import CHECKS
from pytest_mlflow_check.core.text import printable
from pytest_mlflow_check.plugin.options import asks_to_update, forces_update, static_only

if TYPE_CHECKING:
    from pytest_mlflow_check.checks.runner import CaseJudge
    from pytest_mlflow_check.config.settings import ResolvedConfig
    from pytest_mlflow_check.contract.load import Source
    from pytest_mlflow_check.contract.schema import CaseContract
    from pytest_mlflow_check.core.models import Case
    from pytest_mlflow_check.plugin.project import CheckedProject
    from pytest_mlflow_check.plugin.terminal_summary import CheckSummary

_MOST_LINES = 60
"""Of a difference that is printed; the whole of it is in the file, where version control shows it."""

_NOTHING_RAN = (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED)

_ATTEMPTS = 3
"""To write a file that somebody edits at the same time."""


class Refused(Exception):
    """A case isn't written into the contract, and why."""


def refuse_update(config: pytest.Config, settings: Sequence[ResolvedConfig]) -> None:
    """Makes sure that a contract may be written at all.

    Raises:
        UserError: where nothing is launched; in CI, where nobody would see it; with values that hold for this
            call only.
    """
    if not asks_to_update(config):
        return
    if static_only(config):
        raise UserError("--mlflow-update: a contract is made of launches: leave out --mlflow-static")
    if os.environ.get("CI", "").lower() in ("true", "1") and not forces_update(config):
        raise UserError(
            "--mlflow-update: this is CI (the variable CI is set), where a contract is held to, not written: "
            "write it at your desk and commit it; or, if it is meant,  --mlflow-update-in-ci"
        )
    for one in settings:
        given = "-P" if one.params else "--mlflow-entry-point" if one.entry_point else None
        if given:
            raise UserError(
                f"--mlflow-update: a contract holds the cases of the settings, and {given} asks for others: "
                f"write it into {shown_path(one.project / 'mlflow-check.toml')}, and choose among "
                "the cases with  -k  or node ids"
            )


@dataclass
class ContractUpdate:
    """Writes the contracts of a session's projects when it ends.

    Attributes:
        projects: all that are checked.
        messages: what the end of the session tells of each: whether it is an error, and the text.
    """

    projects: Sequence[CheckedProject]
    messages: list[tuple[bool, str]] = field(default_factory=list)
    _ran: set[tuple[str, str]] = field(default_factory=set)

    def unwritten(self) -> list[str]:
        """What isn't written that was asked for, and why; known when the session has finished."""
        return [text for wrong, text in self.messages if wrong]

    def add(self, line: CheckSummary) -> None:
        """Take note that a case was checked, by whichever process."""
        self._ran.add((line["path"], line["case"]))

    def write(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the contracts; not of a session that ended early."""
        if exitstatus in _NOTHING_RAN:
            return
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            self._leave(self.projects, "isn't written: the session ended early")
            return
        for position, project in enumerate(self.projects):
            cases = [
                case
                for case in project.cases
                if case.probe_of is None and (str(project.path), case.id) in self._ran
            ]
            masked = project.policy.secrets.masked
            try:
                # One after the other: what was told before a fault stays.
                self.messages += ((wrong, masked(text)) for wrong, text in _update(project, cases))
            except UserError as error:
                self.messages.append((True, masked(str(error))))
            except (KeyboardInterrupt, SystemExit):
                # Out of here it would take the table, the reports and the summary of all other tests along.
                self._leave(self.projects[position:], "interrupted: update again")
                session.exitstatus = pytest.ExitCode.INTERRUPTED
                return
            except Exception:
                # So would this.
                told = masked(traceback.format_exc())
                self.messages.append((True, f"{FAULT}: its contract isn't written\n\n{told}"))
                session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        if self.unwritten():
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def _leave(self, projects: Sequence[CheckedProject], why: str) -> None:
        files = (shown_path(project.settings.project / FILE_NAME) for project in projects)
        self.messages += ((True, f"{file}: {why}") for file in files)

    def print(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print what was written, as a difference, and what wasn't."""
        if self.messages:
            terminalreporter.write_sep("=", "mlflow-check: contract")
        for wrong, text in self.messages:
            for line in printable(text).split("\n"):
                colour = {"red": True} if wrong or line.startswith("-") else {"green": line.startswith("+")}
                terminalreporter.write_line(line, **colour)


def _update(project: CheckedProject, cases: Sequence[Case]) -> Iterator[tuple[bool, str]]:
    """Writes the contract of a project, and tells of it."""
    from pytest_mlflow_check.contract.load import read_contract
    from pytest_mlflow_check.contract.merge import merged
    from pytest_mlflow_check.contract.save import save, updated

    file = project.settings.project / FILE_NAME
    shown = shown_path(file)
    made: dict[str, CaseContract] = {}
    for case in cases:
        try:
            made[case.id] = _made(project, case)
        except (Refused, UserError) as error:
            yield True, f"{shown}: {case.id} isn't written: {error}"
    for _ in range(_ATTEMPTS if made else 0):
        # As it is now: it may have been edited since the session began.
        source = read_contract(file.parent)
        old = source.contract.cases if source else {}
        told = [(case, _refusal(old.get(case), contract)) for case, contract in made.items()]
        wanted = {
            case: merged(old[case], made[case]) if case in old else made[case]
            for case, refusal in told
            if refusal is None
        }
        text = updated(source, wanted) if wanted else None
        before = source.text if source else None
        if text is None or text == before or save(file, text, before=before):
            yield from ((True, f"{shown}: {case} isn't written: {why}") for case, why in told if why)
            if text is not None:
                yield False, _difference(file, source, text)
            return
    if made:
        raise UserError(f"{shown}: somebody is writing it: update again")


def _made(project: CheckedProject, case: Case) -> CaseContract:
    """The contract of a case, from its launches and those that were made a second time.

    Raises:
        Refused: where something is wrong with them.
    """
    from pytest_mlflow_check.checks.runner import CaseJudge, compare_launches
    from pytest_mlflow_check.contract.build import contract_of
    from pytest_mlflow_check.contract.compare import judge_contract
    from pytest_mlflow_check.contract.load import read_text
    from pytest_mlflow_check.contract.normalize import Normalizer
    from pytest_mlflow_check.contract.save import updated

    values, launcher = project.settings.values, project.resources.launcher
    judge = project.case_judge(case)
    first = judge.comparison
    _refuse_wrong(judge, "launches", strict=values.strict)
    second = compare_launches(launcher.again(case, values), settings=values, case=case)
    _refuse_wrong(CaseJudge(second, project.policy), "second launches", strict=values.strict)
    samples = {mode: [launch, second.launches[mode]] for mode, launch in first.launches.items()}
    masked = project.policy.secrets.including(first.named_values()).masked
    contract = contract_of(samples, Normalizer(values.ignore, masked, _variables(case)))
    text = updated(None, {case.id: contract})
    source = read_text(project.settings.project / FILE_NAME, text, [case.id])
    if judge_contract(source, first) or judge_contract(source, second):
        raise Refused(
            "its runs come and go, and can't be told apart: name them, as in  "
            'mlflow.start_run(run_name=f"trial-{number}", nested=True)'
        )
    return contract


def _variables(case: Case) -> dict[str, str]:
    """The environment that the launches of a case got, without what the project itself sets or gives."""
    from pytest_mlflow_check.runtime.process.runner import own_variables

    defaults = (parameter.default for parameter in case.entry_point.parameters.values())
    stated = {*case.env.values(), *case.params.values(), *defaults}
    return {
        name: value for name, value in own_variables().items() if name not in case.env and value not in stated
    }


def _refuse_wrong(judge: CaseJudge, launches: str, *, strict: bool) -> None:
    for check in CHECKS:
        result = judge.judge(check)
        if check == "contract" and result.skipped:
            # Whatever the settings allow: of a launch that fails nothing can be held.
            raise Refused(result.skipped)
        if result.failed(strict=strict):
            rules = ", ".join(dict.fromkeys(finding.rule for finding in result.findings))
            raise Refused(f"its {launches} fail the check {check} ({rules})")


def _refusal(old: CaseContract | None, new: CaseContract) -> str | None:
    if old is None or new.launch is None or old.launch == new.launch:
        return None
    return (
        f"it holds {'both launches' if old.launch is None else f'the launch {old.launch}'}, and only "
        f"{new.launch} was made; leave out --mlflow-launch"
    )


def _difference(file: Path, source: Source | None, text: str) -> str:
    """What changed, in the lines of the file."""
    before = source.text if source else ""
    if text == before:
        return f"{shown_path(file)}: nothing to change"
    lines = list(difflib.unified_diff(before.splitlines(), text.splitlines(), lineterm="", n=2))[2:]
    shown = lines[:_MOST_LINES]
    more = [f"… and {len(lines) - len(shown)} more lines"] if len(lines) > len(shown) else []
    return "\n".join([f"{shown_path(file)}: {'updated' if source else 'written'}", *shown, *more])
