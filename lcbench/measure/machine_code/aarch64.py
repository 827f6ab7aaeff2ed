"""What an aarch64 instruction does, as ARM writes it (``fmla v0.4s, v1.4s, v2.4s``) or Apple (``fmla.4s v0, v1, v2``).

The destination stands first. Registers of the scalable vector extension (``z0.s``) count as the 128 bits that they
have at least.
"""

from __future__ import annotations

import re

from lcbench.measure.machine_code.instruction import Effect, Instruction

_FMA = re.compile(r"(fmla|fmls|fmad|fmsb|fnmla|fnmls|fmadd|fmsub|fnmadd|fnmsub)$")
_ARITHMETIC = re.compile(r"(fadd|fsub|fmul|fdiv|fmax|fmin|fmaxnm|fminnm|fsqrt|faddp|fnmul|fabd|fsubr|fdivr)$")
_VECTOR_REGISTER = re.compile(r"\b[vzqdshb](\d+)\b")
_ITEM_BITS = {"b": 8, "h": 16, "s": 32, "d": 64}
_ARRANGEMENT = re.compile(r"(?:v\d+)?\.(\d+)([bhsd])\b|z\d+\.([bhsd])\b")
_STACK = re.compile(r"\[(sp|x29|fp)\b")


def effect(instruction: Instruction) -> Effect:
    """What `instruction` does."""
    name, dot, apples = instruction.mnemonic.partition(".")
    operands = " ".join(instruction.operands)
    registers = frozenset(int(number) for number in _VECTOR_REGISTER.findall(operands))
    fma = bool(_FMA.match(name))
    computes = fma or bool(_ARITHMETIC.match(name))
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
