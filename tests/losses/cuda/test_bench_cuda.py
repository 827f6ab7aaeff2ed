"""The benchmark of the CUDA implementations keeps what it has measured, and queues calls without waiting for each."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "bench_cuda.py"


@pytest.fixture
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_cuda", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_run_that_is_stopped_keeps_its_records(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(problem: Any, name: str, seconds: float) -> Any:
        if name == "cupy":
            raise bench.Unavailable("no CuPy")
        yield {"implementation": name, "loss": "svm"}
        if name == "jax-cuda":
            raise KeyboardInterrupt
        yield {"implementation": name, "loss": "softmax"}

    monkeypatch.setattr(bench, "is_simulator", lambda: True)
    monkeypatch.setattr(bench, "memory_rates", lambda size: {"read": 1e12})
    monkeypatch.setattr(bench, "why_too_large", lambda *_: "")
    monkeypatch.setattr(bench, "release", lambda: None)
    monkeypatch.setattr(bench, "measure", measure)
    path = tmp_path / "records.json"
    options = ["--rows", "8", "--features", "9", "--impl", "cupy,numba-cuda,jax-cuda,torch-cuda"]
    with pytest.raises(KeyboardInterrupt):
        bench.main([str(path), *options])
    content = json.loads(path.read_bytes())
    measured = [(record["implementation"], record["loss"]) for record in content["records"]]
    assert measured == [("numba-cuda", "svm"), ("numba-cuda", "softmax"), ("jax-cuda", "svm")]
    assert content["not_measured"] == ["cupy: no CuPy"]


def test_device_seconds_are_those_of_calls_that_do_not_wait(bench: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "state", lambda: {"sm_clock_mhz": 1980.0})
    events: list[str] = []
    device, queueing, states = bench.on_device(
        lambda: events.append("queue"), lambda _: events.append("wait"), 0.0, 0.01, events=False
    )
    # each of the five samples: one call that is waited for, then five queued ones and one wait
    assert events == (["queue", "wait"] + ["queue"] * 5 + ["wait"]) * 5
    assert len(device) == len(queueing) == 5
    assert all(0 < host <= sample for host, sample in zip(queueing, device, strict=True))
    assert states == [{"sm_clock_mhz": 1980.0}] * 5
