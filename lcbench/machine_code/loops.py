"""Innermost loops in LLVM's assembly, with counts of their instructions.

The dialects are those that LLVM prints by default: AT&T for x86, ARM's or Apple's for aarch64.

Run as a module, this file assembles its standard input and prints the sizes that `_with_size_section` asks for.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from lcbench.machine_code import instructions
from lcbench.machine_code.instructions import Effect, Instruction

LineRange = tuple[int, int]
"""Lines first..last - 1 of an assembly."""

_LABEL = re.compile(r'^(?:"([^"]+)"|([^\s":#]+)):')
"""Line that begins with a label. The label is the group that matched."""

PRANGE = "prange"
"""Name of the body of a parallel loop, which is a function of its own; with a number if there are several."""

_LOCAL_LABEL = re.compile(r"\.?L(BB|tmp|func|CPI)")
_BLOCK_LABEL = re.compile(r"\.?L(BB|CPI)\d+_\d+")
_NUMBA_WRAPPER = re.compile(r"_?(_ZN7cpython|cfunc\.)")
"""Wrappers of Numba for callers from Python and C, which contain the same code once more, inlined."""


@dataclass(frozen=True)
class Loop:
    """Innermost loop that computes with floating-point numbers or multiplies bytes. Counts are those of one iteration.

    name: name in the source of the function that contains the loop; its callees may have been inlined.
    label: first label, unique in the assembly.
    vector_bits: width of the registers that the arithmetic uses; 0 for scalar code.
    fma, arithmetic: fused multiply-adds; additions, multiplications and similar instructions.
    dots: dot products of bytes in vector or tile registers.
    flops: operations, where a multiply-add counts as two.
    loads, stores: accesses to memory other than the stack.
    broadcasts: loads or moves of one number to all lanes.
    gathers: loads of scattered numbers to one register; each counts as a load, too.
    calls: calls of other functions, which need registers to be saved on the stack.
    stack: accesses to the stack. In a loop without calls they are spills.
    vector_registers: number of different vector registers.
    remainder: True if the loop processes what does not fill the vectors of the wider loop before it.
    code_bytes: length of the machine code, or None if unknown.
    code: assembly.
    line: line of the function in its source, or lines of the parallel loops that it may be; empty if unknown.
    """

    name: str
    label: str
    vector_bits: int
    fma: int
    dots: int
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
    line: str = ""

    @property
    def verdict(self) -> str:
        """Summary of the loop, for example "512-bit, 20 FMAs, 9 loads, no spills"."""
        if self.vector_bits:
            width = f"{self.vector_bits}-bit"
        elif self.remainder or self.calls:
            width = "scalar remainder" if self.remainder else "scalar"
        else:
            width = "scalar: not vectorised"
        operations = [_count(self.fma, "FMA")] if self.fma else []
        if self.dots:
            operations.append(_count(self.dots, "dot product") + " of bytes")
        if self.arithmetic:
            operations.append(_count(self.arithmetic, "other operation" if self.fma else "operation"))
        gathers = [_count(self.gathers, "gather")] if self.gathers else []
        calls = [_count(self.calls, "call")] if self.calls else []
        spills = _count(self.stack, "stack access", "es") if self.calls else _count(self.stack, "spill")
        return ", ".join([width, *operations, _count(self.loads - self.gathers, "load"), *gathers, *calls, spills])


def _count(number: int, noun: str, plural: str = "s") -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else plural}"


def loops(assembly: str, machine: str | None = None) -> list[Loop]:
    """Return the innermost loops of `assembly` that compute, those with most operations first.

    machine: architecture of the assembly as `platform.machine` names it. The default is this machine; `code_bytes` is
    known only then.
    """
    arm = (machine or platform.machine()).lower() in ("aarch64", "arm64")
    lines = assembly.splitlines()
    found = list[Loop]()
    pranges = dict.fromkeys(symbol for symbol, *_ in _functions(lines) if source_name(symbol) == PRANGE)
    numbers = {symbol: f" {number}" for number, symbol in enumerate(pranges, 1)} if len(pranges) > 1 else {}
    ranges_of_loops = list[list[LineRange]]()
    for symbol, start, end in _functions(lines):
        if _NUMBA_WRAPPER.match(symbol):
            continue
        effect_of = (instructions.aarch64_reader if arm else instructions.x86_reader)(lines[start:end])
        in_function = list[Loop]()
        for blocks in innermost_loops(lines[start:end]):
            ranges = [(start + block.first, start + block.last) for block in blocks]
            loop_lines = [line for first, last in ranges for line in lines[first:last]]
            loop = _loop(source_name(symbol) + numbers.get(symbol, ""), loop_lines, effect_of)
            if loop.flops:
                in_function.append(loop)
                ranges_of_loops.append(ranges)
        found += _with_remainders(in_function)
    sizes = code_sizes(lines, ranges_of_loops) if found and machine is None else None
    if sizes:
        found = [replace(loop, code_bytes=size) for loop, size in zip(found, sizes, strict=True)]
    return sorted(found, key=lambda loop: -loop.flops)


def without_labels(code: str) -> str:
    """Return assembly with all labels replaced by the same one, so that two copies of a loop are equal."""
    return _BLOCK_LABEL.sub("L", code)


def source_name(symbol: str) -> str:
    """Return the function's name in the source from Numba's mangled symbol, with "numba." before Numba's own."""
    mangled = re.match(r"_?_ZN", symbol)
    if not mangled:
        return symbol
    parts, at = [], mangled.end()
    while length := re.match(r"\d+", symbol[at:]):
        at += length.end() + int(length[0])
        part = symbol[at - int(length[0]) : at].replace("_3c", "<").replace("_3e", ">")
        parts.append(PRANGE if part.startswith("__numba_parfor_gufunc") else part)
    parts = [part for part in parts if part != "<locals>"]
    if not parts:
        return symbol
    return f"numba.{parts[-1]}" if parts[0] == "numba" else parts[-1]


