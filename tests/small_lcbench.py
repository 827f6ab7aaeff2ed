"""``lcbench`` for the tests of the documents: commands that measure or train get options with which they take seconds.

With LCBENCH_DOCUMENTS=whole, it runs as it is given.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from commands import QUICK

SMALLER = {
    "run": (("--rows", "20"), ("--blocks", "1"), ("--budget", "0")),
    "sweep": (("--blocks", "1"), ("--budget", "0")),
    "gate": (("--rows", "20"), ("--features", "33"), ("--classes", "3"), ("--budget", "50")),
    "doctor": (("--no-noise",),),
    "train": (("--impl", "numpy"), ("--iterations", "20"), ("--data", "synthetic")),
    "search": (("--impl", "numpy"), ("--iterations", "20"), ("--data", "synthetic"), ("--random", "2")),
    "reproduce": (("softmax-layer",),),
    "synth": (("--rows", "100"),),
}
"""Options with which a command of the documents takes seconds, if it is not given other ones."""


def smaller(words):
    """Return the words of an lcbench command, changed so that it takes seconds."""
    name, *rest = words
    if "--help" in rest or "--resume" in rest:
        return words
    rest = [re.sub(r"^rows=.*", "rows=10,20", re.sub(r"\bnumba-parallel\b", "numba-njit", word)) for word in rest]
    named = [word for word in rest if not word.startswith("-") and name == "run"]
    if name == "run" and not named:
        rest += ["--impl", "numpy"]
    for option, *value in SMALLER.get(name, ()):
        if option in rest and option in ("--rows", "--random", "--budget"):
            rest[rest.index(option) + 1] = value[0]
        elif option not in rest and not (option == "--iterations" and "--epochs" in rest):
            rest += [option, *value]
    return [name, *rest]


def main():
    """Run lcbench with the arguments of this process, and exit. The verdict of a gate depends on the machine."""
    words = sys.argv[1:]
    program = ("-P", "-m", "lcbench")
    if words and os.environ.get("LCBENCH_DOCUMENTS") != "whole":
        words = smaller(words)
        program = QUICK if words[0] == "gate" else program
    code = subprocess.call([sys.executable, *program, *words])
    sys.exit(0 if words[:1] in (["gate"], ["compare"]) and code in (1, 3) else code)


if __name__ == "__main__":
    main()
