"""Modules that a launch couldn't import: packages that aren't installed, and code that isn't on the path."""

from __future__ import annotations

import difflib
import re
from pathlib import PurePosixPath

from pytest_mlflow_check.checks.crash import Crash, Known

_MISSING = re.compile(
    r"ModuleNotFoundError: No module named '(?P<module>[\w.]+)'"
    r"|^\S*python[\d.]*: (?:Error while finding module specification for '(?P<run>[\w.]+)'"
    r"|No module named (?P<started>[\w.]+))",
    re.MULTILINE,
)
_RELATIVE = re.compile(r"ImportError: attempted relative import with no known parent package")

_DISTRIBUTIONS = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "catboost": "catboost",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "PyMuPDF",
    "git": "GitPython",
    "hydra": "hydra-core",
    "imblearn": "imbalanced-learn",
    "PIL": "Pillow",
    "pl_bolts": "lightning-bolts",
    "pytorch_lightning": "pytorch-lightning",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "skopt": "scikit-optimize",
    "umap": "umap-learn",
    "yaml": "PyYAML",
}
"""What pip calls packages that are imported by another name."""

_MORE = {"cv2": ("opencv-python-headless", "opencv-contrib-python"), "faiss": ("faiss-gpu",)}


def missing_module(crash: Crash, message: str) -> Known | None:
    """What is known of a module that wasn't found."""
    if _RELATIVE.match(message):
        return _relative_import(crash)
    found = _MISSING.search(message) if message is crash.output else _MISSING.match(message)
    if not found:
        return None
    module = found["module"] or found["run"] or found["started"]
    # A directory of the repository may be called like a package that is installed elsewhere.
    named = crash.surroundings.dependency(_names(module)) is not None
    return _package(crash, module) if named else _of_the_repository(crash, module) or _package(crash, module)


def _of_the_repository(crash: Crash, module: str) -> Known | None:
    around, top = crash.surroundings, module.partition(".")[0]
    directories = around.directories_with(module)
    if not directories:
        return _misspelled(crash, module)
    directory = directories[0]
    where = "the project's directory" if directory == "." else directory
    why = (
        f"{module} is a module of this repository, and {where} isn't on the path: Python looks in the "
        "directory of the script that was started, and in what is installed."
    )
    script = _script(crash.command)
    if directory == "." and script and "/" in script and top:
        as_module = script.removesuffix(".py").replace("/", ".")
        fix = f"in {crash.command_place} write  {crash.command.replace(script, f'-m {as_module}', 1)}"
        return Known(why, fix, crash.source_line)
    setting, code = crash.setting("PYTHONPATH", directory)
    install = f"pip install -e {around.installable}, or " if around.installable is not None else ""
    by_hand = f"by hand, start it with  PYTHONPATH={directory}"
    return Known(why, f"{install}{setting};  {by_hand}", crash.source_line, code)


def _misspelled(crash: Crash, module: str) -> Known | None:
    """A module that isn't there, of a package of the repository that is."""
    package, _, name = module.rpartition(".")
    if not package or not crash.surroundings.directories_with(package):
        return None
    path = package.replace(".", "/")
    beside = {
        PurePosixPath(file).stem
        for file in crash.surroundings.files
        if PurePosixPath(file).parent.as_posix().endswith(path) and file.endswith(".py")
    }
    close = [one for one in beside if one.lower() == name.lower()] or difflib.get_close_matches(
        name, beside, 1
    )
    return Known(
        f"{package} is a package of this repository, and {name} isn't in it.",
        f"write {package}.{close[0]}" if close else f"write {path}/{name}.py, and add it to version control",
        crash.source_line,
    )


def _relative_import(crash: Crash) -> Known:
    script = _script(crash.command) or (crash.source_line or "").rpartition(":")[0]
    module = script.removesuffix(".py").replace("/", ".")
    return Known(
        f"{script} is started as a script, and imports from its own package: a script has none.",
        f"in {crash.command_place} write  {crash.command.replace(script, f'-m {module}', 1)}"
        if "." in module
        else "import without the leading dot",
        crash.source_line,
    )


def _package(crash: Crash, module: str) -> Known:
    names = _names(module)
    named = crash.surroundings.dependency(names)
    if named is None:
        name = names[0]
        return Known(
            f"The package {name} isn't installed here, and no file of the project names it.",
            f"pip install {name}, and name it in {_own_file(crash)}",
            crash.source_line,
        )
    name, place = named
    file = place.rpartition(":")[0]
    return Known(
        f"The package {name}, which {place} names, isn't installed in the environment that pytest runs in.",
        f"{_install(file, name)}{_environment(crash, file)}",
        crash.source_line,
    )


def _names(module: str) -> list[str]:
    """What the package of a module may be called for pip, the likeliest first."""
    top = module.partition(".")[0]
    return [_DISTRIBUTIONS.get(top, top), top, *_MORE.get(top, ())]


def _own_file(crash: Crash) -> str:
    case = crash.comparison.case
    own = (case.project.python_env or case.project.conda_env) if case else None
    return own.name if own else "requirements.txt"


def _install(file: str, name: str) -> str:
    if file.endswith((".txt", ".in")):
        return f"install what it names:  pip install -r {file}"
    if file.endswith((".toml", ".py", ".cfg")):
        return f"install the project:  pip install -e {PurePosixPath(file).parent}"
    return f"install it:  pip install {name}"


def _environment(crash: Crash, file: str) -> str:
    """How MLflow makes the environment, where that has what is missing."""
    case = crash.comparison.case
    if case is None:
        return ""
    if case.project.conda_env is not None and file == case.project.conda_env.name:
        return ";  or have MLflow make the environment:  --mlflow-env-manager=conda"
    if case.project.python_env is not None:
        return ";  or have MLflow make the environment:  --mlflow-env-manager=virtualenv"
    return ""


def _script(command: str) -> str | None:
    """The script that a command starts with Python."""
    found = re.search(r"\bpython[\d.]*\s+(?:-[uBOWX]\S*\s+)*(?P<script>[^\s-][^\s]*\.py)\b", command)
    return found["script"].removeprefix("./") if found else None
