"""One line of assembly, and what it does: what the readers of each instruction set have in common."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_COMMA_OUTSIDE_BRACKETS = re.compile(r",\s*(?![^(\[{]*[)\]}])")


@dataclass(frozen=True)
class Instruction:
    """A mnemonic and its operands, as written."""

    mnemonic: str
    operands: tuple[str, ...]

    @classmethod
    def parse(cls, line: str) -> Self | None:
        """The line's instruction; None for labels, directives, comments and empty lines."""
        if not line[:1].isspace():
            return None
        # "#" begins a comment for x86 and a number for aarch64
        mnemonic, *rest = line.split("#" if "%" in line else "//")[0].split(maxsplit=1)[:2] or [""]
        if not mnemonic or mnemonic.startswith((".", "#")):
            return None
        return cls(mnemonic, tuple(_COMMA_OUTSIDE_BRACKETS.split(rest[0].strip())) if rest else ())


@dataclass(frozen=True)
class Effect:
    """What one instruction adds to the counts of `assembly.Loop`, whose fields these are."""

    vector_bits: int = 0
    fma: int = 0
    arithmetic: int = 0
    flops: int = 0
    loads: int = 0
    stores: int = 0
    broadcasts: int = 0
    gathers: int = 0
    prefetches: int = 0
    calls: int = 0
    stack: int = 0
    vector_registers: frozenset[int] = frozenset()
