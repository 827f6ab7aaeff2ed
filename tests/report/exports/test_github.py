"""Workflow commands and job summary of GitHub Actions."""

from __future__ import annotations

import re

from lcbench.report.exports import ci
from results_to_export import COMPARISONS

COMMAND = re.compile(r"::(?P<name>error|warning|notice) title=(?P<title>[^,:\r\n]*)::(?P<message>[^\r\n]*)")
"""Workflow command as the runner parses it."""


def unescaped(text):
    """Return the text as the runner decodes it."""
    for code, sign in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(code, sign)
    return text


def commands_of(text):
    """Return name, title and message of every line."""
    found = [COMMAND.fullmatch(line) for line in text.splitlines()]
    assert all(found)
    for one in found:
        assert not re.search("%(?!25|0D|0A|3A|2C)", one[0])
    return [(one["name"], unescaped(one["title"]), unescaped(one["message"])) for one in found]


def test_errors_come_first_and_a_notice_has_the_summary():
    commands = commands_of(ci.github_verdicts(COMPARISONS, 0.05, "a, b: c%\n"))
    assert [(name, title) for name, title, _ in commands] == [
        ("error", "lcbench: a, b: c%\n: wrong"),
        ("error", "lcbench: a, b: c%\n: not measured"),
        ("error", "lcbench: a, b: c%\n: slower"),
        ("warning", "lcbench: a, b: c%\n: inconclusive"),
        ("warning", "lcbench: a, b: c%\n: inconclusive"),
        ("notice", "lcbench: a, b: c%\n"),
    ]
    messages = [message for _, _, message in commands]
    assert messages[0] == "mistaken, softmax, 500 rows, float32: loss is 1,\r\nright is 100 %"
    assert messages[2] == (
        "grown, softmax, 500 rows, float32: 400 us before, 500 us now: +25.0 % (95 %: +22.2 % to +27.9 %); "
        "slower than the 5.0 % allowed"
    )
    assert messages[3].endswith(
        "the noise is too large to decide whether that is more than the 5.0 % allowed; "
        "a slowdown 27.7 % beyond that would be detected with a power of 80 %"
    )
    assert messages[-1] == "1 wrong, 1 not measured, 1 slower, 2 inconclusive, 1 not slower; 5.0 % allowed"


def test_not_slower_gives_a_notice_only():
    same = [comparison for comparison in COMPARISONS if comparison.verdict == "not slower"]
    assert commands_of(ci.github_verdicts(same, 0.05, "a")) == [("notice", "lcbench: a", "1 not slower; 5.0 % allowed")]


def test_the_summary_is_appended_to(tmp_path, monkeypatch):
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    ci.append_summary("one\n")
    ci.append_summary("two\n")
    assert file.read_text() == "before\none\n\ntwo\n\n"


def test_outside_github_there_is_no_summary(tmp_path, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.chdir(tmp_path)
    ci.append_summary("one\n")
    assert list(tmp_path.iterdir()) == []
