"""What is another one in each launch by its kind, so that no launch is needed to know it.

Some kinds are told by the name that a library gives them, such as its clocks, and some by the form of the
text, such as addresses. A name stands here where a library logs it by itself, each with its source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone


@dataclass(frozen=True)
class _Names:
    """Names that a library logs by itself.

    Attributes:
        pattern: matches the whole name.
        source: the library, the version that was read, and the file.
    """

    pattern: str
    source: str


_UNSTEADY_METRICS = (_Names(r"system/.*", "MLflow 3.17.2, 2.22.5: system_metrics/system_metrics_monitor.py"),)
"""Metrics of which names, points and values are others each time: they are sampled by a thread."""

_CLOCKS = (
    _Names(r"(mean|std)_(fit|score)_time", "scikit-learn's cv_results_, by MLflow 3.17.2: sklearn/utils.py"),
    _Names(r"(.*/)?latency(/.*)?", "MLflow 3.17.2, 2.22.5: metrics/__init__.py, models/evaluation/"),
    _Names(r".+_runtime", "transformers 5.24.0: trainer_utils.py, speed_metrics"),
    _Names(r".+_(samples|steps|tokens|train_samples)_per_second", "transformers 5.24.0: the same"),
    _Names(r".+_jit_compilation_time", "transformers 4.46: trainer.py"),
    _Names(r"(.+_)?(before_init_mem_[cg]pu|mem_[cg]pu_\w+_delta)", "transformers 5.24.0: trainer_utils.py"),
    _Names(
        r"(.*[/|_.])?(batches|samples|items|flops)_per_sec|(.*[/|_.])device[/|_.]mfu",
        "lightning 2.6.6: fabric/utilities/throughput.py; Composer 0.30: callbacks/speed_monitor.py",
    ),
    _Names(
        r"(train|validate|test|predict|sanity_check)[/|]time",
        "lightning 2.6.6: pytorch/callbacks/throughput_monitor.py",
    ),
    _Names(r"DeviceStatsMonitor\..*", "lightning 2.6.6: pytorch/callbacks/device_stats_monitor.py"),
    _Names(r"wall_clock/.*", "Composer 0.30: callbacks/speed_monitor.py"),
    _Names(
        r"time_this_iter_s|time_total_s|time_since_restore|timestamp|pid",
        "Ray 2.9: tune/result.py, by air/integrations/mlflow.py",
    ),
    _Names(r"time/(fps|time_elapsed)", "Stable-Baselines3 2.3: common/on_policy_algorithm.py"),
    _Names(r"TT", "PyCaret 3.0: loggers/mlflow_logger.py; the seconds that a model took to fit"),
)
"""Metrics that are there each time, with other values: times, rates, and the use of memory and devices."""

_TAGS = (
    _Names(r"USI|URI|Run ID|Run Time", "PyCaret 3.0: loggers/mlflow_logger.py"),
    _Names(r"datetime_(start|complete)", "Optuna 5.0.0: optuna_integration/mlflow/mlflow.py"),
)
"""Tags that are there each time, with other values."""


def is_unsteady(metric: str) -> bool:
    """Whether a metric's name, points and values are others in each launch."""
    return _any(_UNSTEADY_METRICS, metric)


def is_measured(metric: str) -> bool:
    """Whether a metric is there in each launch, with other values each time."""
    return _any(_CLOCKS, metric)


def is_tag_of_one_run(key: str) -> bool:
    """Whether a tag is there in each launch, with another value each time."""
    return _any(_TAGS, key)


def _any(names: tuple[_Names, ...], name: str) -> bool:
    return any(re.fullmatch(one.pattern, name) for one in names)


@dataclass(frozen=True)
class Span:
    """When a launch ran.

    Attributes:
        started: seconds since the epoch; 0 where that isn't known.
        duration: seconds.
    """

    started: float = 0.0
    duration: float = 0.0

    def includes(self, seconds: float) -> bool:
        """Whether a moment lies in it, with a second on each side for what is rounded."""
        return bool(self.started) and -1 <= seconds - self.started <= self.duration + 1


_ADDRESS = re.compile(r"\bat (0x[0-9a-fA-F]+)")
"""What `object.__repr__` ends in; a value that was cut off may end in the middle of it."""

_UUID = re.compile(r"(?<![0-9a-fA-F])[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?![0-9a-fA-F])")
_UUID4_HEX = re.compile(r"(?<![0-9a-zA-Z])[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}(?![0-9a-zA-Z])")
"""`uuid.uuid4().hex`. A checksum has the version and the variant of one in one of 64 cases."""

