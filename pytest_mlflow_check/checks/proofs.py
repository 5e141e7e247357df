"""What the proofs of models say: which don't register, load or predict, and which predict something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_mlflow_check.checks.comparison import Comparison, kept, matches_any
from pytest_mlflow_check.checks.pairing import RunPair
from pytest_mlflow_check.checks.places import place_of
from pytest_mlflow_check.checks.predictions import difference
from pytest_mlflow_check.checks.registered import place_of_registering
from pytest_mlflow_check.checks.unloadable import Reason, reason_for
from pytest_mlflow_check.findings import Finding
from pytest_mlflow_check.records import Mode, Model, ModelProof

_Proofs = Mapping[Mode, ModelProof]

_UNKNOWN = Reason(
    "`models:/NAME/1` doesn't load as it would on another machine, without the project and the network.",
    "mend what the message says; modules go into code_paths=[…], files into artifacts={…}",
)


def unproven(comparison: Comparison, pair: RunPair) -> Iterator[Finding]:
    """Findings for the models of a run that failed a step of their proof, or predict differently."""
    names = {name for _, run in pair.sides for name in run.models}
    for name in kept(names, comparison.settings.ignore.models):
        models = {mode: run.models[name] for mode, run in pair.sides if name in run.models}
        proofs = {
            mode: proof
            for mode, model in models.items()
            if mode in comparison.launches and (proof := comparison.launches[mode].proofs.get(model.uri))
        }
        place = place_of(comparison, pair, ["log_model"], name)
        yield from _broken(comparison, name, pair.label, place, proofs, models)
        yield from _refused(comparison, name, pair.label, place, proofs, models)
        yield from _required(name, pair.label, place, proofs)
        yield from _predictions(comparison, name, pair.label, place, proofs)


def unproven_versions(comparison: Comparison) -> Iterator[Finding]:
    """Findings for versions that the project registered itself, from something else than a logged model."""
    proofs: dict[tuple[str, str], dict[Mode, ModelProof]] = {}
    for mode, launch in comparison.launches.items():
        for registered in launch.record.registered_models:
            for version in registered.versions:
                if proof := launch.proofs.get(f"models:/{registered.name}/{version.version}"):
                    proofs.setdefault((registered.name, version.version), {})[mode] = proof
    for (name, number), sides in proofs.items():
        if not matches_any(name, comparison.settings.ignore.models):
            place = place_of_registering(comparison, name)
            yield from _broken(comparison, f"{name}, version {number}", "", place, sides, {})


def _broken(
    comparison: Comparison,
    subject: str,
    run: str,
    place: str | None,
    proofs: _Proofs,
    models: Mapping[Mode, Model],
) -> Iterator[Finding]:
    """The first failure of each kind; the same one of the other launch isn't told twice."""
    first: dict[str, Mode] = {}
    for mode, proof in proofs.items():
        if not proof.loaded:
            first.setdefault("model-not-loadable" if proof.registered else "model-not-registrable", mode)
    for rule, mode in first.items():
        proof = proofs[mode]
        if rule == "model-not-loadable":
            reason = reason_for(proof, models.get(mode), comparison.launches[mode]) or _UNKNOWN
            why = f"{subject} registers, but {reason.why}"
            fix = reason.fix
        elif models.get(mode) is not None and models[mode].status != "READY":
            why = f"{subject} was left half-written: log_model died, and left it {models[mode].status}."
            fix = "let log_model end without an exception; don't catch what it raises"
        else:
            why, fix = (
                f"The registry doesn't take {subject}.",
                "the message above is MLflow's: log it so that it's taken",
            )
        yield Finding(
            rule=rule,
            subject=subject,
            fluent=_verdict(proofs.get("fluent")),
            mlflow_run=_verdict(proofs.get("mlflow-run")),
            place=place,
            run=run,
            why=why,
            fix=fix,
            detail=comparison.launches[mode].as_original(proof.error or ""),
        )


