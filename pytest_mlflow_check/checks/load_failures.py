"""Why a model doesn't load: what its validation says, told apart and put into words."""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_mlflow_check.checks.logging_snippets import script_of
from pytest_mlflow_check.core.records import Launch, Model, ModelValidation, Observation

_FILE_ERRORS = ("FileNotFoundError", "NotADirectoryError", "No such file", "does not exist", "Could not open")


@dataclass(frozen=True)
class Reason:
    """Why it fails, and what to do about it; `why` completes "NAME registers, but …"."""

    why: str
    fix: str


@dataclass(frozen=True)
class _Failure:
    """A model that failed a step; `model` is None for a version made from something else."""

    validation: ModelValidation
    model: Model | None
    launch: Launch

    @property
    def text(self) -> str:
        return " ".join(self.validation.chain)


def reason_for(validation: ModelValidation, model: Model | None, launch: Launch) -> Reason | None:
    """The first reason that fits what a validation says; None where none does.

    Args:
        validation: of a model that registered and didn't load, or didn't predict.
        model: the logged model; None for a version that the project registered from something else.
        launch: which logged it.
    """
    failure = _Failure(validation, model, launch)
    for judge in _JUDGES:
        if reason := judge(failure):
            return reason
    return None


def _source_in_artifacts(failure: _Failure) -> Reason | None:
    if failure.model is not None or not any(
        "MLmodel" in each or "No such artifact" in each for each in failure.validation.chain
    ):
        return None
    name, _, number = failure.validation.uri.removeprefix("models:/").rpartition("/")
    versions = (
        version
        for registered in failure.launch.record.registered_models
        if registered.name == name
        for version in registered.versions
        if version.version == number
    )
    source = next((version.source for version in versions), None)
    if not source or "/artifacts" not in source:
        return None
    return Reason(
        f"its source {source.rpartition('/')[2]!r} lies among the artifacts of a run, where MLflow 3 keeps "
        "no models: a logged model has a place of its own (models:/m-…).",
        f'register what log_model gives, info:  mlflow.register_model(info.model_uri, "{name}")',
    )


def _main(failure: _Failure) -> Reason | None:
    if failure.validation.module != "__main__":
        return None
    what = failure.validation.lacks or "a class"
    script = script_of(failure.launch.command)
    return Reason(
        f"{what} was pickled from __main__: a pickle keeps only the name, and elsewhere {script} isn't "
        "__main__.",
        f"move {what} into a module of its own (net.py), import it, and give the module to log_model:  "
        "code_paths=['net.py']",
    )


def _no_loader(failure: _Failure) -> Reason | None:
    if failure.model is None or failure.validation.module is None:
        return None
    if (
        failure.model.loader and failure.validation.module == failure.model.loader.partition(".")[0]
    ) or failure.validation.module == failure.model.loader:
        kind = f"its flavor python_function names the loader module {failure.model.loader}"
    elif failure.validation.module in {f"mlflow.{flavor}" for flavor in failure.model.flavors}:
        kind = f"its only flavor {failure.validation.module.removeprefix('mlflow.')} is a custom one"
    else:
        return None
    file = failure.validation.module_file or f"{failure.validation.module.removeprefix('mlflow.')}.py"
    return Reason(
        f"{kind}, which isn't in the model.",
        f"put it into the model, in log_model:  code_paths=[{file!r}]",
    )


def _own_module(failure: _Failure) -> Reason | None:
    if failure.validation.module_file is None:
        return None
    file = failure.validation.module_file
    fix = f"add it to code_paths in log_model:  code_paths=[{file!r}]"
    if by := _autologged(failure):
        where = f"  in {by.source_line}" if by.source_line else ""
        calls = f"autolog(log_models=False) and log_model(…, code_paths=[{file!r}])"
        fix = f"log the model yourself:  {calls}{where}"
    # Only pyfunc takes models from code.
    if failure.model is not None and failure.model.loader == "mlflow.pyfunc.model":
        code = _python_file(file)
        fix += f"  or as models from code:  python_model={code!r}  with  mlflow.models.set_model(…)  in it"
    return Reason(
        f"it needs the module {failure.validation.module}, which is {file} of the project "
        "and isn't in the model.",
        fix,
    )