def _functions(lines: list[str]) -> Iterator[tuple[str, int, int]]:
    """Yield each global label with the range of the lines after it, up to the next global label."""
    symbol, start = "", 0
    for n, line in enumerate(lines):
        label = _LABEL.match(line)
        if label and not _LOCAL_LABEL.match(line):
            yield symbol, start, n
            symbol, start = label[1] or label[2], n + 1
    yield symbol, start, len(lines)


def _loop(name: str, lines: list[str], effect_of: Callable[[Instruction], Effect]) -> Loop:
    effects = [effect_of(instruction) for instruction in filter(None, map(Instruction.parse, lines))]
    label = _LABEL.match(lines[0])
    return Loop(
        name=name,
        label=(label[2] or "") if label else "",
        vector_bits=max((effect.vector_bits for effect in effects), default=0),
        fma=sum(effect.fma for effect in effects),
        dots=sum(effect.dots for effect in effects),
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
        code="\n".join(lines),
    )


def _with_remainders(in_function: Iterable[Loop]) -> Iterator[Loop]:
    """Yield the loops of one function, in order, with `remainder` set.

    LLVM places the narrower loops for the remainder directly after a vector loop. They do the same work, so the ratio
    of their operations is the same.
    """
    wide: Loop | None = None
    for loop in in_function:
        products = loop.fma + loop.dots
        same_work = wide is not None and products * wide.arithmetic == (wide.fma + wide.dots) * loop.arithmetic
        if wide and same_work and loop.vector_bits < wide.vector_bits:
            yield replace(loop, remainder=True)
        else:
            wide = loop if loop.vector_bits else None
            yield loop


# Control flow
#
# A natural loop is a jump back to a block that dominates it, the header, and all blocks from which that jump is reached
# without passing the header (Aho, Lam, Sethi & Ullman, Compilers, 2nd edition, section 9.6).

_JUMP = re.compile(r"(j\w+|b|b\.\w+|bc\.\w+|cbn?z|tbn?z|br|ret\w*|ud2|brk|udf)$")
_UNCONDITIONAL_JUMP = re.compile(r"(jmp\w*|b|br|ret\w*|ud2|brk|udf)$")


@dataclass
class BasicBlock:
    """Lines first..last - 1, entered only at the first and left only at the last. successors: indices of blocks."""

    first: int
    last: int
    successors: list[int] = field(default_factory=list)


def innermost_loops(lines: list[str]) -> list[list[BasicBlock]]:
    """Return the blocks of each innermost natural loop, in textual order; `lines` are those of one function."""
    if not lines:
        return []
    blocks = _basic_blocks(lines)
    dominators = _dominators(blocks)
    predecessors: list[list[int]] = [[] for _ in blocks]
    bodies: dict[int, set[int]] = {}
    for n, block in enumerate(blocks):
        for successor in block.successors:
            predecessors[successor].append(n)
    for n, block in enumerate(blocks):
        for header in block.successors:
            if header in dominators.get(n, ()):
                bodies.setdefault(header, {header}).update(_loop_body(n, header, predecessors))
    return [
        [blocks[n] for n in sorted(body)]
        for header, body in sorted(bodies.items())
        if not any(other in body for other in bodies if other != header)
    ]


