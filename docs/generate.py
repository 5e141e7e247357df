"""Writes into the documents what the code itself knows: rules, options and settings.

`python docs/generate.py` does it, and `tests/repository/test_docs.py` fails where it is to be done.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pytest_mlflow_check.config.settings import ProjectConfig
from pytest_mlflow_check.plugin.options import add_options
from pytest_mlflow_check.rules import RULES, Rule

ROOT = Path(__file__).parent.parent
SCHEMA = ROOT / "pytest_mlflow_check" / "reporting" / "report.schema.json"

_CODE = (
    ("python", r"(with|try|for|if|def|class|import|from|mlflow\.|open\()"),
    ("sh", r"(pytest|mlflow|pip|python|torchrun) |[A-Z_]+=\S+ "),
    ("toml", r"\[\[|\w+ = [{\[]"),
    ("yaml", r"[\w-]+:\s"),
)
"""Languages of examples that aren't whole Python, and how they begin."""


def rules() -> str:
    """Every rule: what it means, how it comes about and what to do instead."""
    checks = dict.fromkeys(rule.check for rule in RULES.values())
    parts = []
    for check in checks:
        of_check = [rule for rule in RULES.values() if rule.check == check]
        rows = [
            f"| [`{rule.slug}`](#{rule.slug}){' *' * rule.needs_observer} | {rule.severity} "
            f"| {_prose(rule.summary)} |"
            for rule in of_check
        ]
        parts += [
            f"## {check.capitalize()}",
            "\n".join(["| rule | severity | what is wrong |", "| --- | --- | --- |", *rows]),
        ]
        parts += map(_rule, of_check)
    return "\n\n".join(parts)


def options() -> str:
    """Every option with its twin in the ini file."""
    parser = _Parser()
    add_options(parser)  # type: ignore[arg-type]
    rows = ["| option | ini file | meaning |", "| --- | --- | --- |"]
    for names, given in parser.options:
        twin = names[0].lstrip("-").replace("-", "_")
        value = given.get("metavar") or "|".join(given.get("choices", ()))
        equals = "" if not value else f" {value}" if "=" in value else f"={value}"
        shown = [f"`{names[0]}{equals}`".replace("|", "\\|"), *(f"`{name}`" for name in names[1:])]
        ini = f"`{twin}`" if twin in parser.inis else "—"
        help_text = given["help"].rstrip(".").replace("|", "\\|")
        rows.append(f"| {', '.join(shown)} | {ini} | {_prose(help_text[0].lower() + help_text[1:])} |")
    return "\n".join(rows)


def settings() -> str:
    """Every key of the settings file."""
    rows = ["| key | value | default |", "| --- | --- | --- |"]
    for key, value, default in _keys(ProjectConfig.model_json_schema()):
        heading = re.search(r"\w+", key)
        assert heading
        rows.append(f"| [`{key}`](#{heading[0]}) | {value} | {default} |")
    return "\n".join(rows)


def report() -> str:
    """What is in a JSON report, type by type, as its schema says."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    parts = []
    for name, one in {"The whole": schema, **schema["$defs"]}.items():
        rows = ["| key | value | meaning |", "| --- | --- | --- |"]
        for key, field in one["properties"].items():
            rows.append(
                f"| `{key}` | {_json_value(field)} | {_prose(field.get('description', '').rstrip('.'))} |"
            )
        parts += [f"## {name}", _prose(one["description"]), "\n".join(rows)]
    return "\n\n".join(parts)


PARTS: Mapping[str, Callable[[], str]] = {
    "rules": rules,
    "options": options,
    "settings": settings,
    "report": report,
}
"""What may stand between `<!-- generated: NAME -->` and `<!-- /generated -->`."""


def generated(text: str) -> str:
    """A document with its generated parts as they should be now."""
    return re.sub(
        r"(<!-- generated: (\w+) -->\n).*?(<!-- /generated -->)",
        lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n{found[3]}",
        text,
        flags=re.DOTALL,
    )


def documents() -> list[Path]:
    """The documents that may have generated parts."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


