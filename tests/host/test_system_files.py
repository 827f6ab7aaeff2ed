"""Files of /proc and /sys are read as the kernel writes them, and are nothing where they are not."""

from __future__ import annotations

import pytest

from lcbench.host import counters


@pytest.mark.parametrize(
    ("text", "numbers"), [("0-2,8\n", {0, 1, 2, 8}), ("3", {3}), ("\n", set()), ("0-1,4-5", {0, 1, 4, 5})]
)
def test_lists_of_cores(text, numbers):
    assert counters.parse_core_list(text) == numbers


def test_what_is_not_there_is_nothing(tmp_path):
    assert counters.read_system_file(tmp_path / "nowhere") == ""
