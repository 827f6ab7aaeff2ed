"""What NVIDIA's linker says of a kernel: the same linker that finishes it for a GPU, which needs none to do so."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass

from lcbench.losses.cuda.backend import INSTALL
from lcbench.losses.errors import Unavailable
from lcbench.measure.machine_code.occupancy import Architecture


@dataclass(frozen=True)
class Usage:
    """What a thread and a block take. registers: a thread's. shared_bytes: a block's, what the kernel declares.

    spill_bytes: stored and loaded, in the code, since registers ran out. stack_bytes: a thread's, for arrays that
    registers cannot hold, and for the spills.
    """

    registers: int
    shared_bytes: int
    spill_bytes: int
    stack_bytes: int


def link(code: bytes, architecture: Architecture, link_time: bool, most_registers: int | None) -> tuple[Usage, str]:
    """Usage and final PTX of one kernel, from PTX or, with `link_time`, from what link-time optimisation starts from.

    most_registers: what the kernel's decorator allows a thread. Raises Unavailable where the linker is not installed,
    or is too old for the code or the architecture.
    """
    options = [f"-arch=sm_{architecture[0]}{architecture[1]}", "-verbose"]
    options += ["-lto"] if link_time else []
    options += [f"-maxrregcount={most_registers}"] if most_registers else []
    _, log = _linked(code, options, link_time)
    ptx, _ = _linked(code, [*options, "-ptx"], link_time) if link_time else (code, "")
    return usage(log, link_time), ptx.decode(errors="replace").rstrip("\0")


def usage(log: str, link_time: bool) -> Usage:
    """The numbers in what the linker prints.

    Without link-time optimisation it counts the 1 KiB of shared memory that the system keeps since Ampere as the
    block's own.
    """

    def largest(pattern: str) -> int:
        return max(map(int, re.findall(pattern, log)), default=0)

    shared = largest(r"(\d+) bytes smem")
    reserved = 0 if link_time or re.search(r"sm_7\d", log) else 1024
    return Usage(
        registers=largest(r"[Uu]sed (\d+) registers"),
        shared_bytes=max(0, shared - reserved),
        spill_bytes=largest(r"(\d+) bytes spill stores") + largest(r"(\d+) bytes spill loads"),
        stack_bytes=max(largest(r"(\d+) bytes stack frame"), largest(r"(\d+) bytes lmem")),
    )


def _linked(code: bytes, options: list[str], link_time: bool) -> tuple[bytes, str]:
    """What was linked, in PTX where `options` ask for it, and the linker's log."""
    try:
        nvjitlink = importlib.import_module("cuda.bindings.nvjitlink")
    except ImportError as error:
        raise Unavailable(f"NVIDIA's linker is not installed: {INSTALL}", INSTALL) from error
    kind = nvjitlink.InputType.LTOIR if link_time else nvjitlink.InputType.PTX
    try:
        linker = nvjitlink.create(len(options), options)
        try:
            nvjitlink.add_data(linker, kind, code, len(code), "kernel")
            nvjitlink.complete(linker)
            log = bytearray(nvjitlink.get_info_log_size(linker))
            nvjitlink.get_info_log(linker, log)
            linked = bytearray()
            if "-ptx" in options:
                linked = bytearray(nvjitlink.get_linked_ptx_size(linker))
                nvjitlink.get_linked_ptx(linker, linked)
        finally:
            nvjitlink.destroy(linker)
    except Exception as error:  # the library's own errors, and those of a library that is not found
        raise Unavailable(f"NVIDIA's linker fails: {' '.join(str(error).split())}; {INSTALL}", INSTALL) from error
    return bytes(linked), log.decode(errors="replace")
