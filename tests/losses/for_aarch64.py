"""A program: compiles one pass for aarch64, which need not be this machine. NUMBA_CPU_NAME must be "generic".

On stdout, as JSON: the machine code by dtype.
"""

import json
import re

import llvmlite.binding as llvm
import numpy as np

from lcbench.losses import jit

TRIPLE = "aarch64-unknown-linux-gnu"


def main():
    jit.is_x86 = lambda: False  # the micro-kernels take their shape from it when they are imported
    from lcbench.losses import numba_parallel

    numba_parallel.better_by_products = lambda rows, W: False
    assembly = {}
    for dtype in ("float32", "float64"):
        W, X = np.ones((70, 10), dtype), np.ones((9, 70), dtype)
        numba_parallel.softmax_loss(W, X, np.zeros(9, int), 0.1)
        assembly[dtype] = compiled(numba_parallel._pass.inspect_llvm(numba_parallel._pass.signatures[-1]))
    print(json.dumps({"assembly": assembly}))


def compiled(code):
    """Assembly for aarch64 of LLVM's code that Numba made for an x86 processor without anything special."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(TRIPLE).create_target_machine(opt=3)
    # Numba's counting of references is no kernel of ours, and has become x86 instructions on its way to machine code.
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
