"""Whether the models of a launch register and load, found out in a process of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_mlflow_check.processes import Processes
from pytest_mlflow_check.records import Model, ModelProof
from pytest_mlflow_check.store import Store


def prove_models(
    models: Sequence[Model],
    *,
    directory: Path,
    env: Mapping[str, str],
    outside: Path,
    processes: Processes,
    timeout: float,
) -> dict[str, ModelProof]:
    """Registers each model in a throw-away registry and loads it back through `models:/NAME/1`.

    The registry is one of its own: the store of the launch stays as the launch left it.

    Args:
        models: what to prove.
        directory: a directory that doesn't exist yet; the process stands in an empty one below it.
        env: the launch's environment.
        outside: PYTHONPATH entries below this directory are withheld: the project's own modules must
            not be found.
        processes: what starts the process.
        timeout: seconds for all models together.

    Returns:
        The proofs by `Model.uri`.
    """
    ready = [model for model in models if model.status == "READY"]
    proofs = {
        model.uri: ModelProof(model.uri, False, False, f"log_model left it {model.status}")
        for model in models
        if model.status != "READY"
    }
    if not ready:
        return proofs
    stand = directory / "empty"
    stand.mkdir(parents=True)
    request, answer = directory / "request.json", directory / "answer.json"
    request.write_text(json.dumps([model.uri for model in ready]), encoding="utf-8")
    ended = processes.run(
        [sys.executable, "-m", "pytest_mlflow_check.prove", str(request), str(answer)],
        cwd=stand,
        env=_environment(env, directory, outside),
        stdout=directory / "stdout.txt",
        stderr=directory / "stderr.txt",
        timeout=timeout,
    )
    answers = json.loads(answer.read_text(encoding="utf-8")) if answer.exists() else []
    proofs |= {one["uri"]: ModelProof(**one) for one in answers}
    why = "didn't end in time" if ended.exit_code is None else f"ended with exit code {ended.exit_code}"
    for model in ready:
        if model.uri not in proofs:
            error = f"the process that registers and loads it {why}; see {directory / 'stderr.txt'}"
            proofs[model.uri] = ModelProof(model.uri, False, False, error)
    return proofs


def _environment(env: Mapping[str, str], directory: Path, outside: Path) -> dict[str, str]:
    registry = Store("file", directory / "registry")
    paths = [
        entry
        for entry in env.get("PYTHONPATH", "").split(os.pathsep)
        if os.path.isabs(entry) and not Path(entry).is_relative_to(outside)
    ]
    return dict(env) | {"MLFLOW_REGISTRY_URI": registry.uri, "PYTHONPATH": os.pathsep.join(paths)}
