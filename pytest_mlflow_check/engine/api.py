"""From settings to a report, without pytest.

`check_project` does all of it in one call. The pytest side uses the same pieces one by one: `cases_of` from
`planning`, `Launcher.compare` from `launcher`, `CaseJudge` from `checks`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from pytest_mlflow_check.checks.runner import CaseJudge, beside_its_case
from pytest_mlflow_check.config.settings import ResolvedConfig
from pytest_mlflow_check.contract.compare import judge_contract
from pytest_mlflow_check.contract.load import read_contract
from pytest_mlflow_check.core.findings import CHECKS, CaseReport, Report
from pytest_mlflow_check.engine.confirmation import with_confirmation
from pytest_mlflow_check.engine.launcher import Launcher
from pytest_mlflow_check.engine.planning import cases_of, policy_of, unused_allowances
from pytest_mlflow_check.runtime.forkserver.client import ForkServer


def check_project(
    settings: ResolvedConfig, *, session_dir: Path | None = None, fork_server: ForkServer | None = None
) -> Report:
    """Launches every case of a project and makes every check.

    Args:
        settings: from `load_settings`.
        session_dir: where copies, stores and outputs are kept; by default they are removed at the end, and
            paths in the report lead nowhere.
        fork_server: leads to a process that keeps MLflow loaded; it goes faster with one.

    Raises:
        UserError: where project, settings or parameters are wrong.
    """
    if session_dir is not None:
        return _checked(settings, session_dir, fork_server)
    with TemporaryDirectory(prefix="mlflow-check-", ignore_cleanup_errors=True) as directory:
        return _checked(settings, Path(directory), fork_server)


def _checked(settings: ResolvedConfig, session_dir: Path, fork_server: ForkServer | None) -> Report:
    launcher = Launcher(session_dir, cache=session_dir / "cache", fork_server=fork_server)
    policy = policy_of(settings)
    reports: dict[str, CaseReport] = {}
    cases = {case.id: case for case in cases_of(settings)}
    own = [case.id for case in cases.values() if case.probe_of is None]
    # It holds the cases of the settings, with their values.
    others = settings.params or settings.entry_point
    contract = None if others else read_contract(settings.project, own)
    try:
        launcher.begin((case, settings.values) for case in cases.values())
        for case in cases.values():
            judge = with_confirmation(
                CaseJudge(launcher.compare(case, settings.values), policy),
                CHECKS,
                launcher,
                case,
                settings.values,
            ).judge
            results = tuple(judge(check) for check in CHECKS if check != "contract")
            if contract is not None and case.probe_of is None:
                results = (*results, judge("contract", partial(judge_contract, contract)))
            if case.probe_of is not None:
                # `cases_of` gives a case before its probes.
                origin, of_origin = cases[case.probe_of], reports[case.probe_of].results
                results = tuple(
                    beside_its_case(result, case, other, origin)
                    # A probe has no contract, which comes last.
                    for result, other in zip(results, of_origin, strict=False)
                )
            reports[case.id] = CaseReport(case.id, results)
    finally:
        launcher.stop()
    results = tuple(result for case_report in reports.values() for result in case_report.results)
    unused = () if settings.narrowed else unused_allowances(policy, results)
    return Report(settings.project, tuple(reports.values()), unused, settings.values.strict)
