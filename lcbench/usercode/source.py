"""From a file to statements: decode it, parse it, and leave out only what cannot be parsed."""

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
    """What a ``def`` line says: its positional parameters, the first `required` of which have no default."""

    name: str
    line: int
    parameters: tuple[str, ...]
    required: int

    @classmethod
    def of(cls, node: ast.FunctionDef) -> Definition:
        positional = [*node.args.posonlyargs, *node.args.args]
        names = tuple(argument.arg for argument in positional)
        return cls(node.name, node.lineno, names, len(names) - len(node.args.defaults))


@dataclass(frozen=True)
class Note:
    """Something in a file that was passed over: where, why, and the functions that went with it."""

    line: int
    reason: str
    definitions: tuple[Definition, ...] = ()

    def __str__(self) -> str:
        names = ", ".join(definition.name for definition in self.definitions)
        return f"line {self.line}: {self.reason}, skipped" + (f" with {names}" if names else "")


@dataclass(frozen=True)
class Source:
    """A parsed file.

    filename: what its code objects say. The file itself, so that tracebacks and Numba's cache find it, unless what was
        compiled differs from what Python would read there: Numba parses the whole file again, and stumbles.
    guarded: the lines inside the body of a ``try`` that has handlers.
    """

    file: Path
    filename: str
    statements: tuple[ast.stmt, ...]
    notes: tuple[Note, ...]
    guarded: frozenset[int]


def read_source(file: Path) -> Source:
    """Read and parse `file`; what cannot be parsed is left out and noted.

    Raises CannotLoad where the file cannot be read or is not Python source.
    """
    raw = _bytes(file)
    text = _decode(raw)
    return parse_source(text, file, as_it_stands=text.encode() == raw.replace(b"\r\n", b"\n"))


def parse_source(text: str, file: Path, as_it_stands: bool = True) -> Source:
    """Parse `text`. Where it is no valid Python as a whole, its top-level blocks are parsed one by one.

    A block that fails is blanked rather than deleted, so that the others keep their line numbers.
    """
    notes = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes and the like in somebody else's file
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
                    notes.append(Note(line, reason, tuple(_headers(lines, block))))
                    lines[first:last] = [""] * len(block)
            tree = ast.parse("\n".join(lines), str(file))
    filename = str(file) if as_it_stands and not notes else f"{file} (as read)"
    return Source(file, filename, tuple(tree.body), tuple(notes), frozenset(_guarded_lines(tree)))


def syntax_reason(error: SyntaxError, line: str) -> str:
    """Why the source `line` is a syntax error: in the words of Python 2 where it was right then."""
    if isinstance(error, TabError):
        return "Python 2 syntax: tabs and spaces mixed in the indentation"
    if re.match(r"\s*[%!]", line):
        return f"IPython magic: {line.strip()}"
    for pattern, what in _PYTHON_2:
        if re.search(pattern, line):
            return f"Python 2 syntax: {what}"
    return f"syntax error: {error.msg}"


_PYTHON_2 = (
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


def _bytes(file: Path) -> bytes:
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
    """The text of a source file: byte-order mark, coding line and line ends as Python reads them.

    Characters outside the declared encoding (in old files mostly comments) are replaced instead of refused.
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


def _top_level_blocks(lines: list[str]) -> Iterator[range]:
    """Line ranges of the top-level statements, found without parsing: the text may be broken anywhere."""
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


def _headers(lines: list[str], block: range) -> Iterator[Definition]:
    """Definitions at the left margin of a block that does not parse, from their ``def`` lines alone."""
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


# Which functions look like a loss: by their parameters and their name, without calling them.

_PARAMETERS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"w\d?|w_?t|weights?|theta|coef|params?",
        r"x.*|data|inputs?|images|features",
        r"y.*|labels?|targets?|t",
        r"reg.*|lam|lamda|lambda_?|lmbda|alpha|l2|penalty|strength|weight_decay",
    )
)
_NAMES: tuple[tuple[LossName, re.Pattern[str]], ...] = (
    ("svm", re.compile(r"svm|hinge", re.IGNORECASE)),
    ("softmax", re.compile(r"softmax|cross_?entropy|xent", re.IGNORECASE)),
)


def underlying(function: Any) -> Any:
    """The plain Python function under decorators and compilers."""
    return inspect.unwrap(getattr(function, "py_func", function))


def positional_parameters(function: Any) -> tuple[tuple[str, ...], int]:
    """Names of the positional parameters, and how many of them have no default.

    A keyword-only parameter without a default makes a call by position impossible: then there are none.
    """
    parameters = inspect.signature(underlying(function)).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        return (), 0
    return tuple(p.name for p in positional), sum(p.default is p.empty for p in positional)


def has_signature(name: str, parameters: Sequence[str], required: int) -> bool:
    """Whether a function called `name` takes (W, X, y, reg).

    Either its first four parameters are named so and no fifth is required, or exactly four are required and the name
    says that it is a loss.
    """
    if len(parameters) < 4 or required > 4:
        return False
    if all(pattern.fullmatch(parameter) for pattern, parameter in zip(_PARAMETERS, parameters, strict=False)):
        return True
    return required == 4 and (loss_in_name(name) is not None or name.endswith("_loss"))


def loss_in_name(name: str) -> LossName | None:
    """The loss that a function's name speaks of; None where it names neither or both."""
    named: list[LossName] = [loss for loss, pattern in _NAMES if pattern.search(name)]
    return named[0] if len(named) == 1 else None
