"""What launches are doing while pytest waits for them: a line each, below that of progress, and gone then."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pytest_mlflow_check.plugin.collection import CheckItem
from pytest_mlflow_check.plugin.xdist import is_worker
from pytest_mlflow_check.reporting.text import padded, shortened, width

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mlflow_check.core.records import Mode
    from pytest_mlflow_check.engine.progress import LaunchProgress

_TICK = 0.25
"""Seconds between two drawings."""

_MOST = 8
"""Lines; more launches at a time are counted."""

_LONGEST_NAME = 24
_PLUGIN = "mlflow-check-progress"
_NOT_CI = ("", "0", "false")

_QUIET = -2
"""The verbosity of `-qq`."""


class Block:
    """Lines below the cursor of a terminal, which stays where it is: whoever writes on needn't know of them.

    The sequences are those of a VT100, which every terminal but the dumb has. No mode is changed that would
    have to be changed back.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        """Takes what writes to the terminal, at once and unbuffered."""
        self._write = write
        self._drawn = 0

    def draw(self, lines: Sequence[str]) -> None:
        """Puts the lines in place of those that are there."""
        if not lines:
            self.erase()
            return
        # Index: the line below, in the same column; what is at the bottom scrolls.
        room = "\x1bD" * len(lines) + f"\x1b[{len(lines)}A"
        shown = "".join(f"\r\n\x1b[2K{line}" for line in lines)
        self._write(f"{room}\x1b7{shown}\x1b[J\x1b8")
        self._drawn = len(lines)

    def erase(self) -> None:
        """Takes them away."""
        if self._drawn:
            self._write("\x1b7\r\n\x1b[J\x1b8")
            self._drawn = 0


