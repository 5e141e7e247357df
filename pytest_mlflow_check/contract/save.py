"""The file of a contract, written: what changed, and nothing else."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from pytest_mlflow_check.contract.load import LARGEST, Source
from pytest_mlflow_check.contract.schema import VERSION, CaseContract
from pytest_mlflow_check.contract.serialize import HEADER, document_of
from pytest_mlflow_check.contract.yaml_edit import edited, entry, plain
from pytest_mlflow_check.core.errors import UserError, shown_path
from pytest_mlflow_check.core.files import draft


def updated(source: Source | None, cases: Mapping[str, CaseContract]) -> str:
    """The text of a contract with these cases in it; all else stays as it is.

    Args:
        source: the file as it is now; None where there is none.
        cases: what is to be said of them, by id.

    Raises:
        UserError: the file has aliases, or would get too large.
    """
    said = {case: document_of(contract) for case, contract in cases.items()}
    if source is None:
        lines = [*entry("version", VERSION), *entry("cases", said)]
        text = HEADER + "\n" + "\n".join(lines) + "\n"
    else:
        _refuse_aliases(source)
        there = source.document.get("cases")
        document: dict[str, Any] = {str(key): value for key, value in source.document.items()}
        document |= {"cases": {**(there if isinstance(there, dict) else {}), **said}}
        # Should somebody have laid it out in a way that lines can't be edited in, the lines give way.
        text = _edited(source.text, document) or ""
        if not text:
            text = (
                HEADER
                + "\n"
                + "\n".join(line for key, value in document.items() for line in entry(key, value))
            )
            text += "\n"
    if len(text.encode()) > LARGEST:
        raise UserError(
            f"the contract would have more than {LARGEST // 1024} kB\n"
            "  leave out what needn't be held, in mlflow-check.toml, as in  "
            'ignore = { artifacts = ["checkpoints/*"] }'
        )
    return text


def save(file: Path, text: str, *, before: str | None) -> bool:
    """Writes a contract, in one step.

    Args:
        file: where to.
        text: what to write.
        before: what the file held when the text was made; None where there was none.

    Returns:
        Whether it was written; not where somebody has changed the file meanwhile.

    Raises:
        UserError: it can't be written, or a link leads out of the project.
    """
    target = Path(os.path.realpath(file))
    if not target.is_relative_to(os.path.realpath(file.parent)):
        raise UserError(
            f"{shown_path(file)}: this is a link that leads out of the project, to {target}\n"
            "  put a file in its place"
        )
    try:
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
        if mode is not None and not os.access(target, os.W_OK):
            raise UserError(
                f"{shown_path(file)}: this user may not write the file\n  let it, and update again"
            )
        with draft(target, text) as new:
            if mode is not None:
                new.chmod(mode)
            if _current_text(target) != before:
                return False
            new.replace(target)
    except OSError as error:
        raise UserError(f"{shown_path(file)}: can't write the file: {error.strerror}") from error
    return True


def _current_text(file: Path) -> str | None:
    with suppress(FileNotFoundError):
        return file.read_bytes().decode("utf-8-sig", "replace")
    return None


def _edited(before: str, document: Mapping[str, Any]) -> str | None:
    """The file with the lines changed; None where it wouldn't say then what it has to."""
    # With tags, anchors and `? key`, a value doesn't end or begin where its line does.
    with suppress(yaml.YAMLError, IndexError):
        text = edited(before, document)
        if yaml.safe_load(text) == plain(document) or _open_only(text, document):
            return text
    return None


def _open_only(text: str, document: Mapping[str, object]) -> bool:
    """Whether what is read back differs only in how an open value is written: `loss:` or `loss: {}`."""

    def normal(value: object) -> object:
        if isinstance(value, dict):
            return {key: normal(each) for key, each in value.items()}
        return {} if value is None else value

    return normal(yaml.safe_load(text)) == normal(plain(document))


def _refuse_aliases(source: Source) -> None:
    for event in yaml.parse(source.text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise UserError(
                f"{shown_path(source.path)}:{line}: a file with aliases can't be updated\n"
                "  write out what *… stands for"
            )
