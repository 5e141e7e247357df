"""The code that makes an MLflow model of a file: a pyfunc wrapper for its format, and the call that logs it.

The wrapper is a file of its own, which MLflow runs again when the model is loaded (models from code, MLflow
2.20 and 3). An object of a class in the script itself would take the script along, or be pickled by the name
`__main__`. The model's name is given by position, which is `artifact_path` in MLflow 2.22 and taken for the
name in 3.17: the same text works with both (measured with 2.22.5 and 3.17.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from textwrap import indent

from pytest_mlflow_check.core.findings import CodePart

_SCIKIT = ("sklearn", "xgboost", "lightgbm", "catboost", "imblearn", "statsmodels", "lifelines")
_NETWORKS = ("torch", "keras", "tensorflow", "transformers", "sentence_transformers", "spacy", "gensim")
LIBRARIES = frozenset({*_SCIKIT, *_NETWORKS, "prophet", "pmdarima"})
"""Packages whose pickled objects are models."""

_NETWORK = "from my_network import MyNetwork  # <- the class of the network that the weights belong to\n"


@dataclass(frozen=True)
class _Wrapper:
    """How files of one format are loaded and used.

    Attributes:
        imports: lines of import, besides MLflow's own, as an import sorter would have them.
        load: the body of `load_context`; the file is `context.artifacts["model"]`.
        predict: the body of `predict`.
        native: the flavor of MLflow's that logs the object itself, with what it holds for; None where there
            is none.
        extra: another argument of the call, with what to put there.
    """

    imports: str
    load: str
    predict: str = "return self.model.predict(model_input)"
    native: tuple[str, str] | None = None
    extra: str = ""


_SKLEARN = ("mlflow.sklearn.log_model", "a scikit-learn model")
_PYTORCH = ("mlflow.pytorch.log_model", "a network")
_KERAS = ("mlflow.keras.log_model", "a Keras model")
# What was pickled may be a model, which has predict(), or a function.
_CALL = "predict = getattr(self.model, 'predict', self.model)\nreturn predict(model_input)".replace("'", '"')
_TENSOR = (
    'values = getattr(model_input, "values", model_input)  # of a DataFrame\n'
    "with torch.no_grad():\n"
    "    return self.model(torch.as_tensor(values, dtype=torch.float32)).numpy()"
)
_OWN = 'code_paths=["my_network.py"],  # <- the file of that class'

_WRAPPERS = {
    "pickle": _Wrapper(
        "import pickle\n\nimport mlflow",
        'with open(context.artifacts["model"], "rb") as file:\n    self.model = pickle.load(file)',
        _CALL,
        _SKLEARN,
    ),
    "joblib": _Wrapper(
        "import joblib\nimport mlflow",
        'self.model = joblib.load(context.artifacts["model"])',
        _CALL,
        _SKLEARN,
    ),
    "skops": _Wrapper(
        "import mlflow\nfrom skops.io import get_untrusted_types, load",
        'file = context.artifacts["model"]\n'
        "# The file is your own: all types in it are trusted.\n"
        "self.model = load(file, trusted=get_untrusted_types(file=file))",
        native=_SKLEARN,
    ),
    "torch": _Wrapper(
        "import mlflow\nimport torch",
        'file = context.artifacts["model"]\n'
        'self.model = torch.load(file, map_location="cpu", weights_only=False)\n'
        "if isinstance(self.model, dict):  # a checkpoint, with the network among other things\n"
        '    self.model = self.model["model"]\n'
        "self.model.float().eval()",
        _TENSOR,
        _PYTORCH,
    ),
    "torch weights": _Wrapper(
        f"import mlflow\nimport torch\n{_NETWORK}".rstrip(),
        'file = context.artifacts["model"]\n'
        'weights = torch.load(file, map_location="cpu", weights_only=False)\n'
        'for key in ("state_dict", "model_state_dict", "model"):  # of a checkpoint\n'
        "    weights = weights.get(key, weights)\n"
        "self.model = MyNetwork()\n"
        "self.model.load_state_dict(weights)\n"
        "self.model.eval()",
        _TENSOR,
        _PYTORCH,
        _OWN,
    ),
    "safetensors": _Wrapper(
        f"import mlflow\nimport torch\n{_NETWORK}from safetensors.torch import load_file",
        "self.model = MyNetwork()\n"
        'self.model.load_state_dict(load_file(context.artifacts["model"]))\n'
        "self.model.eval()",
        _TENSOR,
        _PYTORCH,
        _OWN,
    ),
    "keras": _Wrapper(
        "import keras\nimport mlflow",
        'self.model = keras.models.load_model(context.artifacts["model"])',
        native=_KERAS,
    ),
    "hdf5": _Wrapper(
        "import keras\nimport mlflow",
        "# Where the file holds weights alone: make the model, then self.model.load_weights(…).\n"
        'self.model = keras.models.load_model(context.artifacts["model"])',
        native=_KERAS,
    ),
    "onnx": _Wrapper(
        "import mlflow\nimport numpy as np\nimport onnxruntime",
        'file = context.artifacts["model"]\n'
        'self.model = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])',
        "name = self.model.get_inputs()[0].name\n"
        "return self.model.run(None, {name: np.asarray(model_input, dtype=np.float32)})[0]",
        ("mlflow.onnx.log_model", "an ONNX model"),
    ),
    "lightgbm": _Wrapper(
        "import lightgbm\nimport mlflow",
        'self.model = lightgbm.Booster(model_file=context.artifacts["model"])',
        native=("mlflow.lightgbm.log_model", "a LightGBM model"),
    ),
    "xgboost": _Wrapper(
        "import mlflow\nimport xgboost",
        'self.model = xgboost.Booster(model_file=context.artifacts["model"])',
        "return self.model.predict(xgboost.DMatrix(model_input))",
        ("mlflow.xgboost.log_model", "an XGBoost model"),
    ),
    "catboost": _Wrapper(
        "import mlflow\nfrom catboost import CatBoost",
        'self.model = CatBoost().load_model(context.artifacts["model"])',
        native=("mlflow.catboost.log_model", "a CatBoost model"),
    ),
}
"""By the names that `readers.file_formats` has."""

_INSTALLED = LIBRARIES | {"", "cloudpickle", "functools", "operator"}

FORMATS = frozenset(_WRAPPERS)
"""The formats there is a wrapper for."""

CHECKPOINTS = {
    "torch checkpoint": 'mlflow.pytorch.log_model(model, "model")',
    "transformers checkpoint": "mlflow.transformers.log_model("
    '{"model": model, "tokenizer": tokenizer}, "model")',
}
"""The formats of what a training resumes from, with the call that logs the model itself."""

_DIRECTORIES = {
    "transformers": 'mlflow.transformers.log_model({path}, "{name}", task="…")',
    "sentence transformers": 'mlflow.sentence_transformers.log_model(SentenceTransformer({path}), "{name}")',
}
"""The formats of files that are models with what lies beside them, and the call that logs the directory."""

DIRECTORIES = frozenset(_DIRECTORIES)


def wrapper_file(format: str) -> str:
    """What the wrapper's file is called; all files of one format share it."""
    return f"{format.replace(' ', '_')}_wrapper.py"


