"""``lcbench completion``, and the values that the shell offers for options and arguments."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

import click
from click.shell_completion import CompletionItem


@click.command(
    epilog="\b\nTo enable completion permanently, add to ~/.bashrc (for zsh, to ~/.zshrc):\n"
    "  source <(lcbench completion bash)\n"
    "For fish, write the script to its folder of completions:\n"
    "  lcbench completion fish > ~/.config/fish/completions/lcbench.fish\n\n"
    "\b\nExamples:\n  lcbench completion bash\n  lcbench completion zsh"
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for bash, zsh or fish.

    The script completes commands, options, and names of implementations, features, plots and results.
    """
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script
    text = script(context.find_root().command, {}, "lcbench", "_LCBENCH_COMPLETE").source()
    # A shell would append a space to "rows=", "folder/" and "softmax.py:", although more follows.
    text = text.replace("COMPREPLY+=($value)", "COMPREPLY+=($value); [[ $value == *[=/:] ]] && compopt -o nospace")
    text = text.replace(
        'completions+=("$key")',
        """if [[ "$key" == *[=/:] ]]; then compadd -U -S '' -- "$key"; else completions+=("$key"); fi""",
    )
    if shell == "bash":  # otherwise bash would take FILE.py:FUNCTION for three words
        text += "\nCOMP_WORDBREAKS=${COMP_WORDBREAKS//:}"
    # fish: click splits each item at all commas, which would cut "numpy,numba-parallel"
    click.echo(text.replace('string split ","', 'string split --max 1 ","'))


# Values of options and arguments
#
# Each public function has click's signature (context, parameter, incomplete). The shell calls them at every press of
# the completion key, so they import nothing that is slow to import.


