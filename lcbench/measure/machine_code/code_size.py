"""How long machine code is: the assembly, marked, goes through LLVM's assembler once more.

It does so in a process of its own, since LLVM ends the process at a line that it cannot read.
"""

from __future__ import annotations

import json
import subprocess
import sys

_SECTION = "lcbench"


def sizes(lines: list[str], places: list[list[tuple[int, int]]]) -> list[int] | None:
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
