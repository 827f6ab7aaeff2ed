"""README and the pages of docs/: their commands and snippets run, and the names, links and messages in them exist.

A page runs in a folder of its own, from top to bottom, as a reader would type it. A block of code with a title is a
file that the reader saves; files of docs/examples to which a page links are there. A comment before a block says
otherwise::

    <!-- not run: REASON -->    it is only parsed; `NOT_RUN` lists all of them
    <!-- exit code: 4 -->       its command ends with this code

Commands measure less than the reader's do (`small_lcbench.py`). With LCBENCH_DOCUMENTS=whole, they run as
printed, also the long ones.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import yaml

import lcbench
from commands import TIMEOUT_S, environment
from lcbench.cli import main

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
PAGES = {page.name: page.read_text(encoding="utf-8") for page in [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]}
SITE, REPOSITORY = "https://lcbench.github.io/lcbench/", "https://github.com/lcbench/lcbench"

NOT_RUN = {
    ("README.md", "installs into .venv"): 2,  # .ci/run runs both
    ("ci.md", "other environments"): 2,
    ("ci.md", "network"): 1,
    ("ci.md", "long"): 2,
    ("cluster.md", "cluster"): 7,
    ("cluster.md", "long"): 1,
    ("cluster.md", "network"): 1,
    ("index.md", "network"): 1,
    ("kernel-writers.md", "long"): 1,
    ("lab.md", "long"): 1,
    ("sweep.md", "an interrupted sweep"): 1,
    ("your-code.md", "GPU"): 1,
}
"""Number of blocks that are not run, by page and reason."""

SKIPPED = {reason for _, reason in NOT_RUN} - ({"long"} if os.environ.get("LCBENCH_DOCUMENTS") == "whole" else set())


@dataclass(frozen=True)
class Block:
    """Block of code in a page. title: name of the file that the reader saves. marks: name and value of comments."""

    page: str
    line: int
    language: str
    title: str
    marks: dict[str, str]
    text: str


_BLOCK = re.compile(
    r'(?P<marks>(?:^<!-- [^\n]* -->\n)*)^```(?P<language>\w*)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$',
    re.M | re.S,
)


def blocks(page):
    """Yield the blocks of a page."""
    text = PAGES[page]
    for found in _BLOCK.finditer(text):
        marks = dict(re.findall(r"<!-- ([^:\n]+): ([^\n]+) -->", found["marks"]))
        line = text.count("\n", 0, found.start("language")) + 1
        yield Block(page, line, found["language"], found["title"] or "", marks, found["text"])


BLOCKS = [block for page in PAGES for block in blocks(page)]


def test_all_blocks_are_found():
    assert sum(text.count("\n```") for text in PAGES.values()) == 2 * len(BLOCKS)
    assert {name for block in BLOCKS for name in block.marks} == {"not run", "exit code"}


def test_blocks_that_are_not_run_are_known():
    assert Counter((block.page, block.marks["not run"]) for block in BLOCKS if "not run" in block.marks) == NOT_RUN


def test_languages_are_known():
    languages = {block.language for block in BLOCKS}
    assert languages == {"sh", "python", "toml", "yaml", "dockerfile", "text", ""}
    for block in BLOCKS:
        if block.language in ("text", ""):  # outputs and diagrams
            assert not re.search(r"^(\$ )?(lcbench|pip|python3?) ", block.text, re.M), block


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.language in ("yaml", "toml")], ids=str)
def test_settings_can_be_parsed(block):
    assert {"yaml": yaml.safe_load, "toml": tomllib.loads}[block.language](block.text)


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.language == "python"], ids=str)
def test_python_can_be_parsed(block):
    compile(block.text, block.page, "exec")


def test_saved_files_are_the_examples():
    saved = [block for block in BLOCKS if (EXAMPLES / block.title).is_file()]
    assert saved
    for block in saved:
        assert block.text == (EXAMPLES / block.title).read_text(encoding="utf-8"), (block.page, block.title)


def report_of(example):
    """Return what `lcbench check` reports of an example, line by line."""
    command = [sys.executable, "-m", "lcbench", "check", example]
    done = subprocess.run(
        command, cwd=EXAMPLES, env=environment(), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    return [line.rstrip() for line in done.stdout.splitlines()]


def test_the_mistake_is_reported_as_the_document_shows():
    [shown] = [block.text for block in BLOCKS if block.language == "text" and block.text.startswith("mistake.py\n")]
    assert report_of("mistake.py") == shown.splitlines()


def test_the_kernel_that_is_called_compiled_can_be_compiled():
    # A function that Numba refuses would be checked without Numba, and its report would tell it.
    _, verdict, _ = report_of("kernel.py")
    assert verdict.startswith("  softmax_loss: right (softmax; "), verdict


# Commands


def commands():
    """Yield the words of all lcbench commands, those in the text included, without comments."""
    for block in BLOCKS:
        if block.language in ("sh", "yaml"):
            for line in block.text.replace("\\\n", " ").splitlines():
                if "uses:" not in line:
                    yield from _commands_in(line)
    for page in PAGES.values():
        prose = _BLOCK.sub("", page)
        for code in re.findall(r"`(lcbench [^`\n]+)`", prose):
            yield from _commands_in(code)


def _commands_in(line):
    line = re.sub(r"\$\((?!lcbench)[^)]*\)", "VALUE", line)
    for found in re.findall(r"(?:^|[\s(/])lcbench (-?[a-z][^|;&)#\"]*(?:\"[^\"]*\"[^|;&)#\"]*)*)", line):
        words = shlex.split(found, comments=True)
        if words and (words[0] in main.COMMANDS or words[0].startswith("-")):
            yield tuple(words)


def test_commands_are_found():
    assert {words[0] for words in commands() if not words[0].startswith("-")} == set(main.COMMANDS)


@pytest.mark.parametrize("words", sorted(set(commands())), ids=" ".join)
def test_commands_can_be_parsed(words):
    name, *rest = words
    if name.startswith("-") or not rest or set(rest) & {"...", "COMMAND"}:
        return
    own = main.lcbench.get_command(click.Context(main.lcbench), name)
    own.make_context(name, rest)  # only parses the arguments


# Pages


def script_of(page, folder):
    """Return the shell script that does what a reader of the page does, in `folder`."""
    lines = ["set -e"]
    numbers = itertools.count()
    for block in blocks(page):
        lines.append(f"echo '@@ line {block.line}' >&2")
        if block.title:
            lines += [f"cat > {shlex.quote(block.title)} <<'END-OF-FILE'", f"{block.text}END-OF-FILE"]
        elif block.marks.get("not run") in SKIPPED:
            continue
        elif block.language == "python":
            snippet = folder.parent / f"snippet-{next(numbers)}.py"
            snippet.write_text(block.text, encoding="utf-8")
            lines.append(f"{shlex.quote(sys.executable)} {shlex.quote(str(snippet))}")
        elif block.language == "sh" and (code := block.marks.get("exit code")):
            lines += ["set +e", block.text, f"[ $? = {code} ] || exit 99", "set -e"]
        elif block.language == "sh":
            lines.append(block.text)
    return "\n".join(lines) + "\n"


def repository(folder):
    """Make `folder` a clone whose origin has kernels/softmax.py, as the page on CI supposes."""
    (folder / "kernels").mkdir()
    shutil.copy(EXAMPLES / "softmax.py", folder / "kernels")
    for command in (
        "init --quiet --initial-branch=main",
        "add .",
        "-c user.name=me -c user.email=me@localhost commit --quiet --message=First",
        "update-ref refs/remotes/origin/main HEAD",
    ):
        subprocess.run(["git", *command.split()], cwd=folder, check=True, capture_output=True)


RUN = [
    page
    for page in PAGES
    if any(b.language in ("sh", "python") and b.marks.get("not run") not in SKIPPED for b in blocks(page))
]


@pytest.mark.parametrize("page", RUN)
def test_page_runs_from_top_to_bottom(tmp_path, page):
    folder, programs = tmp_path / "reader", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    if page == "README.md":  # its reader is in a checkout, and has installed it
        shutil.copytree(EXAMPLES, folder / "docs" / "examples")
        (folder / ".venv" / "bin").mkdir(parents=True)
        (folder / ".venv" / "bin" / "activate").touch()
    if page == "ci.md":
        repository(folder)
    for name in re.findall(r"\]\(examples/([^)]+)\)", PAGES[page]):
        shutil.copy(EXAMPLES / name, folder)
    program = programs / "lcbench"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{ROOT / "tests" / "small_lcbench.py"}" "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", script_of(page, folder)],
        cwd=folder,
        env=environment(PATH=os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])),
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stdout + done.stderr


# Names, links and messages


def test_links_of_the_readme_work_everywhere():
    links = re.findall(r"\]\(([^)\s]+)\)", PAGES["README.md"])
    assert links
    for link in links:
        assert link.startswith(("https://", "#")), link
        if link.startswith(SITE):
            path, _, anchor = link.removeprefix(SITE).partition("#")
            page = DOCS / (f"{path.rstrip('/')}.md" if path.endswith("/") else path or "index.md")
            assert page.is_file(), link
            assert not anchor, "mkdocs checks the anchors of pages, and nothing those of README"
        elif link.startswith(REPOSITORY):
            assert (ROOT / link.removeprefix(f"{REPOSITORY}/blob/main/")).exists(), link


def test_addresses_agree():
    site = (ROOT / "mkdocs.yml").read_text()
    assert f"site_url: {SITE}\n" in site
    assert f"repo_url: {REPOSITORY}\n" in site
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"].get("urls", {})
    assert {url for url in urls.values() if "lcbench" in url} <= {
        url for url in urls.values() if url.startswith((SITE.rstrip("/"), REPOSITORY))
    }


def test_all_functions_are_in_the_reference():
    assert sorted(re.findall(r"^::: lcbench\.(\w+)$", PAGES["python.md"], re.M)) == sorted(lcbench.__all__)


SOURCES = "\n".join(path.read_text() for path in sorted(Path(main.__file__).parents[1].rglob("*.py")))


def messages():
    """Yield the messages in the first column of the tables of troubleshooting, without those of other programs."""
    for row in re.findall(r"^\| (`.*?) \| ", PAGES["troubleshooting.md"], re.M):
        for message in re.findall(r"`([^`]+)`", row):
            if "command not found" not in message:
                yield message


@pytest.mark.parametrize("message", list(messages()))
def test_messages_exist(message):
    # A message is written in the code in parts, with names and numbers in between.
    parts = [part.strip(" :;") for part in message.split("...")]
    source = re.sub(r'"\s*\n?\s*f?"', "", SOURCES)
    for part in filter(None, parts):
        assert part in source or all(word in source for word in re.split(r"(?<=:) |, ", part)), part


def test_the_notebook_is_one():
    notebook = json.loads((EXAMPLES / "homework.ipynb").read_text())
    assert notebook["nbformat"] == 4