def _autologged(failure: _Failure) -> Observation | None:
    """The call of autologging that logged a model; None where the code logged it by itself."""
    if failure.model is None:
        return None
    calls = [
        call
        for call in failure.launch.observations
        if call.what == "log_model" and call.key == failure.model.name
    ]
    return calls[-1] if calls and all(call.by == "autologging" for call in calls) else None


def _lacking(failure: _Failure) -> Reason | None:
    if failure.validation.lacks is None:
        return None
    return Reason(
        f"it needs {failure.validation.lacks} of the module {failure.validation.module}, "
        "and the module that is found there hasn't got it.",
        "log it with the same version of the module that it was made with",
    )


def _package(failure: _Failure) -> Reason | None:
    if failure.validation.module is None:
        return None
    return Reason(
        f"it needs the module {failure.validation.module}, which isn't installed here "
        "and isn't in the model: a requirement is missing.",
        f"install the package that has {failure.validation.module}, and name it in log_model:  "
        "extra_pip_requirements=[…]",
    )


def _untrusted(failure: _Failure) -> Reason | None:
    text = failure.text
    if "UntrustedTypesFound" not in text and "Untrusted types found" not in text:
        return None
    types = re.findall(r"'([A-Za-z_][\w.]*\.[\w.]+)'", text)
    trusted = ", ".join(f'"{each}"' for each in dict.fromkeys(types)) or "…"
    return Reason(
        "skops loads no types that aren't trusted by name.",
        f"once you have looked at them, trust them in log_model:  skops_trusted_types=[{trusted}]",
    )


def _network(failure: _Failure) -> Reason | None:
    if not failure.validation.network:
        return None
    return Reason(
        "it asks for another machine while it is loaded. What it fetches there can be gone or changed the "
        "day it is needed.",
        "download it in the training script, and put it into the model:  artifacts={…}",
    )


def _made(failure: _Failure) -> Reason | None:
    if failure.validation.made is None:
        return None
    path = failure.launch.as_original(failure.validation.made)
    return Reason(
        f"while it is loaded or predicts, it makes {path}: it writes to a path of the machine that it was "
        "trained on. Another machine has no such directory, or lets nobody write there.",
        "let it write to a directory of its own, made in load_context:  tempfile.mkdtemp()",
    )


def _files(failure: _Failure) -> Reason | None:
    text = failure.text
    if not any(each in text for each in _FILE_ERRORS):
        return None
    fix = (
        'put it into the model, in log_model:  artifacts={"file": …}  and open it in the model\'s code by  '
        'context.artifacts["file"]'
    )
    inside = f"{failure.launch.workspace}/" if failure.launch.workspace else None
    if inside and inside in text:
        path = re.split(r"['\"\s:,;)\]]", text.partition(inside)[2])[0]
        file = os.path.relpath(Path(inside, path), failure.launch.directory)
        return Reason(
            f"it holds the absolute path of {file}, which is a file of the project's directory and not of "
            "the model.",
            fix,
        )
    found = re.search(r"'([^']+)'", text.partition("No such file")[2])
    if found is None:
        return None
    path = found[1]
    if not {"/", "."} & {*path}:
        return Reason(
            f"it asks for {path}, a program or file that isn't in the model.",
            'put a file into the model, in log_model:  artifacts={"file": …}  A program can\'t be put there',
        )
    kind = "the absolute path" if os.path.isabs(path) else "the path"
    return Reason(f"it opens {kind} {path}, a file that isn't in the model.", fix)


def _crash(failure: _Failure) -> Reason | None:
    # As `_mlflow_check_validator.main` says it; no exception was there to be told.
    error = failure.validation.error or ""
    if error.startswith("the process "):
        return Reason(
            "the whole process ends with it: whoever serves it goes down too.",
            'see what ends it:  python -X faulthandler -c "import mlflow; mlflow.pyfunc.load_model(…)"',
        )
    if error.startswith("it didn't end within"):
        return Reason(f"{error}.", "see what it waits for; or give it more time:  --mlflow-timeout=SECONDS")
    return None


# From what leaves no doubt to what only looks like it.
_JUDGES: tuple[Callable[[_Failure], Reason | None], ...] = (
    _network,
    _made,
    _untrusted,
    _source_in_artifacts,
    _main,
    _no_loader,
    _lacking,
    _own_module,
    _package,
    _files,
    _crash,
)


def _python_file(file: str) -> str:
    return file if file.endswith(".py") else f"{file}/….py"