def wrapper(format: str) -> str:
    """The whole content of the wrapper's file for a format."""
    how = _WRAPPERS[format]
    return (
        f"{how.imports}\n\n\n"
        "class Wrapper(mlflow.pyfunc.PythonModel):\n"
        "    def load_context(self, context):\n"
        f"{indent(how.load, ' ' * 8)}\n\n"
        "    def predict(self, context, model_input, params=None):\n"
        f"{indent(how.predict, ' ' * 8)}\n\n\n"
        "mlflow.models.set_model(Wrapper())\n"
    )


@dataclass(frozen=True)
class ModelFile:
    """A file that should be a model.

    Attributes:
        path: as the project's code has it.
        format: one of `FORMATS` or `DIRECTORIES`.
        holds, of_script: as in `Artifact`.
        taken: its path among the run's artifacts, which the model's must not meet in MLflow 2.
        note: a remark on the path.
    """

    path: str
    format: str
    holds: str | None = None
    of_script: str = ""
    taken: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        """A name for the model: the file's own, in characters that MLflow takes."""
        name = re.sub(r"\W+", "_", PurePosixPath(self.path).stem, flags=re.ASCII).strip("_") or "model"
        return f"{name}_model" if name == self.taken.partition("/")[0] else name


def logging_call(file: ModelFile) -> str:
    """The call that logs a file as a model with its wrapper."""
    lines = [
        f'"{file.name}",',
        f'python_model="{wrapper_file(file.format)}",',
        f'artifacts={{"model": {_quoted(file.path)}}},{f"  # <- {file.note}" if file.note else ""}',
        *_modules(file),
        "# input_example=X[:3],  # a few rows of what it predicts from: gives it a signature",
    ]
    return f"mlflow.pyfunc.log_model(\n{indent(chr(10).join(lines), ' ' * 4)}\n)\n"


def _modules(file: ModelFile) -> Iterator[str]:
    """What to give along for the file to be loaded elsewhere."""
    if extra := _WRAPPERS[file.format].extra:
        yield extra
    elif file.of_script:
        module = file.of_script.partition(".")[0].lower()
        yield f'code_paths=["{module}.py"],  # <- the file that {file.of_script} was moved to'
    elif (package := (file.holds or "").partition(".")[0]) not in _INSTALLED:
        yield f'# code_paths=["{package}.py"],  # if {package} is a module of your own'


def fix(file: ModelFile) -> str:
    """What to do, in a sentence, with MLflow's own flavor first where there is one."""
    if file.format in DIRECTORIES:
        directory = str(PurePosixPath(file.path).parent)
        call = _DIRECTORIES[file.format]
        name = replace(file, path=directory).name
        return (
            f"log the directory as the model that it is:  {call.format(path=_quoted(directory), name=name)}"
        )
    native = _WRAPPERS[file.format].native
    own = ""
    if name := file.of_script:
        known = f"the file knows it as __main__.{name}, which only the script has"
        own = f"; but first move {name} into a module: {known}"
    if native is None:
        return f"log the file with the wrapper below{own}"
    call, what = native
    return (
        f'log the object with its own flavor, for {what}  {call}(model, "{file.name}")  '
        f"or the file with the wrapper below{own}"
    )


def parts(file: ModelFile, where: str) -> tuple[CodePart, ...]:
    """The wrapper and the call, each with where it goes; `where` is that of the call."""
    if file.format in DIRECTORIES:
        return ()
    return (
        CodePart(
            f"save this as {wrapper_file(file.format)} in the project's directory", wrapper(file.format)
        ),
        CodePart(where, logging_call(file)),
    )


def _quoted(text: str) -> str:
    """As Python code, in double quotes where that can be."""
    return f'"{text}"' if text.isprintable() and not {'"', "\\"} & {*text} else repr(text)
