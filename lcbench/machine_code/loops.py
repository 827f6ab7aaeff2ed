"""Where a function's assembly jumps, and the innermost loops that this makes.

A natural loop is a jump back to a block that every path to the jump has passed through, its header, and all blocks from
which that jump is reached without passing the header (Aho, Lam, Sethi & Ullman, Compilers, 2nd edition, 9.6).
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

LABEL = re.compile(r'^(?:"([^"]+)"|([^\s":#]+)):')
"""A line that begins with a label; the label is in the group that matched."""

_JUMP = re.compile(r"(j\w+|b|b\.\w+|bc\.\w+|cbn?z|tbn?z|br|ret\w*|ud2|brk|udf)$")
_NO_WAY_ON = re.compile(r"(jmp\w*|b|br|ret\w*|ud2|brk|udf)$")


@dataclass
class BasicBlock:
    """Lines first..last - 1, entered at the first only, left at the last only. `successors` are numbers of blocks."""

    first: int
    last: int
    successors: list[int] = field(default_factory=list)


def innermost_loops(lines: list[str]) -> list[list[BasicBlock]]:
    """The blocks of each loop that holds no other, in the order of the text; `lines` are one function's."""
    if not lines:
        return []
    blocks = _blocks(lines)
    dominators = _dominators(blocks)
    predecessors: list[list[int]] = [[] for _ in blocks]
    bodies: dict[int, set[int]] = {}
    for n, block in enumerate(blocks):
        for successor in block.successors:
            predecessors[successor].append(n)
    for n, block in enumerate(blocks):
        for header in block.successors:
            if header in dominators.get(n, ()):
                bodies.setdefault(header, {header}).update(_reaching(n, header, predecessors))
    return [
        [blocks[n] for n in sorted(body)]
        for header, body in sorted(bodies.items())
        if not any(other in body for other in bodies if other != header)
    ]


def _blocks(lines: list[str]) -> list[BasicBlock]:
    leaders, labels, jumps = {0}, dict[str, int](), dict[int, list[str]]()
    for n, line in enumerate(lines):
        label = LABEL.match(line)
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
        if n + 1 < len(blocks) and not (words and _NO_WAY_ON.match(words[0])):
            block.successors.append(n + 1)
    return blocks


def _dominators(blocks: list[BasicBlock]) -> dict[int, set[int]]:
    """For each block that is reached from the first: the blocks on every path to it, itself included."""
    order, seen, stack = [], {0}, [(0, iter(blocks[0].successors))]
    while stack:  # depth first; a block stands in `order` behind all that it leads to
        n, successors = stack[-1]
        unseen = next((successor for successor in successors if successor not in seen), None)
        if unseen is None:
            order.append(n)
            stack.pop()
        else:
            seen.add(unseen)
            stack.append((unseen, iter(blocks[unseen].successors)))
    predecessors: dict[int, list[int]] = {n: [] for n in seen}
    for n in order:
        for successor in blocks[n].successors:
            predecessors[successor].append(n)
    dominators = {n: set(seen) for n in order} | {0: {0}}
    changed = True
    while changed:
        changed = False
        for n in reversed(order[:-1]):
            passed = set.intersection(*(dominators[before] for before in predecessors[n])) | {n}
            changed |= passed != dominators[n]
            dominators[n] = passed
    return dominators


def _reaching(end: int, header: int, predecessors: list[list[int]]) -> set[int]:
    """The blocks from which `end` is reached without passing `header`."""
    found, todo = {header}, [end]
    while todo:
        n = todo.pop()
        if n not in found:
            found.add(n)
            todo += predecessors[n]
    return found


# How long machine code is: the assembly, marked, goes through LLVM's assembler once more.
#
# It does so in a process of its own, since LLVM ends the process at a line that it cannot read.

_SECTION = "lcbench"


def code_sizes(lines: list[str], places: list[list[tuple[int, int]]]) -> list[int] | None:
    """Bytes of code of each place in assembly for this machine: its pieces are lines first..last - 1.

    None where that cannot be found out: it needs LLVM's assembler and object files in ELF.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", __name__],  # not what lies in the user's folder
        input=_marked(lines, places),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return json.loads(done.stdout) if done.returncode == 0 else None


def _marked(lines: list[str], places: list[list[tuple[int, int]]]) -> str:
    """The assembly, and a section with the lengths of all places."""
    marked = [[line] for line in lines] + [[]]
    lengths = []
    for n, pieces in enumerate(places):
        for k, (first, last) in enumerate(pieces):
            # before the directives in front of the label: padding between blocks is code that is run through
            marked[first].insert(0, f".Lfirst{n}_{k}:")
            marked[last].insert(0, f".Llast{n}_{k}:")
        lengths.append("\t.long\t" + " + ".join(f"(.Llast{n}_{k} - .Lfirst{n}_{k})" for k in range(len(pieces))))
    text = [line for group in marked for line in group]
    return "\n".join([*text, f'\t.section\t{_SECTION},"",@progbits', *lengths, ""])


def assembled_lengths(assembly: str) -> list[int]:
    """The numbers that the section of `_marked` holds, once LLVM has assembled it for this machine."""
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.initialize_native_asmparser()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    module = llvm.parse_assembly(f'module asm "{_quoted(assembly)}"')
    module.triple = llvm.get_process_triple()
    code = llvm.ObjectFileRef.from_data(target.create_target_machine().emit_object(module))
    [data] = [section.data() for section in code.sections() if section.name() == _SECTION.encode()]
    return [int.from_bytes(data[at : at + 4], sys.byteorder) for at in range(0, len(data), 4)]


def _quoted(text: str) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:02X}" for byte in text.encode())


if __name__ == "__main__":
    print(json.dumps(assembled_lengths(sys.stdin.read())))


# The innermost loops of LLVM's assembly, and what each pass through one does.
#
# Read are the dialects that LLVM prints without being asked for another: AT&T for x86, ARM's or Apple's for aarch64.

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
        effect_of = instructions.aarch64_effect if arm else instructions.x86_reader(lines[start:end])
        of_function, pieces = list[Loop](), []
        for blocks in innermost_loops(lines[start:end]):
            piece = [(start + block.first, start + block.last) for block in blocks]
            loop = _read(source_name(symbol), [line for first, last in piece for line in lines[first:last]], effect_of)
            if loop.flops:
                of_function.append(loop)
                pieces.append(piece)
        found += _with_remainders(of_function)
        places += pieces
    sizes = code_sizes(lines, places) if found and machine is None else None
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
