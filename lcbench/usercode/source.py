"""Source of a user's file or notebook: decoded and parsed, without the statements that are no valid Python."""

from __future__ import annotations

import ast
import errno
import hashlib
import inspect
import json
import linecache
import os
import re
import stat
import tokenize
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lcbench import files
from lcbench.losses.implementation import CannotLoad, LossName

SUFFIXES = (".py", ".ipynb")
"""Endings of the names of files that can hold functions."""


@dataclass(frozen=True)
class Definition:
    """Header of a function: its positional parameters, of which the first `required` have no default."""

    name: str
    line: int
    parameters: tuple[str, ...]
    required: int

    @classmethod
    def of(cls, node: ast.FunctionDef) -> Definition:
        """Return the header of a parsed function."""
        positional = [*node.args.posonlyargs, *node.args.args]
        names = tuple(argument.arg for argument in positional)
        return cls(node.name, node.lineno, names, len(names) - len(node.args.defaults))


@dataclass(frozen=True)
class Note:
    """Remark on a part of a file: its line, the reason, and the functions that the part would have defined.

    place: the line in words. skipped: whether the part was left out.
    """

    line: int
    reason: str
    definitions: tuple[Definition, ...] = ()
    place: str = ""
    skipped: bool = True

    def __str__(self) -> str:
        names = ", ".join(definition.name for definition in self.definitions)
        skipped = ", skipped" + (f" (defines {names})" if names else "") if self.skipped else ""
        return f"{self.place or f'line {self.line}'}: {self.reason}{skipped}"


def summarised(notes: Iterable[Note], max_places: int = 3) -> list[str]:
    """Return the notes as lines: one for all parts that were skipped for the same reason.

    Undefined names are one reason, since one missing file is often the cause of all of them.
    """
    groups: dict[tuple[str, bool], list[Note]] = {}
    for note in notes:
        kind = re.sub(r"^(NameError: name |IPython magic: ).*", r"\1", note.reason)
        groups.setdefault((kind, note.skipped), []).append(note)
    lines = []
    for first, *others in groups.values():
        if not others:
            lines.append(str(first))
            continue
        places = [note.place or f"line {note.line}" for note in (first, *others)]
        more = f" and {len(places) - max_places} more" if len(places) > max_places else ""
        reasons = list(dict.fromkeys(note.reason for note in (first, *others)))
        reason = reasons[0] if len(reasons) == 1 else f"{reasons[0]}, and {len(reasons) - 1} more of this kind"
        definitions = tuple(definition for note in (first, *others) for definition in note.definitions)
        lines.append(str(replace(first, reason=reason, definitions=definitions, place=", ".join(places[:3]) + more)))
    return lines


@dataclass(frozen=True)
class Source:
    """Parsed file.

    filename: name for its code objects. This is the file's path if the file was parsed unchanged, so that tracebacks
        and Numba's cache find it. Otherwise it is no path, since Numba would parse the file again and fail.
    guarded: lines inside the body of a ``try`` with handlers.
    only_definitions: whether statements that load data, train and draw were left out.
    """

    file: Path
    filename: str
    statements: tuple[ast.stmt, ...]
    notes: tuple[Note, ...]
    guarded: frozenset[int]
    only_definitions: bool = False


def read_source(file: Path) -> Source:
    """Read and parse `file`; statements that cannot be parsed are skipped with a note.

    Of a notebook, and of a script that was made from one, only the imports, definitions and constants are kept: its
    other statements load data, train and draw.

    Raise CannotLoad if the file cannot be read or is not a Python source file.
    """
    raw = _read_bytes(file)
    text = _decode(raw)
    if file.suffix == ".ipynb":
        return _only_definitions(parse_source(_code_of_notebook(text, file), file, unchanged=False))
    source = parse_source(text, file, unchanged=text.encode() == raw.replace(b"\r\n", b"\n"))
    return _only_definitions(source) if _FROM_NOTEBOOK.search(text) else source


