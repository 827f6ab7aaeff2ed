"""What a container grants, and withheld, is read from wherever the kernel keeps it."""

from __future__ import annotations

import pytest

from lcbench.host import counters


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "100000 100000\n",
          "sys/fs/cgroup/a/b/cpu.max": "300000 100000\n"}, 1.0),
        ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "4:cpu,cpuacct:/j\n", "sys/fs/cgroup/cpu/j/cpu.cfs_quota_us": "50000\n",
          "sys/fs/cgroup/cpu/j/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"proc/self/cgroup": "4:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
          "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_granted_cores(tmp_path, files, cores):
    write(tmp_path, files)
    assert counters.granted_cores(tmp_path) == cores


@pytest.mark.parametrize(
    ("files", "periods"),
    [
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.stat": "usage_usec 9\nnr_periods 5\nnr_throttled 3\n",
          "sys/fs/cgroup/a/cpu.stat": "usage_usec 9\nnr_periods 5\nnr_throttled 4\nthrottled_usec 8\n"}, 7),
        ({"proc/self/cgroup": "4:cpu,cpuacct:/j\n",
          "sys/fs/cgroup/cpu/j/cpu.stat": "nr_periods 2\nnr_throttled 1\nthrottled_time 8\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.stat": "usage_usec 9\n"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_throttled_periods(tmp_path, files, periods):
    write(tmp_path, files)
    assert counters.throttled_periods(counters.control_group_statistics(tmp_path)) == periods
