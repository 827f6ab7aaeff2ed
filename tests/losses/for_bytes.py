"""Program that compiles the pass over uint8 pixels by the unit LCBENCH_INT8 for NUMBA_CPU_NAME and NUMBA_CPU_FEATURES.

The code is not executed. Output, as JSON: its machine code.
"""

import json

import numpy as np
from numba import typeof

from lcbench.losses import int8, pixels

ROWS, FEATURES, CLASSES = 500, 3072, 10


def main():
    assert int8.UNIT.native
    taken = []
    pixels._pass, dispatcher = lambda *arguments: taken.append(arguments), pixels._pass
    W, X = np.zeros((FEATURES + 1, CLASSES), np.float32), np.zeros((ROWS, FEATURES), np.uint8)
    pixels.one_pass(W, X[:1], np.zeros(1, np.int64), 0.1, True, np.empty(0, np.int64), None)
    signature = tuple(map(typeof, taken[0]))
    dispatcher.compile(signature)
    print(json.dumps({"assembly": dispatcher.inspect_asm(signature)}))


if __name__ == "__main__":
    main()
