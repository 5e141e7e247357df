"""Which artifact of one launch is the same as which of the other, where its name is another one each time."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pytest_mlflow_check.core.records import Artifact, Mode
from pytest_mlflow_check.core.text import enumerated

_IMAGE = re.compile(
    r"images/(?P<key>.+)(?P<mark>[+%])step(?P=mark)(?P<step>\d+)(?P=mark)timestamp(?P=mark)(?P<time>\d+)"
    r"(?P=mark)[0-9a-f-]{36}(?P<small>(?P=mark)compressed)?\.(?:png|webp)"
)
"""What `MlflowClient.log_image(key=…)` calls its files (MLflow 3.17.2, and 2.22.5 with `%`)."""


@dataclass(frozen=True)
class LoggedImage:
    """An image that was logged by key and step.

    Attributes:
        key, step: as given.
        time: its timestamp: several of one key and step are told apart by their order.
        small: whether it is the smaller copy that MLflow makes of each.
    """

    key: str
    step: int
    time: int
    small: bool = False


@dataclass(frozen=True)
class ArtifactPair:
    """An artifact of both launches, or of one.

    Attributes:
        fluent, mlflow_run: the two sides; None where it isn't there.
    """

    fluent: Artifact | None
    mlflow_run: Artifact | None

    @property
    def name(self) -> str:
        """Its path, the fluent one where they differ."""
        return next(side.path for side in (self.fluent, self.mlflow_run) if side is not None)

    @property
    def only(self) -> Artifact | None:
        """The one that is there, where the other isn't."""
        if self.fluent is not None and self.mlflow_run is not None:
            return None
        return self.fluent or self.mlflow_run


def image_of(path: str) -> LoggedImage | None:
    """The image that a path names; None for any other artifact."""
    found = _IMAGE.fullmatch(path)
    if found is None:
        return None
    # MLflow writes the slashes of a key as `~`, and did so as `#`.
    key = re.sub("[~#]", "/", found["key"])
    return LoggedImage(key, int(found["step"]), int(found["time"]), found["small"] is not None)


def pair_artifacts(
    fluent: Iterable[Artifact], mlflow_run: Iterable[Artifact], stable: Callable[[Mode, str], str]
) -> Iterator[ArtifactPair]:
    """The artifacts of a run side by side, sorted by path.

    Args:
        fluent, mlflow_run: those of each launch.
        stable: gives the path of a launch's artifact without what is another one in each launch.
    """
    ours, theirs = ({one.path: one for one in side} for side in (fluent, mlflow_run))
    same = ours.keys() & theirs.keys()
    pairs = [ArtifactPair(ours[path], theirs[path]) for path in same]
    left = _by_stable_name(ours, same, lambda path: stable("fluent", path))
    right = _by_stable_name(theirs, same, lambda path: stable("mlflow-run", path))
    for name in left.keys() | right.keys():
        one, other = left.get(name, []), right.get(name, [])
        for number in range(max(len(one), len(other))):
            pairs.append(
                ArtifactPair(
                    one[number] if number < len(one) else None, other[number] if number < len(other) else None
                )
            )
    yield from sorted(pairs, key=lambda pair: pair.name)


def _by_stable_name(
    artifacts: Mapping[str, Artifact], same: Iterable[str], stable: Callable[[str], str]
) -> Mapping[object, list[Artifact]]:
    """The artifacts that no other has the path of, by what they are called each time."""
    found: dict[object, list[Artifact]] = defaultdict(list)
    for path in sorted(artifacts.keys() - set(same), key=_logged_order):
        image = image_of(path)
        name = stable(path) if image is None else (image.key, image.step, image.small)
        found[name].append(artifacts[path])
    return found


def _logged_order(path: str) -> tuple[int, str]:
    image = image_of(path)
    return (0 if image is None else image.time, path)


def steps_in_words(images: Iterable[LoggedImage]) -> str:
    """`step 2`, `steps 0, 1 and 4`, or `12 steps from 0 to 11`."""
    steps = sorted({image.step for image in images})
    if len(steps) <= 4:
        return f"{'step' if len(steps) == 1 else 'steps'} {enumerated([str(step) for step in steps])}"
    return f"{len(steps)} steps from {steps[0]} to {steps[-1]}"