def _refused(
    comparison: Comparison,
    name: str,
    run: str,
    place: str | None,
    proofs: _Proofs,
    models: Mapping[Mode, Model],
) -> Iterator[Finding]:
    # A model that asks a service for its answer can't be tried here.
    refusing = {
        mode: proof for mode, proof in proofs.items() if proof.predicted is False and not proof.network
    }
    if not refusing:
        return
    mode, proof = next(iter(refusing.items()))
    launch = comparison.launches[mode]
    if "enforce schema" in " ".join(proof.chain):
        why = (
            f"{name} loads, but its signature rejects the input example that it was logged with: whoever "
            "calls it as the example shows gets an exception."
        )
        fix = "leave signature= out: it's made from the example then; or infer_signature(EXAMPLE, PREDICTION)"
    elif reason := reason_for(proof, models.get(mode), launch):
        why, fix = f"{name} loads, but when it predicts, {reason.why}", reason.fix
    else:
        why = f"{name} loads, but predict() fails with the input example that it was logged with."
        fix = "log an example that predict() takes:  input_example=X[:3]"
    yield Finding(
        rule="model-rejects-example",
        subject=name,
        fluent=_answer(proofs.get("fluent")),
        mlflow_run=_answer(proofs.get("mlflow-run")),
        place=place,
        run=run,
        why=why,
        fix=fix,
        detail=launch.as_original(proof.error or ""),
    )


def _required(name: str, run: str, place: str | None, proofs: _Proofs) -> Iterator[Finding]:
    texts = {mode: text for mode, proof in proofs.items() if proof.loaded and (text := _requirements(proof))}
    if not texts:
        return
    proof = proofs[next(iter(texts))]
    yield Finding(
        rule="model-requirements-wrong",
        subject=name,
        fluent=texts.get("fluent"),
        mlflow_run=texts.get("mlflow-run"),
        place=place,
        run=run,
        why="It was trained and loads with what is installed here, and asks for something else: an "
        "environment made from its requirements is another one."
        if proof.unmet
        else "It loads because the package is installed here. In an environment made from its requirements "
        "it isn't.",
        fix=_requirements_fix(proof)
        if proof.unmet
        else f"extra_pip_requirements={list(proof.unlisted)} in log_model",
    )


def _requirements_fix(proof: ModelProof) -> str:
    if any(version for _, version in proof.unmet):
        return "leave pip_requirements= out, so that MLflow writes down what is installed"
    return "install what it asks for where it is trained, so that it's tried; or take it out"


def _predictions(
    comparison: Comparison, name: str, run: str, place: str | None, proofs: _Proofs
) -> Iterator[Finding]:
    if len(proofs) != 2 or not all(proof.predicted for proof in proofs.values()):
        return
    fluent, mlflow_run = proofs["fluent"], proofs["mlflow-run"]
    found = difference(fluent.prediction, mlflow_run.prediction, comparison.settings.prediction_tolerance)
    if found is None:
        return
    yield Finding(
        rule="prediction-differs",
        subject=name,
        fluent=found[0],
        mlflow_run=found[1],
        place=place,
        run=run,
        why="The two models answer the same input example differently."
        if fluent.example == mlflow_run.example
        else "The two models were logged with different input examples, and answer differently.",
        fix="seed what is random: the data, the split, the start weights"
        if fluent.example == mlflow_run.example
        else "seed what makes the data, and take the example from a fixed place",
    )


def _requirements(proof: ModelProof) -> str:
    wrong = [f"{each}, installed: {version or 'not at all'}" for each, version in proof.unmet]
    return "; ".join([*wrong, *(f"needs {package}, doesn't ask for it" for package in proof.unlisted)])


def _verdict(proof: ModelProof | None) -> str | None:
    if proof is None:
        return None
    if proof.loaded:
        return "loads"
    return "doesn't load" if proof.registered else "not registered"


def _answer(proof: ModelProof | None) -> str | None:
    if proof is None or proof.predicted is None:
        return None
    return "predicts" if proof.predicted else "doesn't predict"
