"""Chromium without a window: what a page looks like in it, what it asks for, what it says.

It is told what to do in the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/) over
`--remote-debugging-pipe`: messages in JSON, each ended by a null character, on the descriptors 3 and 4.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

GEOMETRY = """
(() => {
  const problems = [], name = (e) => e.tagName + "." + e.className + ": " + e.textContent.trim().slice(0, 40);
  const shown = (e) => e.checkVisibility() && !e.closest(".hidden, .skip");
  if (document.documentElement.scrollWidth > innerWidth)
    problems.push("the page scrolls sideways: " + document.documentElement.scrollWidth + " > " + innerWidth);
  for (const e of document.querySelectorAll("body *")) {
    if (!shown(e) || e.closest("svg")) continue;
    const box = e.getBoundingClientRect(), scrolls = e.closest(".scroll, pre");
    if (!scrolls && box.width && (box.left < -1 || box.right > innerWidth + 1))
      problems.push("cut: " + name(e));
    const style = getComputedStyle(e);
    if (style.overflowX !== "auto" && style.overflowX !== "visible" && e.scrollWidth > e.clientWidth + 1)
      problems.push("hides some of itself: " + name(e));
  }
  // No text lies on another: of each piece of text the lines, against those of all pieces after it.
  const pieces = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.data.trim() || !shown(parent) || parent.closest("style, .scroll, pre")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) if (box.width > 1) pieces.push([node, box]);
  }
  pieces.sort((one, other) => one[1].top - other[1].top);
  pieces.forEach(([node, box], index) => {
    for (const [other, that] of pieces.slice(index + 1)) {
      if (that.top > box.bottom) break;
      const wide = Math.min(box.right, that.right) - Math.max(box.left, that.left);
      const high = Math.min(box.bottom, that.bottom) - Math.max(box.top, that.top);
      if (other !== node && wide > 2 && high > Math.min(box.height, that.height) / 2)
        problems.push("overlap: " + node.data.trim().slice(0, 30) + " | " + other.data.trim().slice(0, 30));
    }
  });
  return problems.slice(0, 20);
})()
"""
"""What is cut, hidden or overlapping on a page, in words."""

CONTRAST = """
(() => {
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = numbers(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = new Map();
  for (const e of document.querySelectorAll("body *")) {
    if (!e.checkVisibility() || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    const text = e.closest("svg") ? getComputedStyle(e).fill : getComputedStyle(e).color;
    const [one, other] = [light(numbers(text)), light(behind(e))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < 4.5) found.set(e.tagName + "." + e.getAttribute("class"), contrast);
  }
  return [...found];
})()
"""
"""Texts whose contrast with what is behind them is below 4.5 (WCAG 2.2, 1.4.3)."""


class Browser:
    """A browser with one page open.

    Attributes:
        events: what it has told so far, apart from answers.
    """

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._rest, self._number, self._session = b"", 0, None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Calls a method of the protocol, and gives its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            block = os.read(self._from, 1 << 16)
            assert block, "the browser has ended"
            self._rest += block
        message, _, self._rest = self._rest.partition(b"\0")
        parsed: dict[str, Any] = json.loads(message)
        return parsed

    def open(self, page: Path, *, width: int, dark: bool) -> None:
        """Opens a page, as wide as that, in light or dark, and waits until it is there."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._message())

    def evaluate(self, expression: str) -> Any:
        """What an expression comes to, in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def told(self) -> list[str]:
        """What the page wrote to the console, and what the browser has against it."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(event) for event in self.events if event["method"] in kinds]

    def requests(self) -> list[str]:
        """What was asked for."""
        sent = [event for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def screenshot(self, file: Path) -> None:
        """The whole page as a picture."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        file.write_bytes(base64.b64decode(data))


_BECOME = """
import os, sys
for place, end in enumerate(sys.argv[1:3], 3):
    os.dup2(int(end), place)
os.execvp(sys.argv[3], sys.argv[3:])
"""


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser, with a new profile in that directory."""
    assert CHROMIUM
    (theirs, to_browser), (from_browser, also_theirs) = os.pipe(), os.pipe()
    command = [
        *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--hide-scrollbars", "--no-first-run", "--remote-debugging-pipe", f"--user-data-dir={profile}"),
    ]
    # Well above 3 and 4, which are what the browser must find them at.
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs, also_theirs)]
    process = subprocess.Popen(
        [sys.executable, "-c", _BECOME, *map(str, ends), *command],
        pass_fds=ends,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in (theirs, also_theirs, *ends):
        os.close(end)
    try:
        yield Browser(to_browser, from_browser)
    finally:
        os.close(to_browser)
        os.close(from_browser)
        process.terminate()
        process.wait()