_TEMPORARY = re.compile(r"(?<=/)tmp[a-z0-9_]{8}(?![A-Za-z0-9_])")
"""`tempfile._RandomNameSequence` behind the prefix that it has by itself."""

_EVENTS = re.compile(r"(?<=events\.out\.tfevents\.)\d{10}(?:\.[^/]*)?")
"""Time, host, process and number (`EventFileWriter` of TensorBoard 2.20, which PyTorch and Keras use)."""

_TIMING = re.compile(r"(?:(?<=days, )|(?<=day, )|(?<![\d:.])(?<!-\d\d[ T]))\d{1,2}:\d\d:\d\d\.\d{6}(?!\d)")
"""A `timedelta` to the microsecond, which only a clock gives."""

_CLOCK_TIME = r"[T_ /-]{0,2}(?P<H>\d\d)[:_.-]?(?P<M>\d\d)[:_.-]?(?P<S>\d\d)(?P<f>[.,]\d{1,9})?"
_ZONE = r"(?P<zone>Z| ?UTC|[+-]\d\d:?\d\d)?"
_MOMENTS = (
    re.compile(rf"(?<!\d)(?P<Y>20\d\d)[-_/.]?(?P<m>\d\d)[-_/.]?(?P<d>\d\d){_CLOCK_TIME}{_ZONE}(?!\d)"),
    # TensorBoard's `Nov30_18-16-24`, in which transformers names its `logging_dir`.
    re.compile(rf"(?<![A-Za-z])(?P<b>[A-Z][a-z]{{2}})(?P<d>\d\d){_CLOCK_TIME}(?P<zone>)(?!\d)"),
    # `time.ctime()`.
    re.compile(
        r"\b[A-Z][a-z]{2} (?P<b>[A-Z][a-z]{2}) {1,2}(?P<d>\d{1,2}) "
        r"(?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)(?P<f>) (?P<Y>20\d\d)(?P<zone>)\b"
    ),
)
_SECONDS = re.compile(r"(?<![\w.-])\d{10}(?:\.\d{1,9}|\d{3}|\d{6}|\d{9})?(?![\w.])")
"""Seconds since the epoch, with a fraction, or in thousandths, millionths and billionths."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HINT = re.compile(r"0x|/tmp|tfevents|\d:\d\d|\d{6}|\d-\d|\d_\d|[0-9a-f]{8}")
"""Without one of these a text holds nothing of the kind."""


def words_of_one_launch(text: str, span: Span) -> Iterator[str]:
    """The parts of a text that are others in each launch: addresses, ids, temporary names, and moments.

    Args:
        text: a param, a tag, or the path of an artifact.
        span: when the launch ran: a moment outside it is data.
    """
    if not _HINT.search(text):
        return
    yield from _ADDRESS.findall(text)
    for form in (_EVENTS, _UUID, _UUID4_HEX, _TEMPORARY, _TIMING):
        yield from form.findall(text)
    for moment in _MOMENTS:
        yield from (found[0] for found in moment.finditer(text) if _is_now(found, span))
    for number in _SECONDS.findall(text):
        seconds = float(number) if "." in number else int(number) / 10 ** (len(number) - 10)
        if span.includes(seconds):
            yield number


def without_words_of_one_launch(text: str, span: Span) -> str:
    """A text with `…` for each of those parts, so that two launches have the same one."""
    for word in words_of_one_launch(text, span):
        text = text.replace(word, "…")
    return text


def _is_now(found: re.Match[str], span: Span) -> bool:
    parts = found.groupdict()
    year = parts.get("Y") or str(datetime.fromtimestamp(span.started, timezone.utc).year)
    name = parts.get("b")
    month = parts.get("m") or (_MONTHS.index(name) + 1 if name in _MONTHS else 0)
    try:
        day, hour, minute, second = (int(parts[part]) for part in ("d", "H", "M", "S"))
        here = datetime(int(year), int(month), day, hour, minute, second)
        there = here.replace(tzinfo=_zone(parts["zone"] or "Z"))
        # A moment without a zone is that of the clock on the wall, or of one in UTC.
        moments = [there] if parts["zone"] else [there, here.astimezone()]
        return any(span.includes(moment.timestamp()) for moment in moments)
    except (ValueError, OverflowError, OSError):
        return False


def _zone(text: str) -> timezone:
    if text.strip() in ("Z", "UTC"):
        return timezone.utc
    hours, minutes = int(text[1:3]), int(text[-2:])
    away = timedelta(hours=hours, minutes=minutes)
    return timezone(-away if text[0] == "-" else away)
