"""Memory that control groups leave to this process."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lcbench import control_groups

FREE = 8_000

VERSION_2 = {"proc/self/cgroup": "0::/a/b\n"}
VERSION_1 = {"proc/self/cgroup": "5:cpu:/j\n4:memory:/j\n"}


@pytest.mark.parametrize(
    ("files", "available"),
    [
        ({}, FREE),
        (VERSION_2 | {"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/b/memory.current": "70\n"}, FREE),
        (VERSION_2 | {"sys/fs/cgroup/a/b/memory.max": "9000\n", "sys/fs/cgroup/a/b/memory.current": "2000\n"}, 7_000),
        (VERSION_2 | {"sys/fs/cgroup/a/memory.max": "5000\n", "sys/fs/cgroup/a/memory.current": "2000\n",
                      "sys/fs/cgroup/a/memory.stat": "anon 500\ninactive_file 1500\nactive_file 0\n"}, 4_500),
        (VERSION_2 | {"sys/fs/cgroup/a/memory.max": "5000\n", "sys/fs/cgroup/a/memory.current": "5100\n"}, 0),
        (VERSION_1 | {"sys/fs/cgroup/memory/j/memory.limit_in_bytes": "5000\n",
                      "sys/fs/cgroup/memory/j/memory.usage_in_bytes": "3000\n",
                      "sys/fs/cgroup/memory/j/memory.stat": "inactive_file 9\ntotal_inactive_file 1000\n"}, 3_000),
        (VERSION_1 | {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                      "sys/fs/cgroup/memory/memory.usage_in_bytes": "3000\n"}, FREE),
    ],
)  # fmt: skip
def test_available_memory(tmp_path, monkeypatch, files, available):
    monkeypatch.setattr(control_groups.psutil, "virtual_memory", lambda: SimpleNamespace(available=FREE))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert control_groups.memory_available(tmp_path) == available
