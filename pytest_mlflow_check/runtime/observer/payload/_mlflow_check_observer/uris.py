# Runs inside the user's processes: Python 3.9 or later, standard library only.
"""Judging URIs of stores: which are the same, which are remote, and how they look without passwords."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import unquote, urlsplit

_SECRET = re.compile(r"(?i)([?&;][^=&;]*(?:pass|pwd|token|secret|key|sig|credential)[^=&;]*=)[^&;#]*")


_ENDPOINT = re.compile(
    r"/(?:ajax-)?api/\d\.\d/(?:preview/)?(?:mlflow|mlflow-artifacts|unity-catalog|dbfs)(?:/|$)"
    r"|/(?:get-artifact|v1/traces)$"
)
"""Ends of what MLflow asks a tracking server or Databricks for (mlflow.utils.rest_utils, 3.17.2)."""


def text_of(uri: Any) -> str:
    """A URI as given: text, a path or anything else."""
    if isinstance(uri, os.PathLike):
        uri = os.path.abspath(os.fspath(uri))
    return os.fsdecode(uri) if isinstance(uri, bytes) else str(uri)


def canonical(uri: str) -> tuple[str, str]:
    """Two URIs that MLflow takes to the same store have the same canonical form."""
    scheme, colon, rest = uri.partition(":")
    if not colon or "/" in scheme:
        return "file", os.path.realpath(uri)
    scheme = scheme.lower()
    if scheme == "file":
        split = urlsplit(uri)
        if split.netloc in ("", "localhost"):
            return "file", os.path.realpath(unquote(split.path))
        return "file of another machine", uri
    if scheme.partition("+")[0] == "sqlite" and rest.startswith("///"):
        return "sqlite", os.path.realpath(rest[3:])
    return scheme, rest.rstrip("/")


def depends_on_directory(uri: str) -> bool:
    """Whether a URI means another store where the current directory is another one."""
    kind, _ = canonical(uri)
    if kind == "file":
        return not urlsplit(uri).path.startswith("/")
    return kind == "sqlite" and not uri.partition(":")[2].startswith("////")


def is_of_mlflow(endpoint: str) -> bool:
    """Whether it is a server's tracking, registry, artifacts or traces; a served model, say, isn't."""
    return _ENDPOINT.search(endpoint) is not None


def masked(uri: str) -> str:
    """The URI with stars for passwords and for what looks like one among its options."""
    match = re.match(r"([\w.+-]+://)([^/?#]*)(.*)", uri, re.DOTALL)
    if match:
        scheme, authority, rest = match.groups()
        if (
            "@" in rest
            and ":" in authority
            and "@" not in authority
            and not authority.rpartition(":")[2].isdigit()
        ):
            # A password with a slash in it, which isn't allowed and happens.
            before, _, rest = rest.rpartition("@")
            end = re.search(r"[/?#]|$", rest)
            assert end is not None
            authority, rest = f"{authority}{before}@{rest[: end.start()]}", rest[end.start() :]
        login, at, host = authority.rpartition("@")
        user, colon, _ = login.partition(":")
        uri = f"{scheme}{user}{':***' if colon else ''}{at}{host}{rest}"
    return _SECRET.sub(r"\1***", uri)
