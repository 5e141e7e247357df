"""What is known to be another one in each launch, and what only looks like it."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from pytest_mlflow_check.core.known_variation import (
    Span,
    is_measured,
    is_tag_of_one_run,
    is_unsteady,
    without_words_of_one_launch,
)

MOMENT = datetime(2026, 11, 30, 18, 16, 24, 971022, tzinfo=timezone.utc)
SPAN = Span(MOMENT.timestamp() - 3, 8)
HERE = MOMENT.astimezone()


@pytest.mark.parametrize(
    "name",
    [
        "train_runtime",
        "eval_steps_per_second",
        "test_samples_per_second",
        "train_mem_cpu_peaked_delta",
        "before_init_mem_cpu",
        "mean_fit_time",
        "latency/mean",
        "train/device/batches_per_sec",
        "train/time",
        "DeviceStatsMonitor.on_train_batch_end/cpu_percent",
        "time_this_iter_s",
        "throughput/samples_per_sec",
        "wall_clock/train",
        "time/fps",
    ],
)
def test_clocks_of_libraries(name: str) -> None:
    assert is_measured(name)
    assert not is_unsteady(name)


@pytest.mark.parametrize("name", ["loss", "total_flos", "epoch", "time", "TTT", "runtime", "mean_test_score"])
def test_what_is_no_clock(name: str) -> None:
    assert not is_measured(name)
    assert not is_unsteady(name)


def test_system_metrics_arent_even_there_each_time() -> None:
    assert is_unsteady("system/cpu_utilization_percentage")
    assert not is_unsteady("my/system/load")


def test_tags_of_one_run() -> None:
    assert is_tag_of_one_run("datetime_start")
    assert not is_tag_of_one_run("state")


@pytest.mark.parametrize(
    ("text", "stable"),
    [
        ("<function log_abs at 0x7f3a5c1d2e50>", "<function log_abs at …>"),
        ("[F(func=<function f at 0x7f3a5c1d2e50>), <g at 0x7f3a5", "[F(func=<function f at …>), <g at …"),
        ("3fa85f64-5717-4562-b3fc-2c963f66afa6", "…"),
        ("run-3fa85f6457174562b3fc2c963f66afa6", "run-…"),
        ("/tmp/tmpab12cd_9/model", "/tmp/…/model"),
        ("outputs/tmpab12cd34", "outputs/…"),
        ("tensorboard/events.out.tfevents.1701368184.host.1234.0.v2", "tensorboard/events.out.tfevents.…"),
        ("0:00:01.234567", "…"),
        ("1 day, 10:00:01.234567", "1 day, …"),
        (str(MOMENT.replace(tzinfo=None)), "…"),
        (str(HERE.replace(tzinfo=None)), "…"),
        (MOMENT.isoformat(), "…"),
        (HERE.isoformat(timespec="seconds"), "…"),
        (HERE.strftime("outputs/%Y-%m-%d/%H-%M-%S/.hydra"), "outputs/…/.hydra"),
        (HERE.strftime("runs/%Y%m%d_%H%M%S"), "runs/…"),
        (HERE.strftime("out/runs/%b%d_%H-%M-%S_host"), "out/runs/…_host"),
        (HERE.strftime("%a %b %e %H:%M:%S %Y"), "…"),
        (str(MOMENT.timestamp()), "…"),
        (str(int(MOMENT.timestamp())), "…"),
        (f"a+{int(MOMENT.timestamp() * 1000)}+b", "a+…+b"),
    ],
)
def test_texts(text: str, stable: str) -> None:
    assert without_words_of_one_launch(text, SPAN) == stable


@pytest.mark.parametrize(
    "text",
    [
        "0.001",
        "2024-01-01",
        "2024-01-01 00:00:00",
        "2024-01-01 00:00:00.123456",
        "train until 2026-11-30 18:16:54",
        "1701368184",
        "2026113018",
        "e3b0c44298fc1c149afbf4c8996fb924",
        "tmp_features",
        "outputs/tmp_ab12",
        "0x1f",
        "10:30:00",
        "Mon",
        "Foo30_18-16-24",
        "20269930_181624",
        "/tmp/tmpdir",
    ],
)
def test_texts_that_stay(text: str) -> None:
    assert without_words_of_one_launch(text, SPAN) == text


def test_no_moment_counts_where_it_isnt_known_when_the_launch_ran() -> None:
    text = str(MOMENT.replace(tzinfo=None))
    assert without_words_of_one_launch(text, Span()) == text
