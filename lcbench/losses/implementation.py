"""What can stand between a name and a running implementation. Each message is one line that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy.typing import NDArray


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` that a misspelt `name` was probably meant to be, or None."""
    from difflib import get_close_matches  # takes milliseconds to import, and most commands need none of it

    return next(iter(get_close_matches(name, list(names), n=1, cutoff=0.5)), None)


def did_you_mean(name: str, names: Iterable[str], otherwise: str) -> str:
    """Return the question whether the nearest of `names` was meant, or `otherwise` where none is near."""
    near = nearest(name, names)
    return f"did you mean '{near}'?" if near else otherwise


class LossError(Exception):
    """An implementation cannot be had."""


class UnknownImplementation(LossError):  # noqa: N818
    """No implementation goes by that name."""


class Unavailable(LossError):  # noqa: N818
    """The implementation exists but cannot run here: a package, a device or a driver is missing.

    ``install`` is the command that would mend it, or empty.
    """

    def __init__(self, reason: str, install: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.install = install


class CannotLoad(LossError):  # noqa: N818
    """A user's file, module or entry point does not give a usable implementation."""


# What an implementation is: two losses in one signature, and how data gets to where they want it.
#
# The signature is that of Stanford's cs231n assignments, so that an assignment file is an implementation as it stands::
#
#     svm_loss(W, X, y, reg)     -> (loss, dW)
#     softmax_loss(W, X, y, reg) -> (loss, dW)
#
# W (D, C), X (N, D), y (N,) integers in [0, C), reg >= 0; loss a float, dW (D, C) of W's dtype. The loss is the mean
# over rows plus ``reg * sum(W * W)``. No input is changed.
#
# NumPy is imported by what computes: the catalogue is read without, as the shell does to complete a name.

LossName = Literal["svm", "softmax"]
LOSSES: tuple[LossName, ...] = ("svm", "softmax")

Device = Literal["cpu", "cuda", "simulator"]

LossFunction = Callable[[Any, Any, Any, float], tuple[Any, Any]]
"""``(W, X, y, reg) -> (loss, dW)``, on arrays of the implementation's own kind."""


@dataclass(frozen=True)
class Convention:
    """How a file writes the same loss: which way round its arrays lie and how it counts the regularisation.

    columns: W is (C, D) and X is (D, N), as in the assignments of 2015.
    half_regularisation: the loss adds ``0.5 * reg * sum(W * W)``, as until 2016.
    """

    columns: bool = False
    half_regularisation: bool = False

    @property
    def differs(self) -> bool:
        """Whether it is not the current one."""
        return self.columns or self.half_regularisation

    def __str__(self) -> str:
        if self.columns and self.half_regularisation:
            return "2015 convention: W (C, D), X (D, N), 0.5 reg sum(W W)"
        if self.columns:
            return "2015 layout: W (C, D), X (D, N)"
        if self.half_regularisation:
            return "2016 convention: 0.5 reg sum(W W)"
        return "current convention"


CURRENT = Convention()


def require_fitting(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any]) -> None:
    """Raises ValueError where W, X and y are not (D, C), (N, D) and (N,), or W is not float32 or float64."""
    import numpy as np

    shapes = f"W {np.shape(W)}, X {np.shape(X)}, y {np.shape(y)}"
    if np.ndim(W) != 2 or np.ndim(X) != 2 or np.ndim(y) != 1 or X.shape[1] != W.shape[0] or len(y) != len(X):
        raise ValueError(f"shapes do not fit: {shapes}; they must be (D, C), (N, D) and (N,)")
    if len(X) < 1 or W.shape[0] < 1 or W.shape[1] < 2:
        raise ValueError(f"nothing to compute: {shapes}; at least one row, one feature and two classes are needed")
    if W.dtype not in (np.float32, np.float64):
        raise ValueError(f"W is {W.dtype}: it must be float32 or float64, and so will dW be")


def as_they_are(W: Any, X: Any, y: Any) -> tuple[Any, Any, Any]:
    """What `prepare` is where NumPy's arrays are taken."""
    return W, X, y


def as_numpy(loss: Any, dW: Any) -> tuple[float, NDArray[Any]]:
    """What `fetch` is where NumPy can read the result."""
    import numpy as np

    return float(loss), np.asarray(dW)


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Implementation:
    """One implementation, ready to be called, checked and timed.

    functions: the loss functions by name ("svm", "softmax"), on arrays as `prepare` returns them. A call returns
        when its result is complete: device work is waited for inside.
    prepare: brings (W, X, y) to where the functions want them (a device, another layout or array type). It may be
        called again for W beside one row of X, and for y beside one feature.
    fetch: brings (loss, dW) back to a float and a NumPy array.
    compiles: the first call compiles, so it is reported apart.
    convention: how the functions count, where a user's file differs; prepare and fetch already translate.
    takes_rows: the functions take ``rows=`` (M,), the loss being that of X[rows] and y[rows], which are read in place.
    takes_mean: the functions take X as uint8 pixels with ``mean=`` (D - 1,), W having one row more, the bias.
    streams: `prepare` takes an X that stays in its file (`streamed.Streamed`) as it is.
    threads: how many compute, where that is not for this process to say.
    release: gives back what prepare has taken beside memory, as processes and files. It may be called when nothing was.
    """

    name: str
    device: Device
    functions: Mapping[str, LossFunction]
    prepare: Callable[[Any, Any, Any], tuple[Any, Any, Any]] = as_they_are
    fetch: Callable[[Any, Any], tuple[float, NDArray[Any]]] = as_numpy
    compiles: bool = False
    convention: Convention = field(default=CURRENT)
    takes_rows: bool = False
    takes_mean: bool = False
    streams: bool = False
    threads: Callable[[], int] | None = None
    release: Callable[[], None] = _nothing

    def loss(self, name: str, W: Any, X: Any, y: Any, reg: float) -> tuple[float, NDArray[Any]]:
        """Loss and gradient of NumPy arrays, transfers included.

        Raises KeyError where this implementation lacks the loss `name`, ValueError where the arrays do not fit together
        or a label is not in [0, C).
        """
        import numpy as np

        require_fitting(W, X, y)
        if np.min(y) < 0 or np.max(y) >= W.shape[1]:
            raise ValueError(f"labels go from {np.min(y)} to {np.max(y)}, classes from 0 to {W.shape[1] - 1}")
        W, X, y = self.prepare(W, X, y)
        return self.fetch(*self.functions[name](W, X, y, reg))

    def svm_loss(self, W: Any, X: Any, y: Any, reg: float) -> tuple[float, NDArray[Any]]:
        """Multiclass hinge loss (Weston & Watkins, 1999) with margin 1, and its gradient dW (D, C)."""
        return self.loss("svm", W, X, y, reg)

    def softmax_loss(self, W: Any, X: Any, y: Any, reg: float) -> tuple[float, NDArray[Any]]:
        """Softmax cross-entropy loss and its gradient dW (D, C)."""
        return self.loss("softmax", W, X, y, reg)
