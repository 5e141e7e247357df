"""Findings from model validation: models that don't register, load or predict, or that predict otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pytest_mlflow_check.checks.comparison import Comparison, matches_any, not_matching
from pytest_mlflow_check.checks.load_failures import Reason, reason_for
from pytest_mlflow_check.checks.model_registry import source_line_of_registering
from pytest_mlflow_check.checks.predictions import difference
from pytest_mlflow_check.checks.run_matching import RunPair
from pytest_mlflow_check.checks.source_lines import source_line_of
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Mode, Model, ModelValidation

_UNKNOWN = Reason(
    "`models:/NAME/1` doesn't load as it would on another machine, without the project and the network.",
    "resolve what the message says; modules go into code_paths=[…], files into artifacts={…}",
)


@dataclass(frozen=True)
class _Tried:
    """A model of a run, or a version that the project registered, with what its validations say of it.

    Attributes:
        comparison: whose launches tried it.
        name: of the model, or of the registered model.
        validations, models: by launch mode; there is no model for a version made from something else.
        pair: the run that logged it; None for such a version.
        version: the number of such a version.
    """

    comparison: Comparison
    name: str
    validations: Mapping[Mode, ModelValidation]
    models: Mapping[Mode, Model] = field(default_factory=dict)
    pair: RunPair | None = None
    version: str = ""

    @property
    def subject(self) -> str:
        return f"{self.name}, version {self.version}" if self.version else self.name

    def reason(self, mode: Mode) -> Reason | None:
        return reason_for(self.validations[mode], self.models.get(mode), self.comparison.launches[mode])

    def finding(
        self, rule: str, sides: Mapping[Mode, str | None], *, why: str, fix: str, failed: Mode | None = None
    ) -> Finding:
        """A finding about it; its detail is what the launch `failed` has for an error."""
        launch, error = (
            (self.comparison.launches[failed], self.validations[failed].error) if failed else (None, None)
        )
        return Finding(
            rule=rule,
            subject=self.subject,
            fluent=sides.get("fluent"),
            mlflow_run=sides.get("mlflow-run"),
            source_line=self._source_line(),
            run=self.pair.label if self.pair else "",
            why=why,
            fix=fix,
            detail=launch.as_original(error) if launch and error else "",
        )

    def _source_line(self) -> str | None:
        if self.pair is None:
            return source_line_of_registering(self.comparison, self.name)
        return source_line_of(self.comparison, self.pair, ["log_model"], self.name)


def failed_validations(comparison: Comparison, pair: RunPair) -> Iterator[Finding]:
    """Findings for the models of a run that failed a step of their validation, or predict differently."""
    names = {name for _, run in pair.sides for name in run.models}
    for name in not_matching(names, comparison.settings.ignore.models):
        models = {mode: run.models[name] for mode, run in pair.sides if name in run.models}
        validations = {
            mode: validation
            for mode, model in models.items()
            if mode in comparison.launches
            and (validation := comparison.launches[mode].validations.get(model.uri))
        }
        tried = _Tried(comparison, name, validations, models, pair)
        for judge in (_broken, _refused, _required, _predictions):
            yield from judge(tried)


def failed_version_validations(comparison: Comparison) -> Iterator[Finding]:
    """Findings for versions that the project registered itself, from something else than a logged model."""
    validations: dict[tuple[str, str], dict[Mode, ModelValidation]] = {}
    for mode, launch in comparison.launches.items():
        for registered in launch.record.registered_models:
            for version in registered.versions:
                if validation := launch.validations.get(f"models:/{registered.name}/{version.version}"):
                    validations.setdefault((registered.name, version.version), {})[mode] = validation
    for (name, number), sides in validations.items():
        if not matches_any(name, comparison.settings.ignore.models):
            yield from _broken(_Tried(comparison, name, sides, version=number))


def _broken(tried: _Tried) -> Iterator[Finding]:
    """The first failure of each kind; the same one of the other launch isn't told twice."""
    first: dict[str, Mode] = {}
    for mode, validation in tried.validations.items():
        if not validation.loaded:
            first.setdefault("model-not-loadable" if validation.registered else "model-not-registrable", mode)
    sides = {mode: _verdict(validation) for mode, validation in tried.validations.items()}
    for rule, mode in first.items():
        model = tried.models.get(mode)
        if rule == "model-not-loadable":
            reason = tried.reason(mode) or _UNKNOWN
            why, fix = f"{tried.subject} registers, but {reason.why}", reason.fix
        elif model is not None and model.status != "READY":
            why = f"{tried.subject} was left half-written: log_model died, and left it {model.status}."
            fix = "let log_model end without an exception; don't catch what it raises"
        else:
            why = f"The registry doesn't take {tried.subject}."
            fix = "the message above is MLflow's: log it so that it's taken"
        yield tried.finding(rule, sides, why=why, fix=fix, failed=mode)