def implementations(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return names of the catalog, files of user code and their functions, possibly after others and a comma."""
    from lcbench.losses.catalog import CATALOG

    helps = {name: entry.what for name, entry in CATALOG.items()} | {"all": "all that run here"}
    before, comma, last = incomplete.rpartition(",")
    return _in_list(incomplete, helps) + _user_code(last, f"{before}{comma}")


def implementation(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return names of the catalog, files of user code and their functions."""
    from lcbench.losses.catalog import CATALOG

    return _matching(incomplete, {name: entry.what for name, entry in CATALOG.items()}) + _user_code(incomplete)


def versions(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return branches and tags of the repository, names of the catalog, and files of user code or folders."""
    revisions = _matching(incomplete, dict.fromkeys(["HEAD~1", *_git_names()], "git revision"))
    return revisions + implementation(context, parameter, incomplete)


def data(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of data, and files of data."""
    named = {"cifar10": "CIFAR-10, downloaded", "synthetic": "synthetic images of the same shape"}
    return _matching(incomplete, named) + _paths(incomplete, (".csv", ".tsv", ".npz", ".h5", ".hdf5"))


def models(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the stored models, newest first, and other HDF5 files."""
    from lcbench import files

    stored = sorted((str(file) for file in files.models_folder().glob("*.h5")), reverse=True)
    found = _matching(incomplete, dict.fromkeys(stored, "model"))
    return found + [item for item in _paths(incomplete, (".h5", ".hdf5")) if item.value not in stored]


def published_rows(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the rows that ``lcbench reproduce`` computes and that are not given yet."""
    import json
    from importlib import resources

    # Read here, since lcbench.reproduction.figures imports NumPy.
    rows = json.loads(resources.files("lcbench.reproduction").joinpath("figures.json").read_bytes())["rows"]
    given = context.params.get("rows") or ()
    return _matching(incomplete, {row["id"]: row["what"] for row in rows if row["id"] not in given})


def features(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return names of image features, possibly after others and a comma."""
    from lcbench.datasets.features.catalog import CATALOG

    return _in_list(incomplete, {name: feature.what for name, feature in CATALOG.items()})


def axes(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return axes of a sweep that are not given yet, or after "dtype=" its values."""
    from lcbench.measure import axes
    from lcbench.ranges import ITEMSIZES

    name, equals, values = incomplete.partition("=")
    if equals:
        return _in_list(values, dict.fromkeys(ITEMSIZES, ""), f"{name}=") if name == "dtype" else []
    given = {text.partition("=")[0] for text in context.params.get("axes") or ()}
    return [
        CompletionItem(f"{axis}=", help=axes.FORMS if axis in axes.NUMERIC else " or ".join(ITEMSIZES))
        for axis in axes.AXES
        if axis.startswith(name) and axis not in given
    ]


def baselines(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return names of saved results."""
    from lcbench import files

    saved = sorted(file.stem for file in files.baselines_folder().glob("*.json"))
    return _matching(incomplete, dict.fromkeys(saved, "saved"))


def results(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return names of saved results, then of all results, newest first, or else files."""
    from lcbench import files

    stored = sorted((file.stem for file in files.results_folder().glob("[!.]*.json")), reverse=True)
    items = baselines(context, parameter, incomplete)
    items += [CompletionItem(name) for name in stored if name.startswith(incomplete)]
    return items or _paths(incomplete, (".json",))


def plots(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return kinds of plots."""
    from lcbench.report.plots import KINDS

    return _matching(incomplete, {kind.name: kind.description for kind in KINDS.values()})


def plotted(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return results if the kind of plot is drawn of results, or else files."""
    from lcbench.report.plots import KINDS

    kind = KINDS.get(str(context.params.get("kind")))
    if kind is None or "result" in kind.source or kind.source == "a sweep":
        return results(context, parameter, incomplete)
    return _paths(incomplete, (".json",) if "search" in kind.source else (".h5", ".hdf5"))


def _matching(incomplete: str, helps: Mapping[str, str]) -> list[CompletionItem]:
    """Return the names that begin with `incomplete`, with their help texts."""
    return [CompletionItem(name, help=text) for name, text in helps.items() if name.startswith(incomplete)]


def _in_list(incomplete: str, helps: Mapping[str, str], prefix: str = "") -> list[CompletionItem]:
    """Return the names that complete the last one of a comma-separated list, each after `prefix` and the others."""
    before, comma, last = incomplete.rpartition(",")
    return [
        CompletionItem(f"{prefix}{before}{comma}{name}", help=text)
        for name, text in helps.items()
        if name.startswith(last) and name not in before.split(",")
    ]


def _user_code(incomplete: str, prefix: str = "") -> list[CompletionItem]:
    """Return files of Python code and folders, or after "FILE.py:" the functions of the file, each after `prefix`."""
    file, colon, function = incomplete.rpartition(":")
    if not colon:
        return _paths(incomplete, (".py", ".ipynb"), prefix)
    return [CompletionItem(f"{prefix}{file}:{name}") for name in _functions(Path(file)) if name.startswith(function)]


def _functions(file: Path) -> list[str]:
    """Return the names of the functions of a file that may be losses: public, with at least three parameters."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    return [node.name for node in functions if len(node.args.posonlyargs + node.args.args) >= 3]


def _git_names() -> list[str]:
    """Return the branches and tags of the repository of the current folder."""
    import subprocess

    command = ["git", "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes", "refs/tags"]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=2, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split()


def _paths(incomplete: str, endings: tuple[str, ...], prefix: str = "") -> list[CompletionItem]:
    """Return the folders, and the files with one of these endings, that complete a path, each after `prefix`."""
    folder, slash, start = incomplete.rpartition("/")
    try:
        entries = sorted(Path(f"{folder}{slash}" or ".").expanduser().iterdir())
    except OSError:
        return []
    found = []
    for entry in entries:
        if entry.name.startswith(start) and (start or not entry.name.startswith(".")):
            if entry.is_dir():
                found.append(CompletionItem(f"{prefix}{folder}{slash}{entry.name}/"))
            elif entry.name.lower().endswith(endings):
                found.append(CompletionItem(f"{prefix}{folder}{slash}{entry.name}"))
    return found
