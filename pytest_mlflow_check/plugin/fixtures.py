"""Fixtures for tests people write themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.plugin.options import project_settings
from pytest_mlflow_check.plugin.requirements import require_dependencies
from pytest_mlflow_check.plugin.resources import launcher_of

if TYPE_CHECKING:
    from pytest_mlflow_check.config.settings import ResolvedConfig
    from pytest_mlflow_check.core.models import Case
    from pytest_mlflow_check.core.records import Launch, Mode, RunRecord, StoreRecord


class ActiveStore:
    """A test's own store, active in this process.

    Attributes:
        uri: the tracking and registry URI.
        path: the store's directory.
    """

    def __init__(self, uri: str, path: Path) -> None:
        """Takes where the store is."""
        self.uri, self.path = uri, path

    def read(self) -> StoreRecord:
        """Everything logged so far."""
        from pytest_mlflow_check.core.store import Store
        from pytest_mlflow_check.stores.readers import read_store

        return read_store(Store("file", self.path))

    @property
    def runs(self) -> tuple[RunRecord, ...]:
        """Every run logged so far, oldest first."""
        return self.read().runs

    @property
    def run(self) -> RunRecord:
        """The one top-level run logged so far.

        Raises:
            UserError: where there is none, or more than one.
        """
        return self.read().only_run("the test")


@dataclass(frozen=True)
class Launches:
    """Both launches of a case."""

    fluent: Launch
    mlflow_run: Launch


class LaunchFunction(Protocol):
    """What the fixture `mlflow_launch` gives."""

    def __call__(
        self,
        project: str | os.PathLike[str],
        mode: Mode = "fluent",
        params: Mapping[str, object] | None = None,
        *,
        entry_point: str | None = None,
        case: str | None = None,
        store: str | None = None,
        env_manager: str | None = None,
        timeout: float | None = None,
    ) -> Launch:
        """Launches a project once and gives what it logged.

        Args:
            project: its directory, relative to pytest's rootdir.
            mode: `fluent` for the plain command, `mlflow-run` for MLflow's own.
            params: parameter values; they win over those of the project's settings.
            entry_point: `main` by default, as in the settings.
            case: id of a case of the settings, where there is more than one.
            store: `file`, `sqlite`, `server` or `postgresql://…`.
            env_manager: `local`, `uv`, `virtualenv` or `conda`.
            timeout: seconds.

        Raises:
            UserError: where project, settings or parameters are wrong.
        """


class LaunchesFunction(Protocol):
    """What the fixture `mlflow_launches` gives."""

    def __call__(
        self,
        project: str | os.PathLike[str],
        params: Mapping[str, object] | None = None,
        *,
        entry_point: str | None = None,
        case: str | None = None,
        store: str | None = None,
        env_manager: str | None = None,
        timeout: float | None = None,
    ) -> Launches:
        """Both launches of a case; arguments as for `mlflow_launch`."""


@pytest.fixture
def mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActiveStore]:
    """This test's own empty store, active in this process.

    Afterwards everything MLflow keeps globally is as before. A run left open fails the test.
    """
    from pytest_mlflow_check.core.store import Store
    from pytest_mlflow_check.plugin.isolation import RunLeftOpen, isolated_mlflow

    # MLflow itself must make the directory, so the one made here is around it.
    store = Store("file", tmp_path_factory.mktemp("mlflow_store") / "store")
    try:
        with isolated_mlflow(store):
            yield ActiveStore(store.uri, store.root)
    except RunLeftOpen as error:
        # The message is all there is to say: a traceback would lead into this package.
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def mlflow_launch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LaunchFunction:
    """Starts a project: `mlflow_launch(project, mode="fluent", params={…})` gives the launch.

    Each call is a launch of its own, in a new copy with a new store.
    """
    require_dependencies()
    launcher = launcher_of(request.config, tmp_path_factory)

    def launch(
        project: str | os.PathLike[str],
        mode: Mode = "fluent",
        params: Mapping[str, object] | None = None,
        **given: Any,
    ) -> Launch:
        __tracebackhide__ = True
        if mode not in ("fluent", "mlflow-run"):
            raise UserError(
                f'mlflow_launch: there is no mode {mode!r}: write  mode="fluent"  or  "mlflow-run"'
            )
        settings, case = _one_case(request.config, project, params, **given)
        return launcher.launch(case, mode, settings.values)

    return launch


@pytest.fixture
def mlflow_launches(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> LaunchesFunction:
    """Both launches of a case: `mlflow_launches(project, params={…})` gives `.fluent` and `.mlflow_run`.

    They are made once a session, and shared by all tests and workers that ask for the same. With the setting
    `cache`, those that passed in an earlier session are given as long as nothing has changed.
    """
    require_dependencies()
    launcher = launcher_of(request.config, tmp_path_factory)

    def launches(
        project: str | os.PathLike[str], params: Mapping[str, object] | None = None, **given: Any
    ) -> Launches:
        __tracebackhide__ = True
        settings, case = _one_case(request.config, project, params, launch="both", **given)
        made = launcher.launches(case, settings.values)
        return Launches(made["fluent"], made["mlflow-run"])

    return launches


def _one_case(
    config: pytest.Config,
    project: str | os.PathLike[str],
    params: Mapping[str, object] | None,
    *,
    case: str | None = None,
    **given: Any,
) -> tuple[ResolvedConfig, Case]:
    __tracebackhide__ = True
    from pytest_mlflow_check.engine.planning import cases_of

    directory = Path(os.path.abspath(config.rootpath / project))
    texts = {name: str(value) for name, value in (params or {}).items()}
    settings = project_settings(config, directory, params=texts, **given)
    cases = [one for one in cases_of(settings, probes=False) if case in (None, one.id)]
    if len(cases) != 1:
        known = ", ".join(one.id for one in cases_of(settings, probes=False))
        raise UserError(f'{project}: name one case, as in  case="…"  (there are: {known})')
    return settings, cases[0]
