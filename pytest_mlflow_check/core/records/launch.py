"""What a launch did: how it ended, what it called, what it changed, and what it logged."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from heapq import merge
from operator import itemgetter
from pathlib import Path
from typing import Literal

from pytest_mlflow_check.core.known_variation import Span, without_words_of_one_launch, words_of_one_launch
from pytest_mlflow_check.core.records.store import ModelValidation, RunRecord, StoreRecord

Mode = Literal["fluent", "mlflow-run"]
Caller = Literal["code", "autologging", "mlflow-run", "exit", "mlflow"]


@dataclass(frozen=True)
class Observation:
    """One logging call as it happened, seen from inside the user's process.

    Attributes:
        what: the kind of call: `log_param`, `log_metric`, `set_tag`, `log_artifact`, `log_artifacts`,
            `log_input`, `log_model`, `register_model`, `create_run`, `start_run`, `enter_run` (a `with`),
            `end_run`, `set_experiment`, `autolog`, `run_project`, `command_ended` (that of an entry point),
            `raised`: a call that raised an exception, `redirect`: an attempt to lead MLflow to another store
            than the launch's own, or `refused`: a request of MLflow's to another server that couldn't be led
            back.
        key: what it was about: the key, artifact path, name of a model, run or experiment, the function that
            raised, or the URI, with passwords masked.
        value: the value as text (both ends of a long one), the local path of an artifact, the flavor of a
            model, the name that the code asked for when it made a run (None where it was left out), the
            final status of a run, the environment manager of an inner project (None where it was left
            out), the exit code of a command (below 0 for a signal), what was raised, or how a redirect was
            tried, such as `mlflow.set_tracking_uri`.
        length: characters of the whole value.
        run_id: the run, where the call names or makes one.
        step: as given; None where it was left out.
        by: `code`; `autologging`; `mlflow-run` for what `mlflow run` logs by itself; `exit` for what
            MLflow does when the interpreter ends; `mlflow` for other calls without a line of the user's.
        source_line: the nearest line outside MLflow and packages, such as `train.py:12`, relative to
            the project; None where there is none.
        process: process id.
        time: seconds since the epoch.
        via: the function of a library that the user's line called and that led to this call, such as
            `transformers.trainer.evaluate`; empty where the line made the call by itself.
        options: of `start_run` and `create_run`, which of `run_id`, `nested` and `parent_run_id` were given;
            and `implicit` for a run that MLflow started by itself, since something was logged without one.
    """

    what: str
    key: str = ""
    value: str | None = None
    length: int = 0
    run_id: str | None = None
    step: int | None = None
    by: Caller = "code"
    source_line: str | None = None
    process: int = 0
    time: float = 0.0
    via: str = ""
    options: tuple[str, ...] = ()

    @property
    def library(self) -> str:
        """The package of `via`, such as `transformers`."""
        return self.via.partition(".")[0]


@dataclass(frozen=True)
class Frame:
    """A line that a thread was at.

    Attributes:
        file: relative to the project, for one of the project's; the name alone for others.
        line: 1-based.
        function: the function it is in.
        own: whether it is the project's.
    """

    file: str
    line: int
    function: str
    own: bool


@dataclass(frozen=True)
class Stack:
    """Where a thread stood when its process crashed, or shortly before the launch was ended.

    Attributes:
        process: process id.
        reason: such as `Segmentation fault`; empty for one that didn't crash.
        frames: innermost first.
    """

    process: int
    reason: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True)
class PythonProcess:
    """A Python process of a launch that was guarded.

    Attributes:
        command: its command line, with the options of Python itself; of a forked one that of its parent.
        loaded_mlflow: whether it imported MLflow.
        observed: whether it was observed from its start on; False where it had begun to import MLflow.
        number: process id.
        parent: process id of the process that started it; 0 where it made no call that is observed.
        rank: its number in a distributed training; None where it is in none.
        worker_of: the library that started it for a part of another's work: `multiprocessing` (pools and
            executors, too), or the one whose data it loads, such as `torch.utils.data`; else empty.
    """

    command: tuple[str, ...]
    loaded_mlflow: bool = False
    observed: bool = True
    number: int = 0
    parent: int = 0
    rank: int | None = None
    worker_of: str = ""


@dataclass(frozen=True)
class RaisedException:
    """An exception of those that a process ended with.

    Attributes:
        kind: its class, with the module where it isn't a built-in one.
        message: its text, shortened in the middle where it is very long.
        frames: file and line of each level, outermost first.
        is_cause: whether the next exception was raised `from` it; else that one came up while this one was
            handled.
    """

    kind: str
    message: str = ""
    frames: tuple[tuple[str, int], ...] = ()
    is_cause: bool = False


@dataclass(frozen=True)
class ProcessCrash:
    """What a Python process of a launch ended with, as it noted it itself.

    Attributes:
        process, parent: process ids.
        exit_code: 1 for an exception that nobody caught, or what `sys.exit` was given where one was handled.
        command: its `sys.argv`.
        chain: the exceptions, the first one first.
        traceback: what Python prints of them, whatever the program printed.
    """

    process: int
    parent: int
    exit_code: int
    command: tuple[str, ...]
    chain: tuple[RaisedException, ...]
    traceback: str = field(default="", repr=False)


@dataclass(frozen=True)
class SavedFile:
    """A serialised object that a launch wrote into its workspace and logged nowhere.

    Attributes:
        format, holds, of_script: as in `Artifact`.
    """

    format: str
    holds: str | None = None
    of_script: str = ""


@dataclass(frozen=True)
class Launch:
    """One case started in one mode.

    Attributes:
        mode: `fluent` or `mlflow-run`.
        command: the command line as a user would type it.
        exit_code: as the operating system gave it, negative for a signal; None after a timeout.
        duration: seconds.
        started: seconds since the epoch.
        stacks: where the threads of observed processes stood that crashed, or were ended at the timeout.
        directory: the project's copy in which it ran.
        workspace, origin: the whole copy that holds it, and the directory that was copied.
        temporary: its own directory for temporary files; None where it had that of the machine.
        store_uri: the tracking URI of its own store.
        stdout, stderr: the last 64 kB of the output.
        stdout_path, stderr_path: the whole of it, or the first and the last megabyte.
        record: what the store held when the launch had ended.
        validations: by `Model.uri`.
        observations: the logging calls in the order in which they happened; empty where nothing was observed.
        observed: whether calls were written down. Python started with `-S`, or another language, goes
            unobserved all the same.
        processes: the guarded Python processes that the code started, in their order; None where that isn't
            known.
        crashes: what its Python processes ended with that ended with an exception, in that order.
        unobserved_code: files that import MLflow and that no observed process was started with, relative to
            the project; looked for only where no observed process has loaded MLflow.
        changed: files of the project that the launch changed or deleted, relative to the project.
        changed_originals: the user's own files that changed while the launch was led to them by a link
            (`workspace.link`), relative to `origin`.
        notes: what the user should know of the copy, a line each.
        lfs_pointers: of one that failed, the files that Git LFS hasn't fetched, relative to the project.
        stale: by directory logged whole, the files in it that the launch didn't write while it wrote others;
            all relative to the project.
        saved: serialised objects that the launch wrote and logged nowhere, by path relative to the project,
            the newest first.
        logged_to: the tracking URI that its store had while it ran, where the store was moved since: what it
            logged may name it. Else empty.
        cached: of one that is cached from an earlier session, when it was made (seconds since the epoch),
            else None. The copy of such a one is gone.
    """

    mode: Mode
    command: str
    exit_code: int | None
    duration: float
    directory: Path
    store_uri: str
    stdout: str = field(default="", repr=False)
    stderr: str = field(default="", repr=False)
    stdout_path: Path | None = None
    stderr_path: Path | None = None
    workspace: Path | None = None
    origin: Path | None = None
    temporary: Path | None = None
    record: StoreRecord = field(default_factory=StoreRecord, repr=False)
    validations: Mapping[str, ModelValidation] = field(default_factory=dict, repr=False)
    observations: tuple[Observation, ...] = field(default=(), repr=False)
    observed: bool = False
    processes: tuple[PythonProcess, ...] | None = None
    crashes: tuple[ProcessCrash, ...] = ()
    unobserved_code: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    changed_originals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    lfs_pointers: tuple[str, ...] = ()
    stale: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    saved: Mapping[str, SavedFile] = field(default_factory=dict)
    started: float = 0.0
    stacks: tuple[Stack, ...] = ()
    logged_to: str = ""
    cached: float | None = None

    @cached_property
    def _calls_by_run(self) -> Mapping[str | None, Sequence[tuple[int, Observation]]]:
        calls: dict[str | None, list[tuple[int, Observation]]] = defaultdict(list)
        for position, call in enumerate(self.observations):
            calls[call.run_id].append((position, call))
        return calls

    def calls_about(self, run_id: str, *, or_none: bool = False) -> Iterator[Observation]:
        """The observed calls that name a run, in their order; with `or_none` also those that name no run."""
        named, nameless = self._calls_by_run.get(run_id, ()), self._calls_by_run.get(None, ())
        yield from (call for _, call in (merge(named, nameless, key=itemgetter(0)) if or_none else named))

    def as_original(self, text: str) -> str:
        """A text with the places of the copy in it turned into those of the user's own files."""
        if self.temporary:
            text = text.replace(str(self.temporary), "$TMPDIR")
        return text.replace(str(self.workspace), str(self.origin)) if self.workspace else text

    def comparable(self, text: str) -> str:
        """A text as both launches should have it: without what is another one in each by its nature.

        These are the places of the copy and of the store, the ids of runs and models, and what
        `core.known_variation` knows by its form.
        """
        text = self.as_original(text)
        for uri in filter(None, (self.store_uri, self.logged_to)):
            text = text.replace(uri, "STORE").replace(uri.removeprefix("file://"), "STORE")
            if uri.startswith("sqlite:///"):
                # Its artifacts lie beside it.
                text = text.replace(str(Path(uri.removeprefix("sqlite:///")).parent), "STORE")
        # Looked for only where the text holds what may be an id: every param and tag comes by here.
        text = re.sub(
            r"\b[0-9a-f]{32}\b",
            lambda found: "RUN" if any(run.run_id == found[0] for run in self.runs) else found[0],
            text,
        )
        text = re.sub(r"\bm-[0-9a-f]{32}\b", "MODEL", text)
        return without_words_of_one_launch(text, self.span)

    @property
    def span(self) -> Span:
        """When it ran."""
        return Span(self.started, self.duration)

    def passing_words(self, text: str) -> list[str]:
        """What of a text is another one in each launch or after each commit."""
        return [*words_of_one_launch(text, self.span), *self.commit_words(text)]

    def commit_words(self, text: str) -> list[str]:
        """Return what of a text is the commit of the project's repository, whole or shortened.

        Also of `v1.0-3-g1a2b3c4`, as `git describe` says it. The commit is known where MLflow notes it
        (`mlflow.tracking.context.git_context`, 3.17.2 and 2.22.5).
        """
        if not self._commits:
            return []
        words: list[str] = re.findall(r"(?<![0-9a-zA-Z])g?([0-9a-f]{6,64})(?![0-9a-zA-Z])", text)
        return [word for word in words if any(commit.startswith(word) for commit in self._commits)]

    @cached_property
    def _commits(self) -> frozenset[str]:
        return frozenset(filter(None, (run.tags.get("mlflow.source.git.commit") for run in self.runs)))

    @property
    def runs(self) -> tuple[RunRecord, ...]:
        """Every run the launch logged, oldest first."""
        return self.record.runs

    @property
    def points(self) -> int:
        """How many metric points all its runs have."""
        return sum(len(series) for run in self.runs for series in run.metrics.values())

    @property
    def run(self) -> RunRecord:
        """The one top-level run.

        Raises:
            UserError: where there is none, or more than one.
        """
        return self.record.only_run(f"{self.command!r}, which ended with exit code {self.exit_code},")
