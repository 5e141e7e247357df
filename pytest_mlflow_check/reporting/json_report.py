"""The report as JSON, and the schema that says what is in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytest_mlflow_check.reporting import model, run_model
from pytest_mlflow_check.reporting.model import Document

SCHEMA_FILE = Path(__file__).with_name("report.schema.json")


def render_json(report: Document) -> str:
    """The report as JSON; `report.schema.json` says what is in it."""
    text = json.dumps(asdict(report), ensure_ascii=False, allow_nan=False, indent=1)
    # A curve in one line. No text holds a line end of its own: JSON writes it as \\n.
    curves = re.sub(r"\[\n[-+.,\d\seE]*\]", lambda found: " ".join(found[0].split()), text)
    return curves + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema of a report, made of the dataclasses and what their docstrings say."""
    from pydantic import TypeAdapter

    made = TypeAdapter(Document).json_schema(mode="serialization", ref_template="#/$defs/{model}")
    definitions = made.pop("$defs")
    for name, definition in {**definitions, "Document": made}.items():
        _describe(definition, {**vars(run_model), **vars(model)}[name].__doc__)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "$defs": {name: definitions[name] for name in sorted(definitions)},
    }


def _describe(definition: dict[str, Any], docstring: str) -> None:
    """Puts the sentences of a docstring where a reader of the schema looks for them."""
    summary, _, attributes = docstring.partition("\n\n    Attributes:\n")
    definition["description"] = " ".join(summary.split())
    definition.pop("title", None)
    # Everything is always there; and what a later version adds is no error for a reader of this one.
    definition["required"] = list(definition["properties"])
    told = dict(_attributes(attributes))
    for name, field in definition["properties"].items():
        _without_details(field)
        definition["properties"][name] = {"description": told[name], **field}


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    for found in re.finditer(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", text, re.MULTILINE):
        yield found[1], " ".join(found[2].split())


def _without_details(field: Mapping[str, Any]) -> None:
    assert isinstance(field, dict)
    for detail in ("title", "default"):
        field.pop(detail, None)


if __name__ == "__main__":
    SCHEMA_FILE.write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
