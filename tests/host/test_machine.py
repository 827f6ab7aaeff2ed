"""Tests of lcbench.host.machine."""

from __future__ import annotations

import copy
import json
import os
import platform
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path

import numpy as np
import pytest

from lcbench.host import counters, machine
from lcbench.workers import process


@pytest.fixture(scope="module")
def facts():
    return machine.facts()


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_facts_are_json(facts):
    assert json.loads(json.dumps(facts)) == facts


def test_facts_say_what_the_interpreter_knows(facts):
    assert facts["system"] == platform.system()
    assert facts["versions"]["numpy"] == __import__("numpy").__version__
    assert facts["memory_bytes"] > 2**28
    assert 1 <= facts["cpu"]["usable_cores"] <= facts["cpu"]["logical_cores"]
    assert facts["blas"]


def test_facts_do_not_name_the_machine_or_its_user(facts):
    def texts(value):
        if isinstance(value, dict):
            value = list(value.values())
        return [text for one in value for text in texts(one)] if isinstance(value, list) else [str(value)]

    assert platform.node() not in texts(facts)
    assert not any(str(Path.home()) in text for text in texts(facts))


def test_either_a_gpu_or_the_reason(facts):
    assert (facts["gpu"]["name"] is None) == (facts["gpu"]["why_none"] is not None)


def test_a_set_variable_is_recorded(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    environment = machine.facts()["environment"]
    assert environment["OMP_NUM_THREADS"] == "3"
    assert environment["OPENBLAS_CORETYPE"] == "Haswell"


def test_variables_that_can_change_the_code_are_recorded():
    changing = {
        "NUMBA_OPT": "0",
        "NUMBA_BOUNDSCHECK": "1",
        "NUMBA_CPU_FEATURES": "-avx512f",
        "NPY_DISABLE_CPU_FEATURES": "AVX512F",
        "OMP_PROC_BIND": "true",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
        "TORCHINDUCTOR_FREEZING": "1",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2_Usable",
        "NPROC": "2",
    }
    others = {"NUMBA_CACHE_DIR": "/x", "CUDA_HOME": "/x", "TORCH_LOGS": "all", "CUDA_VERSION": "13", "HOME": "/x"}
    others |= dict.fromkeys(machine.SET_BY_LIBRARIES, "1")
    assert machine.environment(changing | others) == changing
    preloaded = machine.environment({"LD_PRELOAD": "/home/me/libtcmalloc.so:/usr/lib/libjemalloc.so.2"})
    assert preloaded == {"LD_PRELOAD": "libtcmalloc.so libjemalloc.so.2"}


BOUND = """
import lcbench
from importlib import import_module
import_module("numba.np.ufunc.omppool")
from lcbench.host import counters, machine
print(counters.usable_cores(), machine.cpu_facts()["usable_cores"])
"""


@pytest.mark.skipif(counters.usable_cores() == 1, reason="needs two cores")
@pytest.mark.skipif(find_library("gomp") is None, reason="needs OpenMP's library libgomp")
def test_a_binding_by_openmp_does_not_hide_cores():
    done = subprocess.run(
        [sys.executable, "-c", BOUND], env=os.environ | {"OMP_PROC_BIND": "true"}, capture_output=True, text=True
    )
    assert done.stdout.split() == [str(counters.usable_cores())] * 2, done.stderr


def test_cores_that_the_caller_gave_up_do_not_count(monkeypatch):
    now = {0, 1, 2}
    monkeypatch.setattr(process, "AFFINITY", frozenset({0, 1, 2, 3}))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: now, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cores: now.update(cores), raising=False)
    for name in process.BINDING_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert process.affinity() == {0, 1, 2}
    monkeypatch.setenv("OMP_PLACES", "cores")
    assert process.affinity() == now == {0, 1, 2, 3}


