"""``lcbench completion``: the script that makes a shell complete lcbench's commands, options and values."""

from __future__ import annotations

import click

PROGRAM = "lcbench"

ASKS = "_LCBENCH_COMPLETE"
"""The variable by which the script asks; click answers it before any command runs."""


@click.command(
    epilog="\b\nInstall it for good with a line in ~/.bashrc, with zsh in ~/.zshrc:\n"
    "  source <(lcbench completion bash)\n"
    "fish reads it from a folder of its own:\n"
    "  lcbench completion fish > ~/.config/fish/completions/lcbench.fish\n\n"
    "\b\nExamples:\n  lcbench completion bash\n  lcbench completion zsh"
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Completion of commands, options and names in a shell.

    Prints the script for SHELL.
    """
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script
    text = script(context.find_root().command, {}, PROGRAM, ASKS).source()
    # bash would put a space behind "rows=", whose values are still to come
    text = text.replace("COMPREPLY+=($value)", "COMPREPLY+=($value); [[ $value == *= ]] && compopt -o nospace")
    # click splits an answer at every comma, which would cut "numpy,numba-parallel"
    click.echo(text.replace('string split ","', 'string split --max 1 ","'))
