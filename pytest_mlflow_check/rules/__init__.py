"""Every kind of finding: its name, what it means, and what to do about it.

The documents' list and `--mlflow-explain` are made from this registry, and a finding's title too.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from pytest_mlflow_check.core.errors import UserError, did_you_mean
from pytest_mlflow_check.rules import artifacts, contract, launches, metadata, metrics, models, params, runs
from pytest_mlflow_check.rules.rule import Rule

__all__ = ["RULES", "Rule", "check_slugs", "explain"]

RULES: dict[str, Rule] = {
    rule.slug: rule
    for module in (launches, runs, metadata, params, metrics, artifacts, models, contract)
    for rule in module.RULES
}
"""The rules by slug, in the order in which they are documented."""


def check_slugs(slugs: Iterable[str], *, where: str) -> None:
    """Makes sure that settings name rules that exist.

    Raises:
        UserError: naming the first that doesn't, and what may be meant.
    """
    for slug in slugs:
        if slug not in RULES:
            raise UserError(f'{where}: unknown rule "{slug}": {did_you_mean(slug, RULES)}')


def explain(slug: str) -> str:
    """What a rule means, as `--mlflow-explain` prints it.

    Raises:
        UserError: for a rule that doesn't exist.
    """
    check_slugs([slug], where="--mlflow-explain")
    rule = RULES[slug]
    return "\n".join(
        [
            f"{rule.slug} ({rule.severity}, check: {rule.check})",
            "",
            *textwrap.wrap(rule.summary[0].upper() + rule.summary[1:] + ".", 80, break_on_hyphens=False),
            "",
            *textwrap.wrap(rule.explanation, 80, break_on_hyphens=False),
            *_scope(rule),
            "",
            "example:",
            textwrap.indent(rule.example, "    "),
            "",
            "instead:",
            textwrap.indent(rule.fix, "    "),
        ]
    )


def _scope(rule: Rule) -> list[str]:
    """What the rule needs, and what isn't reported beside it."""
    sentences = []
    if rule.needs_observer:
        sentences.append("It is found by observing the calls, so not where observer = false.")
    if rule.supersedes:
        sentences.append(f"Symptoms, not reported beside it: {', '.join(rule.supersedes)}.")
    if rule.supersedes_same_subject:
        same = ", ".join(rule.supersedes_same_subject)
        sentences.append(f"Not reported beside it of the same {rule.check.removesuffix('s')}: {same}.")
    return [line for text in sentences for line in ("", *textwrap.wrap(text, 80, break_on_hyphens=False))]
