"""What stands in a kernel's PTX, the assembly that NVIDIA's driver finishes for each GPU."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

_INSTRUCTION = re.compile(r"^\s+(?:@!?%\w+\s+)?([a-z]\w*(?:[.:]+\w+)*)", re.MULTILINE)
_TYPE = re.compile(r"\.[bfsu](\d+)$")
_VECTOR = re.compile(r"\.v(\d)\b")
_FLOAT64 = re.compile(r"(?!ld|st|mov|bar)\w+(\.\w+)*\.f64\b")


@dataclass(frozen=True)
class Counts:
    """Instructions in the whole kernel, as they stand there: loops are not multiplied out.

    fma: fused multiply-adds of the kernel's own dtype; on pairs of numbers, two each.
    stray_float64: instructions in a float32 kernel that compute with float64 numbers or convert them.
    local: loads and stores of local memory, where arrays land that registers cannot hold.
    loads: how many loads from global memory are so many bytes wide. async_copies: from global to shared memory.
    """

    fma: int
    stray_float64: int
    local: int
    loads: dict[int, int]
    async_copies: int


def counts(ptx: str, dtype: str) -> Counts:
    """The counts of one kernel's PTX; its dtype is "float32" or "float64"."""
    names = _INSTRUCTION.findall(ptx)
    real = "f32" if dtype == "float32" else "f64"
    loads = Counter(_bytes(name) for name in names if name.startswith("ld.global"))
    return Counts(
        fma=sum(name.startswith("fma.") * (2 if name.endswith("x2") else 1) for name in names if f".{real}" in name),
        stray_float64=sum(bool(_FLOAT64.match(name)) for name in names) if dtype == "float32" else 0,
        local=sum(name.startswith(("ld.local", "st.local")) for name in names),
        loads=dict(sorted(loads.items())),
        async_copies=sum(name.startswith("cp.async") and name.count(".shared") > 0 for name in names),
    )


def _bytes(load: str) -> int:
    item, vector = _TYPE.search(load), _VECTOR.search(load)
    return int(item[1]) // 8 * (int(vector[1]) if vector else 1) if item else 0
