"""Two hundred launches in one session leave nothing behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support import ROOT

pytestmark = pytest.mark.e2e


@pytest.mark.heavy
@pytest.mark.launch
@pytest.mark.skipif(sys.platform != "linux", reason="counts processes and descriptors in /proc")
def test_nothing_piles_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from soak import soak

    made = soak(tmp_path, 100)
    assert not made.failed, "\n".join(made.failed)
    assert len(made.launches) == 200
    assert made.after == made.before