def parse_source(text: str, file: Path, unchanged: bool = True) -> Source:
    """Parse `text`; if it is no valid Python as a whole, parse its top-level blocks one by one.

    Python 2 syntax is read as Python 3 where that is possible, with a note. Lines of a block that fails are replaced by
    empty lines, so that the others keep their line numbers.

    unchanged: whether `text` is what Python would read from `file`.
    """
    notes: list[Note] = []
    mended: dict[int, str] = {}
    lines = text.split("\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as invalid escape sequences, which the user did not ask us to report
        try:
            tree = ast.parse(text, str(file))
        except SyntaxError:
            for block in _top_level_blocks(lines):
                first, last = block.start, block.stop
                repaired, names, error = _parse_block(lines[first:last])
                lines[first:last] = repaired
                mended |= {first + line: name for line, name in names.items()}
                if error:
                    line = min(first + (error.lineno or 1), last)
                    conflict = next((n + 1 for n in block if _CONFLICT.match(lines[n])), None)
                    reason = syntax_reason(error, error.text or lines[line - 1])
                    reason = reason if conflict is None else "unresolved merge conflict"
                    definitions = tuple(_definitions_in_invalid_block(lines, block))
                    notes.append(Note(conflict or line, reason, definitions))
                    lines[first:last] = [""] * len(block)
            tree = ast.parse("\n".join(lines), str(file))
    changed = notes or mended or not unchanged
    filename = f"{file} (as read)" if changed else str(file)
    if changed:  # for tracebacks, for `place`, and for libraries that read the source of a function
        linecache.cache[filename] = (len(text), None, [f"{line}\n" for line in lines], filename)
    notes = [replace(note, place=place(filename, note.line)) for note in notes]
    if mended:
        places = [place(filename, line) for line in sorted(mended)]
        more = f" and {len(places) - 3} more" if len(places) > 3 else ""
        what = ", ".join(dict.fromkeys(mended[line] for line in sorted(mended)))
        reason = f"Python 2 syntax ({what}), read as Python 3"
        notes.append(Note(min(mended), reason, place=", ".join(places[:3]) + more, skipped=False))
    return Source(file, filename, tuple(tree.body), tuple(notes), frozenset(_guarded_lines(tree)))


def place(filename: str, line: int) -> str:
    """Return "line 7", or for the code of a notebook "code cell 2 line 7". filename: of a code object."""
    if filename.endswith(".ipynb (as read)"):
        for above in range(line, 0, -1):
            if match := _CELL.match(linecache.getline(filename, above)):
                return f"code cell {match[1]} line {line - above}"
    return f"line {line}"


# Notebooks

_CELL = re.compile(r"# code cell (\d+)$")
"""Line above the code of each cell."""

_FROM_NOTEBOOK = re.compile(
    r"^# In ?\[[ \d]*\]:|^get_ipython\(\)|Automatically generated by Colab|^# %%|^# COMMAND -+", re.MULTILINE
)
"""Marks of scripts that Jupyter, Colab, Spyder and Databricks write."""

_MAGIC = re.compile(r"^(\s*)([%!?]+\s*[\w.~/].*|[\w.]+\?+\s*|\w+\s*=\s*[%!].*)$")
"""Line of IPython's own syntax."""

_PYTHON_CELL = re.compile(r"%%(time|timeit|capture|prun|python3?|writefile\s+(-a\s+)?\S+\.py)\b")
"""Cell magics whose cell is Python code."""


def _code_of_notebook(text: str, file: Path) -> str:
    """Return the code cells of a notebook as one script, with a comment above each, and without magics."""
    try:
        content = json.loads(text)
        sheets = content.get("worksheets") or [content]  # format 3 has worksheets
        cells = [cell for sheet in sheets for cell in sheet["cells"] if cell["cell_type"] == "code"]
        codes = [cell.get("source", cell.get("input", "")) for cell in cells]
        codes = [code if isinstance(code, str) else "".join(code) for code in codes]
        metadata = content.get("metadata") or {}
        named = (metadata.get("kernelspec") or {}).get("language") or (metadata.get("language_info") or {}).get("name")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CannotLoad(f"{file}: not a notebook: it has no code cells that can be read") from None
    if "python" not in str(named or "python").lower():
        raise CannotLoad(f"{file}: is a notebook in {named}, not in Python")
    return "".join(f"# code cell {number}\n{_without_magics(code)}\n" for number, code in enumerate(codes, start=1))


def _without_magics(code: str) -> str:
    """Return the code of a cell; if it is no Python as it is, ``pass`` stands for each line of IPython's own syntax."""
    lines = code.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    if first is not None and lines[first].startswith("%%"):
        if not _PYTHON_CELL.match(lines[first]):
            return ""
        lines[first] = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse("\n".join(lines))
    except (SyntaxError, ValueError):
        lines = [_MAGIC.sub(r"\1pass", line) for line in lines]
    return "\n".join(lines)


def _only_definitions(source: Source) -> Source:
    """Return the source without the statements that are no imports, definitions or constants."""
    kept = tuple(statement for statement in source.statements if _defines(statement))
    left_out = [
        statement
        for statement in source.statements
        if not _defines(statement) and not isinstance(statement, ast.Pass | ast.Expr)
    ]
    notes = source.notes
    if left_out:
        count = f"{len(left_out)} statements are" if len(left_out) > 1 else "1 statement is"
        reason = f"{count} not run: of a notebook, only imports, definitions and constants are"
        where = place(source.filename, left_out[0].lineno)
        notes = (*notes, Note(left_out[0].lineno, reason, place=f"from {where}", skipped=False))
    return replace(source, statements=kept, notes=notes, only_definitions=True)


_DEFINING_CALLS = frozenset({
    *("default_rng", "device", "dtype", "finfo", "float", "getLogger", "grad", "int", "is_available", "jit"),
    *("namedtuple", "njit", "partial", "RandomState", "value_and_grad", "vectorize", "vmap"),
})  # fmt: skip
"""Functions whose call in the value of a constant loads and computes nothing."""


def _defines(statement: ast.stmt) -> bool:
    """Return whether a statement is an import, a definition or a constant, or consists of such statements."""
    if isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return True
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        parts = (part for target in targets for part in ast.walk(target) if isinstance(part, ast.expr))
        names_only = all(isinstance(part, ast.Name | ast.Tuple | ast.List) for part in parts)
        return names_only and _is_constant(statement.value)
    if isinstance(statement, ast.If):
        return _is_constant(statement.test) and all(map(_defines_or_passes, [*statement.body, *statement.orelse]))
    if isinstance(statement, ast.Try):
        handled = [each for handler in statement.handlers for each in handler.body]
        return all(map(_defines_or_passes, [*statement.body, *handled, *statement.orelse, *statement.finalbody]))
    return False


def _defines_or_passes(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or _defines(statement)


def _is_constant(value: ast.expr | None) -> bool:
    """Return whether an expression calls nothing, except `_DEFINING_CALLS`."""
    calls = [node for node in ast.walk(value) if isinstance(node, ast.Call)] if value else []
    names = [getattr(call.func, "attr", getattr(call.func, "id", "")) for call in calls]
    return isinstance(value, ast.Lambda) or _DEFINING_CALLS.issuperset(names)


# Python 2

_PYTHON_2_SYNTAX = (
    (r"\bexcept\s+(\([^)]*\)|[\w.]+)\s*,\s*(\w+)\s*:", "except X, e", r"except \1 as \2:"),
    (r"\braise\s+([\w.]+)\s*,\s*(.+)$", "raise X, message", r"raise \1(\2)"),
    (r"(^|[:;]\s*|^\s+)exec\s+(?!=)(.+?)\s+in\s+(.+)$", "exec statement", r"\1exec(\2, \3)"),
    (r"(^|[:;]\s*|^\s+)exec\s+([^\s=(.,].*)$", "exec statement", r"\1exec(\2)"),
    (r"`([^`]+)`", "backticks", r"repr(\1)"),
    (r"<>", "the operator <>", "!="),
    (r"(?<![\w.])0(\d+)\b", "octal number without 0o", r"0o\1"),
    (r"(?<![\w.])(0[xX][\da-fA-F]+|\d+)[lL]\b", "long integer", r"\1"),
    (r"\b[uU][rR](['\"])", "ur string", r"r\1"),
)
"""Pattern of a line, the name of its Python 2 syntax, and its replacement in Python 3."""

_PRINT = re.compile(r"(^|[:;])\s*print\b(?!\s*[=.,()\[\];:])")
_TABS = "tabs of eight columns"
_TUPLE_PARAMETER = re.compile(r"\b(def\s+\w+\s*\(|lambda\b)[^:]*\([^:=]*\)")


def _parse_block(lines: list[str]) -> tuple[list[str], dict[int, str], SyntaxError | None]:
    """Return the lines of a block as Python 3, the Python 2 syntax by line that was replaced, and what is left wrong.

    If something is left wrong, the lines are returned as they are.
    """
    given, names = list(lines), dict[int, str]()
    first: SyntaxError | None = None
    for _ in range(2 * len(lines) + 1):
        try:
            ast.parse("\n".join(lines))
        except TabError as error:
            if first:
                break
            first = error
            names[error.lineno or 1] = _TABS
            lines = [re.sub(r"^[ \t]+", lambda match: match[0].expandtabs(8), line) for line in lines]
        except SyntaxError as error:
            number = min(error.lineno or 1, len(lines))
            repaired = _as_python_3(lines, number - 1)
            first = first or error
            if repaired is None or isinstance(error, IndentationError):
                return given, {}, first if isinstance(first, TabError) else error
            lines, names[number] = repaired
        else:
            return lines, names, None
    return given, {}, first


def _as_python_3(lines: list[str], index: int) -> tuple[list[str], str] | None:
    """Return the lines with the Python 2 syntax of line `index` replaced, and its name; None if there is none."""
    if _PRINT.search(lines[index]):
        before = sum(len(line) + 1 for line in lines[:index])
        text = _with_print_called("\n".join(lines), before)
        return None if text is None else (text.split("\n"), "print statement")
    for pattern, name, replacement in _PYTHON_2_SYNTAX:
        line = re.sub(pattern, replacement, lines[index])
        if line != lines[index]:
            return [*lines[:index], line, *lines[index + 1 :]], name
    return None


def _with_print_called(text: str, start: int) -> str | None:
    """Return `text` with the first print statement of the line that begins at `start` as a call of the function."""
    match = _PRINT.search(text[start:].partition("\n")[0])
    assert match
    begin = end = start + match.end()
    depth = 0
    while end < len(text):
        if text[end] == "#" or (depth <= 0 and text[end] in "\n;"):
            break
        if literal := _COMMENT_OR_STRING.match(text, end):
            end = literal.end()
            continue
        depth += (text[end] in "([{") - (text[end] in ")]}")
        end += 2 if text[end] == "\\" else 1
    arguments = text[begin:end].strip()
    if not arguments:
        return None
    options = ""
    if to_file := re.match(r">>\s*([\w.]+)\s*,?", arguments):
        arguments, options = arguments[to_file.end() :].strip(), f", file={to_file[1]}"
    if arguments.endswith(","):
        arguments, options = arguments[:-1], f", end=' '{options}"
    call = f"({arguments}{options})" if arguments else f"({options[2:]})"
    space = " " if text[end : end + 1] == "#" else ""
    return text[:begin] + call + space + text[end:]


_CONFLICT = re.compile(r"(<{7}|={7}|>{7}|\|{7})(\s|$)")
"""Line that git writes into a file around the two sides of a conflict."""


def syntax_reason(error: SyntaxError, line: str) -> str:
    """Return why the source `line` is a syntax error; Python 2 syntax and IPython magics are named."""
    if isinstance(error, TabError):
        return "tabs and spaces are mixed in the indentation: use spaces"
    if re.match(r"\s*[%!]", line):
        return f"IPython magic: {line.strip()}"
    if _PRINT.search(line):
        return "Python 2 syntax: print statement; write print(...)"
    for pattern, name, _ in _PYTHON_2_SYNTAX:
        if re.search(pattern, line):
            return f"Python 2 syntax: {name}"
    if _TUPLE_PARAMETER.search(line):
        return "Python 2 syntax: tuple parameter; unpack it inside the function"
    return f"syntax error: {error.msg}"


# Files that stay as they were first read
#
# All worker processes of a measurement must run the same code, also if the file changes meanwhile. The first process
# that reads a file copies it into a folder of the measurement, and all others read the copy.

COPIES = "LCBENCH_SOURCES"
"""Environment variable with the folder of the copies, which a measurement sets for its worker processes."""


@contextmanager
def unchanging() -> Iterator[Callable[[], list[str]]]:
    """Have this process, and those that it starts, read each file once; yield the function that lists changed files.

    The function returns a line for each file that no longer is as it was read.
    """
    before = os.environ.get(COPIES)
    with files.temporary_folder("sources") as folder:
        os.environ[COPIES] = folder
        try:
            yield lambda: list(_changed(Path(folder)))
        finally:
            if before is None:
                os.environ.pop(COPIES, None)
            else:
                os.environ[COPIES] = before


def _changed(folder: Path) -> Iterator[str]:
    for name in sorted(folder.glob("*.path")):
        file = Path(os.fsdecode(name.read_bytes()))
        try:
            if _content(file) == name.with_suffix(".copy").read_bytes():
                continue
            what = "has changed"
        except OSError:
            what = "has become unreadable" if file.exists() else "has vanished"
        yield f"{file} {what} since it was read: what was measured is its content at the start"


def _copy_of(file: Path) -> Path | None:
    """Return the path of the copy of `file`, which may not exist yet; None outside a measurement."""
    folder = os.environ.get(COPIES)
    return Path(folder) / f"{hashlib.sha256(os.fsencode(file.absolute())).hexdigest()}.copy" if folder else None


def is_file(file: Path) -> bool:
    """Return whether there is a file, or was one when it was read first."""
    copy = _copy_of(file)
    return file.is_file() or (copy is not None and copy.is_file())


def read_once(file: Path, keep: bool = True) -> bytes:
    """Return the content of a file as it was first read in a measurement. Raise OSError if it cannot be read.

    keep: whether this counts as the first time.
    """
    copy = _copy_of(file)
    if copy is None or not (keep or copy.is_file()):
        return _content(file)
    if not copy.is_file():
        new = copy.with_suffix(f".{os.getpid()}")
        new.write_bytes(_content(file))
        copy.with_suffix(".path").write_bytes(os.fsencode(file.absolute()))
        try:
            os.link(new, copy)
        except FileExistsError:  # another process was faster
            pass
        except OSError:  # the file system has no hard links
            new.replace(copy)
        new.unlink(missing_ok=True)
    return copy.read_bytes()


def _content(file: Path) -> bytes:
    """Return the content of a file. Raise OSError for a FIFO or a device, which could be read without end."""
    mode = file.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "it is not a regular file")
    return file.read_bytes()


def _read_bytes(file: Path) -> bytes:
    try:
        raw = read_once(file)
    except FileNotFoundError:
        raise CannotLoad(f"{file}: no such file") from None
    except OSError as error:
        raise CannotLoad(f"{file}: cannot be read: {error.strerror}") from None
    if b"\0" in raw:
        raise CannotLoad(f"{file}: not a Python source file (binary data)")
    return raw


def _decode(raw: bytes) -> str:
    """Return the text of a source file; byte-order mark, coding line and line ends are treated as in Python.

    Bytes that are invalid in the declared encoding, in old files mostly in comments, are replaced.
    """
    try:
        encoding, _ = tokenize.detect_encoding(iter(raw.splitlines(keepends=True)).__next__)
    except SyntaxError:
        encoding = "utf-8"
    text = raw.decode(encoding, errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


_COMMENT_OR_STRING = re.compile(
    r"""
    \#[^\n]*
    | (?P<quotes>\"{3}|'{3}) (?: \\. | (?!(?P=quotes)). )* (?P=quotes)
    | "(?:\\.|[^"\\\n])*"?
    | '(?:\\.|[^'\\\n])*'?
    """,
    re.VERBOSE | re.DOTALL,
)
_CONTINUATION = re.compile(r"\s|$|#|[)\]}]|(else|elif|except|finally)\b")
"""Beginning of a line that does not start a new top-level statement."""


def _top_level_blocks(lines: list[str]) -> Iterator[range]:
    """Yield the line ranges of the top-level statements, found without parsing, since the text may be invalid."""
    inside_string: set[int] = set()
    text = "\n".join(lines)
    for match in _COMMENT_OR_STRING.finditer(text):
        first = text.count("\n", 0, match.start())
        inside_string.update(range(first + 1, first + 1 + match[0].count("\n")))
    starts = [0]
    for number in range(len(lines)):
        decorated = lines[starts[-1]].startswith("@") and not any(
            re.match(r"(async\s+)?(def|class)\b", lines[above]) for above in range(starts[-1], number)
        )
        if number and number not in inside_string and not decorated and not _continues(lines, number):
            starts.append(number)
    for first, following in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield range(first, following)


def _continues(lines: list[str], number: int) -> bool:
    """Return whether a line does not start a new top-level statement.

    Markers of a merge conflict belong to the block that they are inside, so that no part of a function is left alone.
    """
    if not _CONFLICT.match(lines[number]):
        return bool(_CONTINUATION.match(lines[number]))
    below = (line for line in lines[number + 1 :] if line.strip() and not _CONFLICT.match(line))
    return next(below, "")[:1].isspace()


def _definitions_in_invalid_block(lines: list[str], block: range) -> Iterator[Definition]:
    """Yield the unindented definitions of a block that cannot be parsed, read from their ``def`` lines alone."""
    text = "\n".join(lines[block.start : block.stop])
    for match in re.finditer(r"^def\s+\w+\s*\([^()]*\)", text, re.MULTILINE):
        line = block.start + text.count("\n", 0, match.start()) + 1
        try:
            node = ast.parse("\n" * (line - 1) + match[0] + ": pass").body[0]
        except SyntaxError:
            continue
        assert isinstance(node, ast.FunctionDef)
        yield Definition.of(node)


def _guarded_lines(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and node.handlers:
            for statement in node.body:
                yield from range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)


# Recognition of loss functions by their parameters and their name, without a call

Role = Literal["W", "X", "y", "reg"]
"""Argument of a loss function."""

ROLES: tuple[Role, ...] = ("W", "X", "y", "reg")

_NAMES: dict[Role, str] = {
    "W": r"w\d?|w_?t|weights?|weight_?(matrix|s)|theta\d?|coefs?|beta",
    "X": r"x.*|tx|\w+_x|data|inputs?|images|features|samples",
    "y": r"y.*|\w+_y|labels?|targets?|t",
    "reg": r"reg.*|_?lam\w*|lmbda|alpha|l2(_?reg)?|penalty|strength|weight_decay",
}
"""Names of the parameters that take an argument, as a pattern, in upper or lower case."""

_OTHER_NAMES = re.compile(
    r"b\d?|bias(es)?|(\w*_)?(lr|eta|rate|steps?|epochs?|iters?|iterations?|size|num|scores?|grads?|probs?)|learning_?rate"
    r"|batch.*|num.*|n|n_.*|k|max_.*|delta|margin|eps(ilon)?|verbose|debug|cache|model|mode|loss.*|func.*|f|h|path|file.*"
    r"|shape|classes|config|optimizer|device|momentum|dw",
    re.IGNORECASE,
)
"""Names of parameters that are none of the four arguments."""

_NO_LOSS = re.compile(
    r"accura|^_?(train|fit|predict|plot|test|check|eval|run|main|numeric)|_(predict|train)", re.IGNORECASE
)
_ANY_LOSS = re.compile(r"loss|cost|objective", re.IGNORECASE)
_LOSS_NAMES: tuple[tuple[LossName, re.Pattern[str]], ...] = (
    ("svm", re.compile(r"svm|hinge", re.IGNORECASE)),
    ("softmax", re.compile(r"softmax|cross_?entropy|xent", re.IGNORECASE)),
)


def role_of(parameter: str) -> Role | None:
    """Return which argument of a loss a parameter of this name takes, or None."""
    return next((role for role in ROLES if re.fullmatch(_NAMES[role], parameter, re.IGNORECASE)), None)


@dataclass(frozen=True)
class Binding:
    """How a function takes W, X, y and reg: its positional arguments, in order, and those that it takes by keyword.

    attributes: those that an object has as attributes, by the attribute's name.
    """

    positional: tuple[Role, ...] = ROLES
    keywords: tuple[tuple[str, Role], ...] = ()
    attributes: tuple[tuple[str, Role], ...] = ()

    @property
    def as_usual(self) -> bool:
        """Whether the function takes (W, X, y, reg)."""
        return self == Binding()

    def __str__(self) -> str:
        arguments = ", ".join([*self.positional, *(f"{name}={role}" for name, role in self.keywords)])
        attributes = "".join(f", {role} in self.{name}" for name, role in self.attributes)
        return f"arguments ({arguments}){attributes}"


def bind(
    parameters: Sequence[str], required: int, attributes: Collection[str] = (), by_position: bool = False
) -> Binding | None:
    """Return how a function with these positional parameters takes the four arguments, or None.

    Parameters are recognised by their names, in any order. by_position: names that say nothing are bound by their
    position, unless the others contradict that. required: number of parameters without a default, all of which must be
    bound. attributes: names of attributes of the function's object, for arguments that are no parameters.
    """
    roles: list[Role | None] = [role_of(parameter) for parameter in parameters]
    named = [role for role in roles[:required] if role]
    if len(set(named)) < len(named):
        return None  # such as X_train and X_test
    places = {role: roles.index(role) for role in ROLES if role in roles}
    found = tuple((name, role) for role in ROLES if role not in places for name in _attributes_for(role, attributes))
    if len(places) + len(found) == len(ROLES) and None not in roles[:required]:
        used = [role if role and places[role] == place else None for place, role in enumerate(roles)]
        leading = next((place for place, role in enumerate(used) if role is None), len(used))
        keywords = tuple((parameters[place], role) for place, role in enumerate(used) if role and place >= leading)
        return Binding(tuple(role for role in used[:leading] if role), keywords, found)
    if not by_position or required != 4:
        return None
    unknown = [name for name, role in zip(parameters[:4], roles, strict=False) if role is None]
    if any(_OTHER_NAMES.fullmatch(name) for name in unknown if len(name) > 1 or len(unknown) == 1):
        return None
    if len(unknown) == 1:
        [missing] = [role for role in ROLES if role not in named]
        return Binding(tuple(role or missing for role in roles[:4]))
    at_their_place = all(role in (None, usual) for role, usual in zip(roles, ROLES, strict=False))
    return Binding() if at_their_place else None


def _attributes_for(role: Role, attributes: Collection[str]) -> list[str]:
    """Return the attribute that holds an argument, alone in a list, or an empty list."""
    fitting = [name for name in attributes if role_of(name) == role]
    return sorted(fitting, key=lambda name: (name != role, len(name), name))[:1]


def underlying(function: Any) -> Any:
    """Return the plain Python function inside decorators and Numba's dispatchers."""
    return inspect.unwrap(getattr(function, "py_func", function))


def positional_parameters(function: Any) -> tuple[tuple[str, ...], int]:
    """Return the names of the positional parameters and how many of them have no default.

    A function with a keyword-only parameter without a default cannot be called by position: the result is ((), 0).
    """
    parameters = inspect.signature(underlying(function)).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        return (), 0
    return tuple(p.name for p in positional), sum(p.default is p.empty for p in positional)


def loss_binding(
    name: str, parameters: Sequence[str], required: int, attributes: Collection[str] = ()
) -> Binding | None:
    """Return how a function called `name` takes (W, X, y, reg), or None if it does not seem to be a loss.

    Its parameters must have such names, or exactly four are required and the function's name is that of a loss.
    attributes: as in `bind`.
    """
    if _NO_LOSS.search(name) and not _ANY_LOSS.search(name):
        return None
    by_position = loss_in_name(name) is not None or name.endswith("_loss")
    return bind(parameters, required, attributes, by_position)


def may_be_a_loss(name: str) -> bool:
    """Return whether a function or a method of this name may return a loss or a gradient."""
    likely = _ANY_LOSS.search(name) or "grad" in name.lower() or loss_in_name(name) or name == "__call__"
    return bool(likely) and not (_NO_LOSS.search(name) and not _ANY_LOSS.search(name))


def loss_in_name(name: str) -> LossName | None:
    """Return the loss that a function's name contains, or None if it contains neither or both."""
    named: list[LossName] = [loss for loss, pattern in _LOSS_NAMES if pattern.search(name)]
    return named[0] if len(named) == 1 else None
