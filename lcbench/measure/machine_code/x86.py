"""What an x86 instruction does, in AT&T syntax: the destination stands last."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from lcbench.measure.machine_code.instruction import Effect, Instruction

_FMA = re.compile(r"vfn?m(?:add|sub|addsub|subadd)(?:132|213|231)?([ps])([sd])$")
_ARITHMETIC = re.compile(r"v?(?:add|sub|addsub|hadd|mul|div|max|min|sqrt|r?rcp(?:14)?|rsqrt(?:14)?)([ps])([sd])$")
_VECTOR_REGISTER = re.compile(r"%([xyz])mm(\d+)")
_BITS = {"x": 128, "y": 256, "z": 512}
_MEMORY = re.compile(r"\((%\w+)?[^)]*\)")
_FRAME = re.compile(r"\s+movq\s+%rsp, %rbp")

_TOUCH_NO_MEMORY = ("lea", "nop", "prefetch", "j", "call")
_ONLY_READ = ("cmp", "test", "bt", "ucomi", "comi", "vucomi", "vcomi", "vptest", "push", "div", "idiv", "mul", "imul")
_ONLY_WRITE = ("mov", "vmov", "set", "vextract", "vpextr", "pop", "vcompress", "vpcompress", "vcvt", "vscatter",
               "vpscatter", "vpmov")  # fmt: skip


def reader(function: list[str]) -> Callable[[Instruction], Effect]:
    """Reads the instructions of `function`, whose stack is where %rsp points and, if it says so, %rbp."""
    return partial(effect, stack=("%rsp", "%rbp") if any(map(_FRAME.match, function)) else ("%rsp",))


def effect(instruction: Instruction, stack: tuple[str, ...] = ("%rsp",)) -> Effect:
    """What `instruction` does; `stack` are the registers that point into the stack."""
    mnemonic, operands = instruction.mnemonic, instruction.operands
    registers = frozenset(int(number) for _, number in _VECTOR_REGISTER.findall(" ".join(operands)))
    bits = flops = 0
    fma = _FMA.match(mnemonic)
    computes = fma or _ARITHMETIC.match(mnemonic)
    if computes:
        packed, itemsize = computes[1] == "p", 32 if computes[2] == "s" else 64
        destination = _VECTOR_REGISTER.search(operands[-1])
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
