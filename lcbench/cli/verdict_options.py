"""Where verdicts go: the options that ``compare`` and ``gate`` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from lcbench.judge.verdicts import Comparison


@dataclass(frozen=True)
class VerdictOutput:
    """What the user asked for: `form` is table, github or json, and goes to stdout; the files are written beside it."""

    form: str
    junit: Path | None
    markdown: Path | None

    @property
    def as_json(self) -> bool:
        """Whether stdout holds JSON and nothing else."""
        return self.form == "json"

    @property
    def beyond_tables(self) -> bool:
        """Whether anything was asked for that only verdicts can fill."""
        return self.form == "github" or self.junit is not None or self.markdown is not None

    def require_writable(self) -> None:
        """Raises LcbenchError where a file could not be written: to be known before anything is measured."""
        from lcbench.report.exports import files

        for path in (self.junit, self.markdown):
            if path:
                files.require_writable(path)

    def write(
        self, comparisons: Sequence[Comparison], fail_above: float, heading: str, notes: Sequence[str] = ()
    ) -> None:
        """Writes the files; in the form github also prints the annotations, and adds to the job's summary.

        heading: what was compared, a few words. notes: what else there is to know, a line each. Tables and JSON on
        stdout are the command's own.
        """
        from lcbench.report.exports import ci, files, tables

        if self.junit:
            files.write(self.junit, ci.junit_verdicts(comparisons, fail_above, heading))
        page = tables.verdicts(comparisons, fail_above, heading, notes)
        if self.markdown:
            files.write(self.markdown, page)
        if self.form == "github":
            click.echo(ci.github_verdicts(comparisons, fail_above, heading), nl=False)
            ci.append_summary(page)


def verdict_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --format, --json, --junit and --markdown; the command gets them as `output`, a VerdictOutput."""

    @click.option(
        "--format",
        "form",
        type=click.Choice(["table", "github", "json"]),
        default="table",
        show_default=True,
        help="github: also annotations, and the summary of the job.",
    )
    @click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
    @click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Also write JUnit XML.")
    @click.option("--markdown", type=click.Path(path_type=Path), metavar="FILE", help="Also write Markdown.")
    @wraps(command)
    def with_output(
        *args: Any, form: str, as_json: bool, junit: Path | None, markdown: Path | None, **options: Any
    ) -> Any:
        if as_json and form == "github":
            raise click.UsageError("--json and --format github exclude each other")
        return command(*args, output=VerdictOutput("json" if as_json else form, junit, markdown), **options)

    return with_output
