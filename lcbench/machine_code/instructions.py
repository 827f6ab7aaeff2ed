"""Instructions of x86 and aarch64 assembly, and their contribution to the counts of a loop."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

_ENCODING = re.compile(r"\{(?:e?vex|vex[23])\}\s*")
"""Prefix that selects the encoding of an x86 instruction."""

_COMMA_OUTSIDE_BRACKETS = re.compile(r",\s*(?![^(\[{]*[)\]}])")


@dataclass(frozen=True)
class Instruction:
    """Mnemonic and operands as written in the assembly."""

    mnemonic: str
    operands: tuple[str, ...]

    @classmethod
    def parse(cls, line: str) -> Self | None:
        """Return the instruction of a line, or None for a label, a directive, a comment or an empty line."""
        if not line[:1].isspace():
            return None
        line = _ENCODING.sub("", line)
        # "#" begins a comment on x86 and a number on aarch64.
        mnemonic, *rest = line.split("#" if "%" in line else "//")[0].split(maxsplit=1)[:2] or [""]
        if not mnemonic or mnemonic.startswith((".", "#")):
            return None
        return cls(mnemonic, tuple(_COMMA_OUTSIDE_BRACKETS.split(rest[0].strip())) if rest else ())


@dataclass(frozen=True)
class Effect:
    """Contribution of one instruction to the fields of the same names of `loops.Loop`."""

    vector_bits: int = 0
    fma: int = 0
    dots: int = 0
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


# x86 in AT&T syntax: the destination is the last operand.

_FMA_X86 = re.compile(r"vfn?m(?:add|sub|addsub|subadd)(?:132|213|231)?([ps])([sd])$")
_ARITHMETIC_X86 = re.compile(r"v?(?:add|sub|addsub|hadd|mul|div|max|min|sqrt|r?rcp(?:14)?|rsqrt(?:14)?)([ps])([sd])$")
_DOT_X86 = re.compile(r"vpdpbusds?$|tdpb(?:us|su|ss|uu)d$")
_TILE_BITS = 16 * 64 * 8
"""Bits of a tile register of 16 rows of 64 bytes. Their product is 16 * 16 dot products of 64 bytes."""
_VECTOR_REGISTER_X86 = re.compile(r"%([xyz])mm(\d+)")
_REGISTER_BITS_X86 = {"x": 128, "y": 256, "z": 512}
_MEMORY_X86 = re.compile(r"\((%\w+)?[^)]*\)")
_FRAME_POINTER_SETUP = re.compile(r"\s+movq\s+%rsp, %rbp")

_NO_ACCESS = ("lea", "nop", "prefetch", "j", "call")
"""Prefixes of mnemonics that access no memory, although an operand looks like it."""

_ONLY_READ = ("cmp", "test", "bt", "ucomi", "comi", "vucomi", "vcomi", "vptest", "push", "div", "idiv", "mul", "imul")
_ONLY_WRITE = ("mov", "vmov", "set", "vextract", "vpextr", "pop", "vcompress", "vpcompress", "vcvt", "vscatter",
               "vpscatter", "vpmov")  # fmt: skip


def x86_reader(function: list[str]) -> Callable[[Instruction], Effect]:
    """Return `x86_effect` for the lines of one function, where %rbp points to the stack only if it is set up so."""
    stack = ("%rsp", "%rbp") if any(map(_FRAME_POINTER_SETUP.match, function)) else ("%rsp",)
    return partial(x86_effect, stack=stack)


def x86_effect(instruction: Instruction, stack: tuple[str, ...] = ("%rsp",)) -> Effect:
    """Return the effect of `instruction`. stack: registers that point to the stack."""
    mnemonic, operands = instruction.mnemonic, instruction.operands
    registers = frozenset(int(number) for _, number in _VECTOR_REGISTER_X86.findall(" ".join(operands)))
    bits = flops = 0
    fma = _FMA_X86.match(mnemonic)
    computes = fma or _ARITHMETIC_X86.match(mnemonic)
    if computes:
        packed, itemsize = computes[1] == "p", 32 if computes[2] == "s" else 64
        destination = _VECTOR_REGISTER_X86.search(operands[-1])
        bits = _REGISTER_BITS_X86[destination[1]] if packed and destination else 0
        flops = (bits // itemsize or 1) * (2 if fma else 1)
    dot = _DOT_X86.match(mnemonic)
    if dot:
        vector = _VECTOR_REGISTER_X86.search(operands[-1])
        bits = _REGISTER_BITS_X86[vector[1]] if vector else _TILE_BITS
        flops = 2 * (bits // 8 if vector else 16 * 16 * 64)
    loads, stores, stack_accesses = _x86_accesses(mnemonic, operands, stack)
    return Effect(
        vector_bits=bits,
        fma=bool(fma),
        dots=bool(dot),
        arithmetic=bool(computes and not fma),
        flops=flops,
        loads=loads,
        stores=stores,
        broadcasts=bool(re.match(r"v(p?broadcast|movddup)", mnemonic) or "{1to" in " ".join(operands)),
        gathers=bool(re.match(r"vp?gather", mnemonic)),
        prefetches=mnemonic.startswith("prefetch"),
        calls=mnemonic.startswith("call"),
        stack=stack_accesses,
        vector_registers=registers,
    )


def _x86_accesses(mnemonic: str, operands: tuple[str, ...], stack: tuple[str, ...]) -> tuple[int, int, int]:
    """Return the numbers of loads, of stores and of accesses to the stack, which count as neither."""
    in_memory = [n for n, operand in enumerate(operands) if _MEMORY_X86.search(operand)]
    if not in_memory or mnemonic.startswith(_NO_ACCESS):
        return 0, 0, 0
    address = _MEMORY_X86.search(operands[in_memory[0]])
    if address and address[1] in stack:
        return 0, 0, 1
    if in_memory[0] < len(operands) - 1 or mnemonic.startswith(_ONLY_READ):
        return 1, 0, 0
    return (0, 1, 0) if mnemonic.startswith(_ONLY_WRITE) else (1, 1, 0)


# aarch64 in ARM's syntax (``fmla v0.4s, v1.4s, v2.4s``) or Apple's (``fmla.4s v0, v1, v2``): the destination is the
# first operand. Registers of the scalable vector extension (``z0.s``) count as 128 bits, their minimum.

_FMA_AARCH64 = re.compile(r"(fmla|fmls|fmad|fmsb|fnmla|fnmls|fmadd|fmsub|fnmadd|fnmsub)$")
_ARITHMETIC_AARCH64 = re.compile(r"(fadd|fsub|fmul|fdiv|fmax|fmin|fmaxnm|fminnm|fsqrt|faddp|fnmul|fabd|fsubr|fdivr)$")
_VECTOR_REGISTER_AARCH64 = re.compile(r"\b[vzqdshb](\d+)\b")
_ITEM_BITS = {"b": 8, "h": 16, "s": 32, "d": 64}
_ARRANGEMENT = re.compile(r"(?:v\d+)?\.(\d+)([bhsd])\b|z\d+\.([bhsd])\b")
_BASE_AARCH64 = re.compile(r"\[(\w+)")
_FRAME_POINTER_SETUP_AARCH64 = re.compile(r"\s+(mov|add)\s+(x29|fp), sp\b")


def aarch64_reader(function: list[str]) -> Callable[[Instruction], Effect]:
    """Return `aarch64_effect` for the lines of one function, where x29 points to the stack only if it is set up so."""
    stack = ("sp", "x29", "fp") if any(map(_FRAME_POINTER_SETUP_AARCH64.match, function)) else ("sp",)
    return partial(aarch64_effect, stack=stack)


def aarch64_effect(instruction: Instruction, stack: tuple[str, ...] = ("sp",)) -> Effect:
    """Return the effect of `instruction`. stack: registers that point to the stack."""
    name, dot, apple_arrangement = instruction.mnemonic.partition(".")
    operands = " ".join(instruction.operands)
    registers = frozenset(int(number) for number in _VECTOR_REGISTER_AARCH64.findall(operands))
    fma = bool(_FMA_AARCH64.match(name))
    computes = fma or bool(_ARITHMETIC_AARCH64.match(name))
    bits, lanes = _vector_shape(f".{apple_arrangement}" if dot else instruction.operands[0]) if computes else (0, 1)
    accesses = 2 if re.match(r"(ld|st)n?p", name) else 1
    loads, stores = accesses * name.startswith("ld"), accesses * name.startswith("st")
    base = _BASE_AARCH64.search(operands)
    stack_accesses = loads + stores if base and base[1] in stack else 0
    return Effect(
        vector_bits=bits,
        fma=fma,
        arithmetic=computes and not fma,
        flops=lanes * (2 if fma else 1) if computes else 0,
        loads=0 if stack_accesses else loads,
        stores=0 if stack_accesses else stores,
        broadcasts=name == "dup" or bool(re.match(r"ld1r", name)),
        gathers=bool(re.match(r"ld1\w*$", name) and re.search(r"\[[^]]*\bz\d+", operands)),
        prefetches=name.startswith("prf"),
        calls=name in ("bl", "blr"),
        stack=stack_accesses,
        vector_registers=registers,
    )


def _vector_shape(operand: str) -> tuple[int, int]:
    """Return the bits and the lanes of a vector operand, or 0 and 1 for a scalar."""
    arrangement = _ARRANGEMENT.match(operand)
    if not arrangement:
        return 0, 1
    count, item, scalable_item = arrangement.groups()
    lanes = int(count) if count else 128 // _ITEM_BITS[scalable_item]
    return lanes * _ITEM_BITS[item or scalable_item], lanes
