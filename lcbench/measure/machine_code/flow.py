"""Where a function's assembly jumps, and the innermost loops that this makes.

A natural loop is a jump back to a block that every path to the jump has passed through, its header, and all blocks from
which that jump is reached without passing the header (Aho, Lam, Sethi & Ullman, Compilers, 2nd edition, 9.6).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

LABEL = re.compile(r'^(?:"([^"]+)"|([^\s":#]+)):')
"""A line that begins with a label; the label is in the group that matched."""

_JUMP = re.compile(r"(j\w+|b|b\.\w+|bc\.\w+|cbn?z|tbn?z|br|ret\w*|ud2|brk|udf)$")
_NO_WAY_ON = re.compile(r"(jmp\w*|b|br|ret\w*|ud2|brk|udf)$")


@dataclass
class Block:
    """Lines first..last - 1, entered at the first only, left at the last only. `successors` are numbers of blocks."""

    first: int
    last: int
    successors: list[int] = field(default_factory=list)


def innermost_loops(lines: list[str]) -> list[list[Block]]:
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


def _blocks(lines: list[str]) -> list[Block]:
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
    blocks = [Block(start, end) for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)]
    for n, block in enumerate(blocks):
        words = jumps.get(block.last - 1, [])
        block.successors += [number[labels[word]] for word in words if word in labels]
        if n + 1 < len(blocks) and not (words and _NO_WAY_ON.match(words[0])):
            block.successors.append(n + 1)
    return blocks


def _dominators(blocks: list[Block]) -> dict[int, set[int]]:
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