def change(facts, path, value):
    changed = copy.deepcopy(facts)
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["system"], "Plan 9"),
        (["cpu", "model"], "another"),
        (["cpu", "revision"], "another"),
        (["cpu", "usable_cores"], 1000),
        (["cpu", "cgroup_cores"], 0.5),
        (["cpu", "caches", "l3"], 12345),
        (["cpu", "simd"], ["another"]),
        (["memory_bytes"], 2**45),
        (["gpu", "name"], "another"),
    ],
)
def test_another_machine_has_another_fingerprint(facts, path, value):
    assert machine.fingerprint(change(facts, path, value)) != machine.fingerprint(facts)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["kernel"], "another"),
        (["python"], "another"),
        (["versions", "numpy"], "0.1"),
        (["blas"], []),
        (["environment"], {"OMP_NUM_THREADS": "1"}),
        (["gpu", "why_none"], "another reason"),
    ],
)
def test_an_upgrade_keeps_the_fingerprint(facts, path, value):
    assert machine.fingerprint(change(facts, path, value)) == machine.fingerprint(facts)


def test_a_kernel_that_keeps_more_memory_keeps_the_fingerprint(facts):
    sizes = [32 * 2**30 - 400 * 2**20, 32 * 2**30 - 900 * 2**20]
    assert len({machine.fingerprint(change(facts, ["memory_bytes"], size)) for size in sizes}) == 1


def test_fingerprint_is_twelve_hex_digits(facts):
    assert len(machine.fingerprint(facts)) == 12
    int(machine.fingerprint(facts), 16)


def test_caches_are_those_for_data(tmp_path):
    core = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    for index, (level, kind, size) in enumerate(
        [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "1024K"), ("3", "Unified", "32768K")]
    ):
        folder = f"sys/devices/system/cpu/cpu{core}/cache/index{index}"
        write(tmp_path, {f"{folder}/level": level, f"{folder}/type": kind + "\n", f"{folder}/size": size + "\n"})
    assert machine.cache_facts(tmp_path) == {"l1d": 48 * 1024, "l2": 2**20, "l3": 2**25}


def test_unknown_caches_are_none(tmp_path):
    assert machine.cache_facts(tmp_path) == {"l1d": None, "l2": None, "l3": None}


def test_processors_of_x86_and_arm():
    x86 = (
        "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\n"
        "stepping\t: 1\n\nprocessor\t: 1\nmodel name\t: another\n"
    )
    assert machine._linux_processor(x86) == {
        "model": "AMD EPYC", "revision": "cpu family 26, model 2, stepping 1", "vendor": "AuthenticAMD",
    }  # fmt: skip
    arm = "processor : 0\nCPU implementer : 0x41\nCPU variant : 0x3\nCPU part : 0xd0c\n\nprocessor : 1\n"
    assert machine._linux_processor(arm) == {"revision": "CPU implementer 0x41, CPU part 0xd0c, CPU variant 0x3"}


def test_one_threading_layer_always_loads():
    layers = machine.numba_threading_layers()
    assert list(layers) == ["tbb", "omp", "workqueue"]
    assert layers["workqueue"] is None


def test_machine_differences():
    here = machine.facts()
    assert machine.machine_differences(here, json.loads(json.dumps(here))) == []
    there = here | {"cpu": here["cpu"] | {"usable_cores": 777}}
    assert machine.machine_differences(here, there) == [f"usable_cores 777, here {here['cpu']['usable_cores']}"]
    assert machine.fingerprint(here) != machine.fingerprint(there)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_rate_is_that_of_the_fastest_product_in_its_dtype(monkeypatch, dtype):
    monkeypatch.setattr(machine, "GEMM_SIZE", 20)
    clock = iter(np.cumsum([0, 5, 1, 2, 1, 4, 1, 6, 1, 8]).tolist())  # products of 5, 2, 4, 6 and 8 s
    monkeypatch.setattr(machine, "perf_counter", lambda: next(clock))
    seen, matmul = set(), np.matmul

    def product(A, B, out):
        seen.add((A.dtype.name, A.shape, B.shape))
        return matmul(A, B, out=out)

    monkeypatch.setattr(np, "matmul", product)
    assert machine.gemm_flops_s(dtype) == 2 * 20**3 / 2
    assert seen == {(dtype, (20, 20), (20, 20))}