class _Parser:
    """Takes down what is declared."""

    def __init__(self) -> None:
        self.options: list[tuple[tuple[str, ...], dict[str, Any]]] = []
        self.inis: list[str] = []

    def getgroup(self, *_: object) -> _Parser:
        return self

    def addoption(self, *names: str, **given: Any) -> None:
        self.options.append((names, given))

    def addini(self, name: str, *_: object) -> None:
        self.inis.append(name)


def _rule(rule: Rule) -> str:
    observed = (
        "; found by observing the calls, so not where `observer = false`" if rule.needs_observer else ""
    )
    parts = [
        f"### {rule.slug}",
        f"*{rule.severity}*{observed}",
        _prose(_sentence(rule.summary)),
        _prose(rule.explanation),
    ]
    parts += _paragraphs(rule.example)
    parts += ["Instead:", *_paragraphs(rule.fix)]
    if rule.supersedes:
        parts.append(f"Symptoms, not reported beside it: {_links(rule.supersedes)}.")
    if rule.supersedes_same_subject:
        same = rule.check.removesuffix("s")
        parts.append(f"Not reported beside it of the same {same}: {_links(rule.supersedes_same_subject)}.")
    return "\n\n".join(parts)


def _paragraphs(text: str) -> Iterable[str]:
    """Prose as it is, and code in fences: what a rule shows may be both."""
    code: list[str] = []
    for paragraph in [*text.split("\n\n"), ""]:
        prose = not paragraph or re.match(r"[A-Z][a-z]* \w", paragraph)
        if not prose:
            code.append(paragraph)
            continue
        if code:
            whole = "\n\n".join(code)
            yield f"```{_language(whole)}\n{whole}\n```"
            code = []
        if paragraph:
            yield _prose(paragraph)


def _language(code: str) -> str:
    try:
        ast.parse(code)
    except SyntaxError:
        return next((name for name, begin in _CODE if re.match(begin, code)), "text")
    return "python"


def _prose(text: str) -> str:
    """Text in which nothing but code in backticks is markup."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*_<\[\]])", r"\\\1", part) for part in parts)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _links(slugs: Iterable[str]) -> str:
    return ", ".join(f"[{slug}](#{slug})" for slug in slugs)


def _keys(schema: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    for key, field in schema["properties"].items():
        many = field.get("items", {}).get("$ref")
        reference = many or field.get("$ref")
        if reference is None:
            yield key, _value(field), _default(field)
            continue
        within = schema["$defs"][reference.rpartition("/")[2]]["properties"]
        defaults = field.get("default", {})
        for inner, one in within.items():
            default = _default(one | {"default": defaults[inner]} if inner in defaults else one)
            yield f"[[{key}]] {inner}" if many else f"{key}.{inner}", _value(one), default


def _value(field: Mapping[str, Any]) -> str:
    names = {
        "string": "text",
        "boolean": "`true` or `false`",
        "number": "number",
        "object": "table",
        "array": "list of texts",
    }
    if "enum" in field:
        return ", ".join(f"`{one}`" for one in field["enum"])
    if "anyOf" in field:
        return next(names[one["type"]] for one in field["anyOf"] if one["type"] != "null")
    return names[field["type"]]


def _default(field: Mapping[str, Any]) -> str:
    default = field.get("default")
    if default in (None, [], {}):
        return "—"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) else f'`"{default}"`'


def _json_value(field: Mapping[str, Any]) -> str:
    """A value of the JSON report: what it may be."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in field:
        return ", ".join(f"`{one}`" for one in field["enum"])
    if "anyOf" in field:
        return " or ".join(_json_value(one) for one in field["anyOf"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        return f"list of {_json_value(field['items'])}"
    if isinstance(field.get("additionalProperties"), dict):
        return f"object of {_json_value(field['additionalProperties'])}"
    return {"string": "text", "boolean": "true or false"}.get(
        field.get("type", ""), field.get("type", "anything")
    )


if __name__ == "__main__":
    for document in documents():
        old = document.read_text(encoding="utf-8")
        if (new := generated(old)) != old:
            document.write_text(new, encoding="utf-8")
            print(document.relative_to(ROOT))