def _basic_blocks(lines: list[str]) -> list[BasicBlock]:
    leaders, labels, jumps = {0}, dict[str, int](), dict[int, list[str]]()
    for n, line in enumerate(lines):
        label = _LABEL.match(line)
        if label:
            leaders.add(n)
            labels[label[1] or label[2]] = n
        else:
            words = line.split()
            if words and _JUMP.match(words[0]):
                leaders.add(n + 1)
                jumps[n] = words
    starts = sorted(leaders - {len(lines)})
    number = {start: n for n, start in enumerate(starts)}
    blocks = [BasicBlock(start, end) for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)]
    for n, block in enumerate(blocks):
        words = jumps.get(block.last - 1, [])
        block.successors += [number[labels[word]] for word in words if word in labels]
        if n + 1 < len(blocks) and not (words and _UNCONDITIONAL_JUMP.match(words[0])):
            block.successors.append(n + 1)
    return blocks


def _dominators(blocks: list[BasicBlock]) -> dict[int, set[int]]:
    """Return for each reachable block the blocks on every path to it, itself included."""
    postorder, seen, stack = [], {0}, [(0, iter(blocks[0].successors))]
    while stack:
        n, successors = stack[-1]
        unseen = next((successor for successor in successors if successor not in seen), None)
        if unseen is None:
            postorder.append(n)
            stack.pop()
        else:
            seen.add(unseen)
            stack.append((unseen, iter(blocks[unseen].successors)))
    predecessors: dict[int, list[int]] = {n: [] for n in seen}
    for n in postorder:
        for successor in blocks[n].successors:
            predecessors[successor].append(n)
    dominators = {n: set(seen) for n in postorder} | {0: {0}}
    changed = True
    while changed:
        changed = False
        for n in reversed(postorder[:-1]):
            on_every_path = set.intersection(*(dominators[before] for before in predecessors[n])) | {n}
            changed |= on_every_path != dominators[n]
            dominators[n] = on_every_path
    return dominators


def _loop_body(end: int, header: int, predecessors: list[list[int]]) -> set[int]:
    """Return the header and the blocks from which `end` is reached without passing the header."""
    body, stack = {header}, [end]
    while stack:
        n = stack.pop()
        if n not in body:
            body.add(n)
            stack += predecessors[n]
    return body


# Code size
#
# LLVM assembles the text once more, with labels around each range and a section that holds the ranges' sizes.
# This runs in a process of its own, since LLVM terminates the process at a line that it cannot parse.

_SIZE_SECTION = "lcbench"


def code_sizes(lines: list[str], ranges_of_loops: list[list[LineRange]]) -> list[int] | None:
    """Return the bytes of machine code of each list of ranges, in assembly for this machine.

    None if LLVM cannot assemble it or this machine's object files are not ELF.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", __name__],  # -P: import nothing from the current folder
        input=_with_size_section(lines, ranges_of_loops),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return json.loads(done.stdout) if done.returncode == 0 else None


def _with_size_section(lines: list[str], ranges_of_loops: list[list[LineRange]]) -> str:
    """Return the assembly with a label at both ends of each range and a section that holds the sizes."""
    labelled = [[line] for line in lines] + [[]]
    sizes = []
    for n, ranges in enumerate(ranges_of_loops):
        for k, (first, last) in enumerate(ranges):
            # Insert before the directives of the line: padding between the blocks of a loop is executed.
            labelled[first].insert(0, f".Lfirst{n}_{k}:")
            labelled[last].insert(0, f".Llast{n}_{k}:")
        sizes.append("\t.long\t" + " + ".join(f"(.Llast{n}_{k} - .Lfirst{n}_{k})" for k in range(len(ranges))))
    text = [line for group in labelled for line in group]
    return "\n".join([*text, f'\t.section\t{_SIZE_SECTION},"",@progbits', *sizes, ""])


def _assemble_sizes(assembly: str) -> list[int]:
    """Assemble for this machine and return the numbers in the section of `_with_size_section`."""
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.initialize_native_asmparser()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    module = llvm.parse_assembly(f'module asm "{_quoted(assembly)}"')
    module.triple = llvm.get_process_triple()
    code = llvm.ObjectFileRef.from_data(target.create_target_machine().emit_object(module))
    [data] = [section.data() for section in code.sections() if section.name() == _SIZE_SECTION.encode()]
    return [int.from_bytes(data[at : at + 4], sys.byteorder) for at in range(0, len(data), 4)]


def _quoted(text: str) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:02X}" for byte in text.encode())


if __name__ == "__main__":
    print(json.dumps(_assemble_sizes(sys.stdin.read())))
