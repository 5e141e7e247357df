"""What to change where a library started a run, or chose its experiment: its own option for that."""

from __future__ import annotations

from pytest_mlflow_check.core.records import Observation

_LIGHTNING = (
    "write  MLFlowLogger(run_id=run.info.run_id, tracking_uri=mlflow.get_tracking_uri())  within  "
    "with mlflow.start_run() as run:"
)
_LOGGERS = {
    "lightning": _LIGHTNING,
    "lightning_fabric": _LIGHTNING,
    "pytorch_lightning": _LIGHTNING,
    "skorch": "write  MlflowLogger(run=run)  within  with mlflow.start_run() as run:",
    "ray": "write  setup_mlflow(run_id=run.info.run_id)  in the training function, in place of "
    "MLflowLoggerCallback",
}
"""By package the option that leads its logger to a run that is there."""

_EXPERIMENTS = dict.fromkeys(("optuna", "optuna_integration"), "MLflowCallback(create_experiment=False)")
"""By package what keeps its callback from choosing an experiment."""

_KEEPING = {"ultralytics": 'os.environ["MLFLOW_KEEP_RUN_ACTIVE"] = "true"'}
"""By package what keeps its callback from ending the active run."""

_OPTUNA = 'MLflowCallback(mlflow_kwargs={"nested": True, "parent_run_id": parent.info.run_id})'
_CALLBACKS = {"optuna": _OPTUNA, "optuna_integration": _OPTUNA}
"""By package the option by which its callback nests a run below another thread's."""


def into_the_open_run(library: str) -> str:
    """How to have a library log to a run that the code has started.

    Args:
        library: its package.
    """
    return _LOGGERS.get(library) or (
        f"give the logger of {library} the run, by its run_id= or run= where it has one, within  "
        "with mlflow.start_run() as run:  or log by MLflow's own functions, as  mlflow.log_metric(…, …)"
    )


def no_experiment_of_its_own(library: str) -> str:
    """How to keep a library from choosing an experiment.

    Args:
        library: its package.
    """
    return _EXPERIMENTS.get(library) or f"have {library} choose none, by its option for the experiment's name"


def below_another_thread(start: Observation) -> str:
    """How to nest a run below one that another thread or process has started.

    Args:
        start: the call that started it.
    """
    there = f" in {start.source_line}" if start.source_line else ""
    if start.library in _CALLBACKS:
        return f"name the parent{there}:  {_CALLBACKS[start.library]}"
    if start.library:
        return (
            f"give {start.library} the parent{there}, by its parent_run_id= where it has one, or have it use "
            "one thread"
        )
    return f"name the parent{there}:  parent_run_id=parent.info.run_id"


def keep_open(end: Observation) -> str:
    """How to log after a library has ended the run that the code started.

    Args:
        end: the call that ended it.
    """
    before = f"before {end.source_line}" if end.source_line else f"before {end.library} is called"
    if end.library in _KEEPING:
        return f"{before} write  {_KEEPING[end.library]}"
    return f"log it {before}, or go on with the run:  mlflow.start_run(run_id=run.info.run_id)"
