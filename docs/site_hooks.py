"""Hooks of mkdocs: links to files of the repository, and the command reference.

A page links to a file outside docs/ by its relative path, which works in a checkout and on GitHub. On the site, the
path becomes a link to the repository.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parent.parent
COMMANDS_HERE = "<!-- help texts of all commands -->"
COLUMNS = 100

log = logging.getLogger("mkdocs.hooks.lcbench")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Return the text of a page with links that work on the site, and with the help texts where they belong."""

    def in_repository(link: re.Match[str]) -> str:
        path, anchor = link[1], link[2] or ""
        if not (ROOT / path).exists():
            log.warning("%s links to %s, which does not exist", page.file.src_uri, path)
        return f"]({config.repo_url}/blob/main/{path}{anchor})"

    markdown = re.sub(r"\]\(\.\./([^)#]+)(#[^)]*)?\)", in_repository, markdown)
    if COMMANDS_HERE in markdown:
        markdown = markdown.replace(COMMANDS_HERE, "\n".join(help_texts()))
    return markdown


def help_texts() -> Iterator[str]:
    """Yield the lines of the command reference: a section with the help text of each command."""
    from lcbench.cli.main import lcbench

    with lcbench.make_context("lcbench", [], resilient_parsing=True, terminal_width=COLUMNS) as group:
        for name in lcbench.list_commands(group):
            command = lcbench.get_command(group, name)
            assert command
            with command.make_context(name, [], parent=group, resilient_parsing=True) as context:
                yield from (f"## lcbench {name}", "", "```text", click.unstyle(command.get_help(context)), "```", "")
