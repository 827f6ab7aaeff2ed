"""Files of /proc and /sys are read as the kernel writes them, and are nothing where they are not."""

from __future__ import annotations

import pytest

from lcbench.measure.surroundings import system_files


@pytest.mark.parametrize(
    ("text", "numbers"), [("0-2,8\n", {0, 1, 2, 8}), ("3", {3}), ("\n", set()), ("0-1,4-5", {0, 1, 4, 5})]
)
def test_lists_of_cores(text, numbers):
    assert system_files.cores(text) == numbers


def test_what_is_not_there_is_nothing(tmp_path):
    assert system_files.contents(tmp_path / "nowhere") == ""
