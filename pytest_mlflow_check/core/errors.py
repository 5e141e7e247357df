"""The one exception that means: the user can fix this, and here is how; and how messages name things."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from pytest_mlflow_check.core.text import printable


class UserError(Exception):
    """A mistake in a project, in settings or on the command line.

    The message is complete: it names the file and the key, and says what to write instead. It is shown
    as it is, without a traceback. Every other exception is a fault of this package and is shown as one.

    Attributes:
        rule: the rule that explains more, or None.
        subject: what in the file it is about, where that has a name.
    """

    def __init__(self, message: str, *, rule: str | None = None, subject: str = "") -> None:
        """Takes the message; of a rule it says at the end how to read it."""
        message = printable(message)
        super().__init__(f"{message}\n  more: pytest --mlflow-explain={rule}" if rule else message)
        self.rule, self.subject = rule, subject


class LaunchFault(Exception):
    """A fault of this package that ended a launch, with its traceback as the message.

    It is remembered like any outcome of the launch, and reaches whoever else wants it, in any process.
    """


FAULT = "INTERNAL ERROR in pytest-mlflow-check: a fault of the plugin, not of your project"
"""How everything begins that says of an exception other than `UserError` what it is."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean "x"?` for a near miss, else the list of what is known."""
    known = sorted(known)
    if close := difflib.get_close_matches(word, known, n=1, cutoff=0.6):
        return f'did you mean "{close[0]}"?'
    return f"known: {', '.join(known)}"


def shown_path(path: Path) -> str:
    """The path as messages name it: relative to the current directory when below it, else as it is."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
