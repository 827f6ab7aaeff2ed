"""Program that compiles one pass for aarch64, on any machine. NUMBA_CPU_NAME must be "generic".

Output, as JSON: the machine code by dtype.
"""

import json
import re

import llvmlite.binding as llvm
import numpy as np

from lcbench.losses import jit

TRIPLE = "aarch64-unknown-linux-gnu"


def main():
    jit.is_x86 = lambda: False  # before the import, which sizes the micro-kernels
    from lcbench.losses import numba_parallel

    numba_parallel.prefer_two_products = lambda *_: False
    assembly = {}
    for dtype in ("float32", "float64"):
        W, X = np.ones((70, 10), dtype), np.ones((9, 70), dtype)
        numba_parallel.softmax_loss(W, X, np.zeros(9, int), 0.1)
        assembly[dtype] = compile_for_aarch64(numba_parallel._pass.inspect_llvm(numba_parallel._pass.signatures[-1]))
    print(json.dumps({"assembly": assembly}))


def compile_for_aarch64(code):
    """Return the aarch64 assembly of LLVM code that Numba generated for a generic x86 processor."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(TRIPLE).create_target_machine(opt=3)
    # Remove Numba's reference counting, which already contains x86 instructions.
    code = re.sub(r"(?ms)^define [^\n]*@NRT_decref\(.*?^}$", "declare void @NRT_decref(ptr)", code)
    module = llvm.parse_assembly(code)
    module.triple, module.data_layout = TRIPLE, str(machine.target_data)
    module.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    assembly = machine.emit_assembly(module)
    machine.emit_object(module)  # every instruction can be encoded
    return assembly


if __name__ == "__main__":
    main()
