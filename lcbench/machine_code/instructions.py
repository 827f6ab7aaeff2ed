"""One line of assembly, and what it does: what the readers of each instruction set have in common."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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


# What an x86 instruction does, in AT&T syntax: the destination stands last.

_FMA_X86 = re.compile(r"vfn?m(?:add|sub|addsub|subadd)(?:132|213|231)?([ps])([sd])$")
_ARITHMETIC_X86 = re.compile(r"v?(?:add|sub|addsub|hadd|mul|div|max|min|sqrt|r?rcp(?:14)?|rsqrt(?:14)?)([ps])([sd])$")
_VECTOR_REGISTER_X86 = re.compile(r"%([xyz])mm(\d+)")
_BITS = {"x": 128, "y": 256, "z": 512}
_MEMORY = re.compile(r"\((%\w+)?[^)]*\)")
_FRAME = re.compile(r"\s+movq\s+%rsp, %rbp")

_TOUCH_NO_MEMORY = ("lea", "nop", "prefetch", "j", "call")
_ONLY_READ = ("cmp", "test", "bt", "ucomi", "comi", "vucomi", "vcomi", "vptest", "push", "div", "idiv", "mul", "imul")
_ONLY_WRITE = ("mov", "vmov", "set", "vextract", "vpextr", "pop", "vcompress", "vpcompress", "vcvt", "vscatter",
               "vpscatter", "vpmov")  # fmt: skip


def x86_reader(function: list[str]) -> Callable[[Instruction], Effect]:
    """Reads the instructions of `function`, whose stack is where %rsp points and, if it says so, %rbp."""
    return partial(x86_effect, stack=("%rsp", "%rbp") if any(map(_FRAME.match, function)) else ("%rsp",))


def x86_effect(instruction: Instruction, stack: tuple[str, ...] = ("%rsp",)) -> Effect:
    """What `instruction` does; `stack` are the registers that point into the stack."""
    mnemonic, operands = instruction.mnemonic, instruction.operands
    registers = frozenset(int(number) for _, number in _VECTOR_REGISTER_X86.findall(" ".join(operands)))
    bits = flops = 0
    fma = _FMA_X86.match(mnemonic)
    computes = fma or _ARITHMETIC_X86.match(mnemonic)
    if computes:
        packed, itemsize = computes[1] == "p", 32 if computes[2] == "s" else 64
        destination = _VECTOR_REGISTER_X86.search(operands[-1])
        bits = _BITS[destination[1]] if packed and destination else 0
        flops = (bits // itemsize or 1) * (2 if fma else 1)
    loads, stores, to_stack = _accesses(mnemonic, operands, stack)
    return Effect(
        vector_bits=bits,
        fma=bool(fma),
        arithmetic=bool(computes and not fma),
        flops=flops,
        loads=loads,
        stores=stores,
        broadcasts=bool(re.match(r"v(p?broadcast|movddup)", mnemonic) or "{1to" in " ".join(operands)),
        gathers=bool(re.match(r"vp?gather", mnemonic)),
        prefetches=mnemonic.startswith("prefetch"),
        calls=mnemonic.startswith("call"),
        stack=to_stack,
        vector_registers=registers,
    )


def _accesses(mnemonic: str, operands: tuple[str, ...], stack: tuple[str, ...]) -> tuple[int, int, int]:
    """Loads, stores, and accesses to the stack, which are neither."""
    in_memory = [n for n, operand in enumerate(operands) if _MEMORY.search(operand)]
    if not in_memory or mnemonic.startswith(_TOUCH_NO_MEMORY):
        return 0, 0, 0
    place = _MEMORY.search(operands[in_memory[0]])
    if place and place[1] in stack:
        return 0, 0, 1
    if in_memory[0] < len(operands) - 1 or mnemonic.startswith(_ONLY_READ):
        return 1, 0, 0
    return (0, 1, 0) if mnemonic.startswith(_ONLY_WRITE) else (1, 1, 0)


# What an aarch64 instruction does, as ARM writes it (``fmla v0.4s, v1.4s, v2.4s``) or Apple (``fmla.4s v0, v1, v2``).
#
# The destination stands first. Registers of the scalable vector extension (``z0.s``) count as the 128 bits that they
# have at least.

_FMA_AARCH64 = re.compile(r"(fmla|fmls|fmad|fmsb|fnmla|fnmls|fmadd|fmsub|fnmadd|fnmsub)$")
_ARITHMETIC_AARCH64 = re.compile(r"(fadd|fsub|fmul|fdiv|fmax|fmin|fmaxnm|fminnm|fsqrt|faddp|fnmul|fabd|fsubr|fdivr)$")
_VECTOR_REGISTER_AARCH64 = re.compile(r"\b[vzqdshb](\d+)\b")
_ITEM_BITS = {"b": 8, "h": 16, "s": 32, "d": 64}
_ARRANGEMENT = re.compile(r"(?:v\d+)?\.(\d+)([bhsd])\b|z\d+\.([bhsd])\b")
_STACK = re.compile(r"\[(sp|x29|fp)\b")


def aarch64_effect(instruction: Instruction) -> Effect:
    """What `instruction` does."""
    name, dot, apples = instruction.mnemonic.partition(".")
    operands = " ".join(instruction.operands)
    registers = frozenset(int(number) for number in _VECTOR_REGISTER_AARCH64.findall(operands))
    fma = bool(_FMA_AARCH64.match(name))
    computes = fma or bool(_ARITHMETIC_AARCH64.match(name))
    bits, lanes = _shape(f".{apples}" if dot else instruction.operands[0]) if computes else (0, 1)
    accesses = 2 if re.match(r"(ld|st)n?p", name) else 1
    loads, stores = accesses * name.startswith("ld"), accesses * name.startswith("st")
    stack = loads + stores if _STACK.search(operands) else 0
    return Effect(
        vector_bits=bits,
        fma=fma,
        arithmetic=computes and not fma,
        flops=lanes * (2 if fma else 1) if computes else 0,
        loads=0 if stack else loads,
        stores=0 if stack else stores,
        broadcasts=name == "dup" or bool(re.match(r"ld1r", name)),
        gathers=bool(re.match(r"ld1\w*$", name) and re.search(r"\[[^]]*\bz\d+", operands)),
        prefetches=name.startswith("prf"),
        calls=name in ("bl", "blr"),
        stack=stack,
        vector_registers=registers,
    )


def _shape(arranged: str) -> tuple[int, int]:
    """Bits and lanes of what is computed; 0 and 1 where it is one number."""
    shape = _ARRANGEMENT.match(arranged)
    if not shape:
        return 0, 1
    count, item, scalable_item = shape.groups()
    lanes = int(count) if count else 128 // _ITEM_BITS[scalable_item]
    return lanes * _ITEM_BITS[item or scalable_item], lanes