def _refused(tried: _Tried) -> Iterator[Finding]:
    # A model that asks a service for its answer can't be tried here.
    refusing = [
        mode
        for mode, validation in tried.validations.items()
        if validation.predicted is False and not validation.network
    ]
    if not refusing:
        return
    mode = refusing[0]
    if "enforce schema" in " ".join(tried.validations[mode].chain):
        why = (
            f"{tried.name} loads, but its signature rejects the input example that it was logged with: "
            "whoever calls it as the example shows gets an exception."
        )
        fix = (
            "make it from the example and its prediction:  infer_signature(…, …)  or leave signature= out: "
            "it's made from the example then"
        )
    elif reason := tried.reason(mode):
        why, fix = f"{tried.name} loads, but when it predicts, {reason.why}", reason.fix
    else:
        why = f"{tried.name} loads, but predict() fails with the input example that it was logged with."
        fix = "log an example that predict() takes:  input_example=…"
    sides = {mode: _answer(validation) for mode, validation in tried.validations.items()}
    yield tried.finding("model-rejects-example", sides, why=why, fix=fix, failed=mode)


def _required(tried: _Tried) -> Iterator[Finding]:
    texts = {
        mode: text
        for mode, validation in tried.validations.items()
        if validation.loaded and (text := _requirements(validation))
    }
    if not texts:
        return
    validation = tried.validations[next(iter(texts))]
    if validation.unmet:
        why = (
            "It was trained and loads with what is installed here, and asks for something else: an "
            "environment made from its requirements is another one."
        )
        fix = _requirements_fix(validation)
    else:
        why = (
            "It loads because the package is installed here. In an environment made from its requirements "
            "it isn't."
        )
        fix = f"name it in log_model:  extra_pip_requirements={list(validation.unlisted)}"
    yield tried.finding("model-requirements-wrong", texts, why=why, fix=fix)


def _requirements_fix(validation: ModelValidation) -> str:
    installed = [
        f'write  "{_pinned(asked, version)}"  in place of  "{asked}"'
        for asked, version in validation.unmet
        if version
    ]
    if installed:
        return f"{'  and '.join(installed)}  or leave pip_requirements= out: MLflow knows what is installed"
    return "install what it asks for where it is trained, so that it's tried; or remove it"


def _pinned(requirement: str, version: str) -> str:
    """The requirement of the same package in the version that is installed."""
    name = re.match(r"[\w.-]+(?:\[[^\]]*\])?", requirement)
    return f"{name.group() if name else requirement}=={version}"


def _predictions(tried: _Tried) -> Iterator[Finding]:
    if len(tried.validations) != 2 or not all(
        validation.predicted for validation in tried.validations.values()
    ):
        return
    fluent, mlflow_run = tried.validations["fluent"], tried.validations["mlflow-run"]
    tolerance = tried.comparison.settings.prediction_tolerance
    found = difference(fluent.prediction, mlflow_run.prediction, tolerance)
    if found is None:
        return
    if fluent.example == mlflow_run.example:
        why = "The two models answer the same input example differently."
        fix = "train the same model whatever the launch mode; or say how far, with prediction_tolerance"
    else:
        why = "The two models were logged with different input examples, and answer differently."
        fix = "take the example from a fixed place, such as the first rows of the training data"
    yield tried.finding("prediction-differs", {"fluent": found[0], "mlflow-run": found[1]}, why=why, fix=fix)


def _requirements(validation: ModelValidation) -> str:
    wrong = [f"{each}, installed: {version or 'not at all'}" for each, version in validation.unmet]
    return "; ".join([*wrong, *(f"needs {package}, doesn't ask for it" for package in validation.unlisted)])


def _verdict(validation: ModelValidation) -> str:
    if validation.loaded:
        return "loads"
    return "doesn't load" if validation.registered else "not registered"


def _answer(validation: ModelValidation) -> str | None:
    if validation.predicted is None:
        return None
    return "predicts" if validation.predicted else "doesn't predict"
