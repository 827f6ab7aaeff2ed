"""Source of a user's file: decoded and parsed, without the statements that are no valid Python."""

from __future__ import annotations

import ast
import inspect
import re
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcbench.losses.implementation import CannotLoad, LossName


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
    """Skipped part of a file: its line, the reason, and the functions that it would have defined."""

    line: int
    reason: str
    definitions: tuple[Definition, ...] = ()

    def __str__(self) -> str:
        names = ", ".join(definition.name for definition in self.definitions)
        return f"line {self.line}: {self.reason}, skipped" + (f" (defines {names})" if names else "")


@dataclass(frozen=True)
class Source:
    """Parsed file.

    filename: name for its code objects. This is the file's path if the file was parsed unchanged, so that tracebacks
        and Numba's cache find it. Otherwise it is no path, since Numba would parse the file again and fail.
    guarded: lines inside the body of a ``try`` with handlers.
    """

    file: Path
    filename: str
    statements: tuple[ast.stmt, ...]
    notes: tuple[Note, ...]
    guarded: frozenset[int]


def read_source(file: Path) -> Source:
    """Read and parse `file`; statements that cannot be parsed are skipped with a note.

    Raise CannotLoad if the file cannot be read or is not a Python source file.
    """
    raw = _read_bytes(file)
    text = _decode(raw)
    return parse_source(text, file, unchanged=text.encode() == raw.replace(b"\r\n", b"\n"))


def parse_source(text: str, file: Path, unchanged: bool = True) -> Source:
    """Parse `text`; if it is no valid Python as a whole, parse its top-level blocks one by one.

    Lines of a block that fails are replaced by empty lines, so that the others keep their line numbers.

    unchanged: whether `text` is what Python would read from `file`.
    """
    notes = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as invalid escape sequences, which the user did not ask us to report
        try:
            tree = ast.parse(text, str(file))
        except SyntaxError:
            lines = text.split("\n")
            for block in _top_level_blocks(lines):
                first, last = block.start, block.stop
                try:
                    ast.parse("\n" * first + "\n".join(lines[first:last]), str(file))
                except SyntaxError as error:
                    line = min(error.lineno or first + 1, last)
                    reason = syntax_reason(error, lines[line - 1])
                    notes.append(Note(line, reason, tuple(_definitions_in_invalid_block(lines, block))))
                    lines[first:last] = [""] * len(block)
            tree = ast.parse("\n".join(lines), str(file))
    filename = str(file) if unchanged and not notes else f"{file} (as read)"
    return Source(file, filename, tuple(tree.body), tuple(notes), frozenset(_guarded_lines(tree)))


_PYTHON_2_SYNTAX = (
    (r"(^|[:;])\s*print\b\s*[^\s=(.,\[\]);:>]", "print statement"),
    (r"(^|[:;])\s*exec\s+[^\s=(.,]", "exec statement"),
    (r"\bexcept\s+(\([^)]*\)|[\w.]+)\s*,\s*\w+\s*:", "except X, e"),
    (r"\braise\s+[\w.]+\s*,", "raise X, message"),
    (r"`[^`]+`", "backticks"),
    (r"<>", "the operator <>"),
    (r"(?<![\w.])0\d+\b", "octal number without 0o"),
    (r"(?<![\w.])\d+[lL]\b", "long integer"),
    (r"\b[uU][rR]['\"]", "ur string"),
    (r"\b(def\s+\w+\s*\(|lambda\b)[^:]*\([^:=]*\)", "tuple parameter"),
)


def syntax_reason(error: SyntaxError, line: str) -> str:
    """Return why the source `line` is a syntax error; Python 2 syntax and IPython magics are named."""
    if isinstance(error, TabError):
        return "Python 2 syntax: tabs and spaces mixed in the indentation"
    if re.match(r"\s*[%!]", line):
        return f"IPython magic: {line.strip()}"
    for pattern, name in _PYTHON_2_SYNTAX:
        if re.search(pattern, line):
            return f"Python 2 syntax: {name}"
    return f"syntax error: {error.msg}"


def _read_bytes(file: Path) -> bytes:
    try:
        raw = file.read_bytes()
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
    for number, line in enumerate(lines):
        decorated = lines[starts[-1]].startswith("@") and not any(
            re.match(r"(async\s+)?(def|class)\b", lines[above]) for above in range(starts[-1], number)
        )
        if number and number not in inside_string and not decorated and not _CONTINUATION.match(line):
            starts.append(number)
    for first, following in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield range(first, following)


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

_PARAMETERS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"w\d?|w_?t|weights?|theta|coef|params?",
        r"x.*|data|inputs?|images|features",
        r"y.*|labels?|targets?|t",
        r"reg.*|lam|lamda|lambda_?|lmbda|alpha|l2|penalty|strength|weight_decay",
    )
)
_LOSS_NAMES: tuple[tuple[LossName, re.Pattern[str]], ...] = (
    ("svm", re.compile(r"svm|hinge", re.IGNORECASE)),
    ("softmax", re.compile(r"softmax|cross_?entropy|xent", re.IGNORECASE)),
)


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


def has_signature(name: str, parameters: Sequence[str], required: int) -> bool:
    """Return whether a function called `name` seems to take (W, X, y, reg).

    Its first four parameters must have such names and no fifth may be required; or exactly four are required and the
    function's name is that of a loss.
    """
    if len(parameters) < 4 or required > 4:
        return False
    if all(pattern.fullmatch(parameter) for pattern, parameter in zip(_PARAMETERS, parameters, strict=False)):
        return True
    return required == 4 and (loss_in_name(name) is not None or name.endswith("_loss"))


def loss_in_name(name: str) -> LossName | None:
    """Return the loss that a function's name contains, or None if it contains neither or both."""
    named: list[LossName] = [loss for loss, pattern in _LOSS_NAMES if pattern.search(name)]
    return named[0] if len(named) == 1 else None
