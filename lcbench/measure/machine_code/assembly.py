"""The innermost loops of LLVM's assembly, and what each pass through one does.

Read are the dialects that LLVM prints without being asked for another: AT&T for x86, ARM's or Apple's for aarch64.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from lcbench.measure.machine_code import aarch64, code_size, x86
from lcbench.measure.machine_code.flow import LABEL, innermost_loops
from lcbench.measure.machine_code.instruction import Effect, Instruction

_LOCAL = re.compile(r"\.?L(BB|tmp|func|CPI)")
_BLOCK = re.compile(r"\.?L(BB|CPI)\d+_\d+")
_WRAPPER = re.compile(r"_?(_ZN7cpython|cfunc\.)")
"""What Numba puts around a function for callers from Python and C: the same code once more, inlined."""


@dataclass(frozen=True)
class Loop:
    """One innermost loop that computes with floating-point numbers. Counts are instructions in one pass through it.

    name: of the function whose code it lies in, as its source calls it; callees may have been inlined.
    label: where it begins, unique in its assembly.
    vector_bits: width of the registers that it computes in; 0 where it computes one number at a time.
    fma, arithmetic: fused multiply-adds; additions, multiplications and the like.
    flops: operations on numbers, a fused multiply-add counting twice.
    loads, stores: accesses to memory but for the stack. broadcasts: loads or moves of one number into all lanes.
    gathers: loads of scattered numbers into one register; each counts as a load, too.
    calls: of other functions, around which registers go to the stack.
    stack: accesses to the stack. Without calls, they are spills: registers ran out.
    vector_registers: how many different ones are named.
    remainder: it follows a wider loop and does the same, for what does not fill that one's vectors.
    code_bytes: length of its machine code, or None where that is not known.
    code: its assembly.
    """

    name: str
    label: str
    vector_bits: int
    fma: int
    arithmetic: int
    flops: int
    loads: int
    stores: int
    broadcasts: int
    gathers: int
    prefetches: int
    calls: int
    stack: int
    vector_registers: int
    remainder: bool
    code_bytes: int | None
    code: str

    @property
    def verdict(self) -> str:
        """The loop in a few words: "512-bit, 20 FMAs, 9 loads, no spills"."""
        if self.vector_bits:
            width = f"{self.vector_bits}-bit"
        elif self.remainder or self.calls:
            width = "scalar remainder" if self.remainder else "scalar"
        else:
            width = "scalar: the vectoriser gave up"
        computes = [_count(self.fma, "FMA")] if self.fma else []
        computes += [_count(self.arithmetic, "other operation" if self.fma else "operation")] if self.arithmetic else []
        gathers = [_count(self.gathers, "gather")] if self.gathers else []
        calls = [_count(self.calls, "call")] if self.calls else []
        spills = _count(self.stack, "stack access", "es") if self.calls else _count(self.stack, "spill")
        return ", ".join([width, *computes, _count(self.loads - self.gathers, "load"), *gathers, *calls, spills])


def loops(assembly: str, machine: str | None = None) -> list[Loop]:
    """The innermost floating-point loops of `assembly`, those with most operations a pass first.

    machine: what it was compiled for, as `platform.machine` calls it; by default this one, and only then are the bytes
    of its code known.
    """
    arm = (machine or platform.machine()).lower() in ("aarch64", "arm64")
    lines = assembly.splitlines()
    found, places = list[Loop](), list[list[tuple[int, int]]]()
    for symbol, start, end in _functions(lines):
        if _WRAPPER.match(symbol):
            continue
        effect_of = aarch64.effect if arm else x86.reader(lines[start:end])
        of_function, pieces = list[Loop](), []
        for blocks in innermost_loops(lines[start:end]):
            piece = [(start + block.first, start + block.last) for block in blocks]
            loop = _read(source_name(symbol), [line for first, last in piece for line in lines[first:last]], effect_of)
            if loop.flops:
                of_function.append(loop)
                pieces.append(piece)
        found += _with_remainders(of_function)
        places += pieces
    sizes = code_size.sizes(lines, places) if found and machine is None else None
    if sizes:
        found = [replace(loop, code_bytes=size) for loop, size in zip(found, sizes, strict=True)]
    return sorted(found, key=lambda loop: -loop.flops)


def source_name(symbol: str) -> str:
    """The function's own name in what Numba made of it, marked where it is one of Numba's."""
    mangled = re.match(r"_?_ZN", symbol)
    if not mangled:
        return symbol
    parts, at = [], mangled.end()
    while length := re.match(r"\d+", symbol[at:]):
        at += length.end() + int(length[0])
        part = symbol[at - int(length[0]) : at].replace("_3c", "<").replace("_3e", ">")
        parts.append("prange" if part.startswith("__numba_parfor_gufunc") else part)
    parts = [part for part in parts if part != "<locals>"]
    if not parts:
        return symbol
    return f"numba.{parts[-1]}" if parts[0] == "numba" else parts[-1]


def without_labels(code: str) -> str:
    """Assembly with all labels alike, so that two copies of a loop are equal."""
    return _BLOCK.sub("L", code)


def _functions(lines: list[str]) -> Iterator[tuple[str, int, int]]:
    """Each global label, and the lines from behind it up to the next."""
    symbol, start = "", 0
    for n, line in enumerate(lines):
        label = LABEL.match(line)
        if label and not _LOCAL.match(line):
            yield symbol, start, n
            symbol, start = label[1] or label[2], n + 1
    yield symbol, start, len(lines)


def _read(name: str, text: list[str], effect_of: Callable[[Instruction], Effect]) -> Loop:
    effects = [effect_of(instruction) for instruction in filter(None, map(Instruction.parse, text))]
    label = LABEL.match(text[0])
    return Loop(
        name=name,
        label=(label[2] or "") if label else "",
        vector_bits=max((effect.vector_bits for effect in effects), default=0),
        fma=sum(effect.fma for effect in effects),
        arithmetic=sum(effect.arithmetic for effect in effects),
        flops=sum(effect.flops for effect in effects),
        loads=sum(effect.loads for effect in effects),
        stores=sum(effect.stores for effect in effects),
        broadcasts=sum(effect.broadcasts for effect in effects),
        gathers=sum(effect.gathers for effect in effects),
        prefetches=sum(effect.prefetches for effect in effects),
        calls=sum(effect.calls for effect in effects),
        stack=sum(effect.stack for effect in effects),
        vector_registers=len(frozenset[int]().union(*(effect.vector_registers for effect in effects))),
        remainder=False,
        code_bytes=None,
        code="\n".join(text),
    )


def _with_remainders(in_order: Iterable[Loop]) -> Iterator[Loop]:
    """The loops of one function, each marked where it is a remainder.

    LLVM puts the narrower loops for what is left right behind a vector loop. They do the same, so their operations come
    in the same proportions.
    """
    wide: Loop | None = None
    for loop in in_order:
        same_work = wide is not None and loop.fma * wide.arithmetic == wide.fma * loop.arithmetic
        if wide and same_work and loop.vector_bits < wide.vector_bits:
            yield replace(loop, remainder=True)
        else:
            wide = loop if loop.vector_bits else None
            yield loop


def _count(number: int, what: str, plural: str = "s") -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else plural}"
