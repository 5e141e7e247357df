"""What mkdocs calls: the built pages ask nothing of the network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

_ASKED = re.compile(
    r"<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>"
    r"|@import[^;]*//[^;]*|url\([\"']?(?:https?:)?//[^)]*\)"
)
"""What a browser fetches by itself. Links that people click on are others."""


def on_post_build(config: Any) -> None:
    """Ends the build where a page or style sheet names another host for something that a browser fetches."""
    asked = [
        f"{file}: {found[0][:120]}"
        for file in sorted(Path(config["site_dir"]).rglob("*"))
        if file.suffix in (".html", ".css")
        for found in _ASKED.finditer(file.read_text(encoding="utf-8"))
    ]
    if asked:
        raise PluginError("the pages would ask other hosts:\n" + "\n".join(asked))
