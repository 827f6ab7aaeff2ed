"""Stand-ins for modules that are not installed: importing one is harmless, using it says what is missing.

Assignment files import much that their loss functions never touch (matplotlib, a data loader, six).
"""

from __future__ import annotations

from typing import Any, NoReturn

_PACKAGE_OF = {
    "IPython": "ipython",
    "PIL": "pillow",
    "autograd": "autograd",
    "cupy": "cupy-cuda13x",
    "cv2": "opencv-python",
    "future": "future",
    "imageio": "imageio",
    "jax": "jax",
    "matplotlib": "matplotlib",
    "numba": "numba",
    "pandas": "pandas",
    "past": "future",
    "scipy": "scipy",
    "seaborn": "seaborn",
    "six": "six",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "tensorflow": "tensorflow",
    "torch": "torch",
    "torchvision": "torchvision",
    "tqdm": "tqdm",
}
"""Which package brings an import name. Only known ones: advice to install whatever bears the name would be reckless."""

_PYTHON_2_MODULES = {
    "ConfigParser",
    "Queue",
    "StringIO",
    "Tkinter",
    "__builtin__",
    "cPickle",
    "cStringIO",
    "urllib2",
    "urlparse",
}

RANGE_NAMES = frozenset({"range", "xrange"})
RANGE_SOURCES = frozenset({"future", "past", "six"})
"""Packages that bridge Python 2 and 3, from which assignments take their `xrange`."""


def why_missing(name: str) -> str:
    """One clause for a module that is nowhere: "which is not installed: pip install matplotlib"."""
    top = name.partition(".")[0]
    if top in _PYTHON_2_MODULES:
        return "which only Python 2 has"
    if top in _PACKAGE_OF:
        return f"which is not installed: pip install {_PACKAGE_OF[top]}"
    return "which is neither installed nor found beside the file"


class UsesMissingError(ImportError):
    """Something was used that could not be imported. The message is one line."""


class Missing:
    """A module that could not be found, or something taken from one.

    Attributes are further stand-ins, but for `range` and `xrange`, which are what they would have been. Deriving a
    class from one works; calling, indexing, iterating or computing with one raises UsesMissingError.
    """

    __all__ = ()  # from it import * brings nothing

    def __init__(self, module: str, reason: str) -> None:
        self._module = module
        self._reason = reason

    def __getattr__(self, name: str) -> Any:
        if name in RANGE_NAMES:
            return range
        if name.startswith("__"):
            raise AttributeError(f"uses {self._module}, {self._reason}")
        return Missing(self._module, self._reason)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type]:
        def refuse(cls: type, *args: Any, **keywords: Any) -> NoReturn:
            self._refuse()

        return (type("MissingBase", (), {"__new__": refuse}),)

    def _refuse(self, *args: Any, **keywords: Any) -> NoReturn:
        raise UsesMissingError(f"uses {self._module}, {self._reason}")


_OPERATORS = (
    "add",
    "sub",
    "mul",
    "matmul",
    "truediv",
    "floordiv",
    "mod",
    "divmod",
    "pow",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
)
_USES = (
    "call",
    "iter",
    "next",
    "len",
    "contains",
    "getitem",
    "setitem",
    "delitem",
    "enter",
    "exit",
    "instancecheck",
    "neg",
    "pos",
    "abs",
    "invert",
    "int",
    "float",
    "index",
    "lt",
    "le",
    "gt",
    "ge",
    *_OPERATORS,
    *(f"r{operator}" for operator in _OPERATORS),
)
for _use in _USES:
    setattr(Missing, f"__{_use}__", Missing._refuse)
