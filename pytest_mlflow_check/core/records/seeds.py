"""Random numbers without a seed, as far as a project's files tell."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MissingSeed:
    """A library with random numbers that the project imports and never seeds.

    Attributes:
        library: such as `torch`.
        place: the file and line that imports it, relative to the project.
        call: the call that no file makes, such as `torch.manual_seed`.
        line: the line to write.
    """

    library: str
    place: str
    call: str
    line: str