class ProgressDisplay:
    """Shows the launches that are at work.

    Without pytest-xdist while an item waits for its launches, which is when nothing else is written. In the
    controller of pytest-xdist, where nobody waits, all the time, and what is there is taken away before
    pytest writes: that is in hooks.
    """

    def __init__(self, config: pytest.Config, terminal: int, encoding: str) -> None:
        """Takes a descriptor of the terminal, which pytest doesn't capture, and its encoding."""
        self._config = config
        self._terminal = terminal
        self._encoding = encoding
        self._block = Block(self._write)
        self._wanted: dict[str, tuple[Callable[[], Mapping[Mode, Path]], Callable[[str], str]]] = {}
        self._launches: list[LaunchProgress] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._written = False
        self._unwatched: Callable[[], object] = lambda: None

    def follow(
        self, name: str, launch_dirs: Callable[[], Mapping[Mode, Path]], masked: Callable[[str], str]
    ) -> None:
        """Shows the launches of a case from now on; both functions are called by the thread that does it."""
        self._wanted.setdefault(name, (launch_dirs, masked))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Shows them while an item waits for its launches."""
        if not isinstance(item, CheckItem):
            return (yield)
        self._start()
        try:
            return (yield)
        finally:
            self._end()

    @pytest.hookimpl
    def pytest_runtest_logstart(self) -> None:
        """Shows them while workers of pytest-xdist are at work; by now all is said of how they began."""
        if self._thread is None and self._config.pluginmanager.hasplugin("dsession"):
            self._unwatched = self._config.pluginmanager.add_hookcall_monitoring(
                self._about_to_write, lambda *_: None
            )
            self._start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Ends it, whatever ended the session."""
        self._end()

    @pytest.hookimpl
    def pytest_unconfigure(self) -> None:
        """Lets go of the terminal."""
        self._end()
        os.close(self._terminal)

    def _start(self) -> None:
        self._stop.clear()
        self._thread = threading.Thread(target=self._show, name="mlflow-check-progress", daemon=True)
        self._thread.start()

    def _end(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._unwatched()
        self._unwatched = lambda: None
        with self._lock:
            self._block.erase()

    def _about_to_write(self, *_: object) -> None:
        with self._lock:
            self._written = True
            self._block.erase()

    def _show(self) -> None:
        while not self._stop.wait(_TICK):
            now = time.monotonic()
            if not self._poll(now):
                break
            with self._lock:
                # Where much is written, there is no time to read lines between.
                if not self._written:
                    columns, rows = self._size()
                    self._block.draw(lines(self._launches, now, columns - 1, rows - 2))
                self._written = False
        with self._lock:
            self._block.erase()

    def _poll(self, now: float) -> bool:
        """Brings all followers up to date; False where there is nothing to wait for any more."""
        from pytest_mlflow_check.engine.progress import LaunchProgress

        if not self._launches:
            self._launches = [
                LaunchProgress(name, mode, launch_dir, masked=masked)
                for name, (launch_dirs, masked) in self._wanted.items()
                for mode, launch_dir in launch_dirs().items()
            ]
        for one in self._launches:
            # A launch may do what it likes with its directory.
            with suppress(OSError):
                one.poll(now)
        return any(one.phase != "over" for one in self._launches)

    def _size(self) -> os.terminal_size:
        """That of the terminal itself: what pytest captures has none."""
        try:
            return os.get_terminal_size(self._terminal)
        except OSError:
            return os.terminal_size((80, 24))

    def _write(self, text: str) -> None:
        with suppress(OSError):
            os.write(self._terminal, text.encode(self._encoding, "replace"))


def lines(followers: Iterable[LaunchProgress], now: float, columns: int, most: int) -> list[str]:
    """What to show of launches: a line for each that is at work, and how many wait.

    Args:
        followers: as they were at the last look.
        now: by the clock of that look.
        columns: those that a line may take.
        most: lines that there is room for.
    """
    followers = list(followers)
    at_work = [one for one in followers if one.phase not in ("waiting", "over")]
    waiting = sum(one.phase == "waiting" for one in followers)
    shown = at_work[: max(1, min(most - 1, _MOST))]
    rows = [
        [
            shortened(one.name, _LONGEST_NAME),
            one.mode.replace("-", " "),
            f"{now - one.since:.0f} s".rjust(5),
            _counted(one.points, "point", "points"),
        ]
        for one in shown
    ]
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    found = ["  ".join(map(padded, row, widths)) for row in rows]
    for number, one in enumerate(shown):
        what = one.last if one.phase == "running" else one.phase
        found[number] += f"  {shortened(what, max(columns - width(found[number]) - 2, 1))}"
    left = [f"{len(at_work) - len(shown)} more at work"] if len(shown) < len(at_work) else []
    left += [f"{_counted(waiting, 'launch', 'launches')} waiting"] if waiting else []
    found += [", ".join(left)] if left else []
    return [shortened(line.rstrip(), columns) for line in found]


class LaunchLines:
    """Says how each launch went, in a line that stays: with `-v`, and in CI, where nobody sees lines go."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        """Takes what writes."""
        self._reporter = reporter
        self._reported: set[tuple[str, str]] = set()
        self._waiting: list[str] = []

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes them from the first check of a case, which waited for them."""
        line = getattr(report, "mlflow_check", None)
        if line is None or (line["name"], line["case"]) in self._reported or not line["launches"]:
            return
        self._reported.add((line["name"], line["case"]))
        cached = "" if line["cached"] is None else ", cached"
        for launch in line["launches"]:
            mode = launch["mode"].replace("-", " ")
            code = launch["exit_code"]
            ended = "timeout" if code is None else f"exit code {code}"
            runs = _counted(launch["runs"], "run", "runs")
            points = _counted(launch["points"], "point", "points")
            self._waiting.append(
                f"mlflow-check: {line['name']}::{line['case']}: {mode}: {launch['seconds']:.1f} s, "
                f"{ended}, {runs}, {points}{cached}"
            )

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self) -> None:
        """Writes them, when pytest has written all of that check."""
        if not self._waiting:
            return
        reporter = self._reporter
        # The next result gets its path again, on a line that it begins itself.
        reporter.ensure_newline()
        text, self._waiting = "\n".join(self._waiting), []
        if reporter.config.pluginmanager.hasplugin("dsession") and reporter.verbosity <= 0:
            # Dots of workers have no path: they go on where the cursor is.
            started = reporter.config.get_terminal_writer().width_of_current_line
            text = f"\n{text}\n" if started else f"{text}\n"
        reporter.write(text, flush=True)


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def progress_display(config: pytest.Config) -> ProgressDisplay | None:
    """Report launch progress in a form that suits the terminal, once pytest is configured.

    Returns:
        What shows launches while they run, where there is a terminal that can do it.
    """
    plugins = config.pluginmanager
    reporter: pytest.TerminalReporter | None = plugins.getplugin("terminalreporter")
    if reporter is None or is_worker(config):
        return None
    verbosity = config.option.verbose
    # Only what pytest writes with can tell where that goes.
    file = config.get_terminal_writer()._file
    on_terminal = file.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    display = None
    if on_terminal and verbosity > _QUIET:
        # While tests run, pytest leads the usual descriptors elsewhere.
        display = ProgressDisplay(config, os.dup(file.fileno()), file.encoding or "ascii")
        plugins.register(display, _PLUGIN)
    if verbosity > 0 or (not on_terminal and verbosity == 0 and os.environ.get("CI", "") not in _NOT_CI):
        plugins.register(LaunchLines(reporter), f"{_PLUGIN}-lines")
    return display
