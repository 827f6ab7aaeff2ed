"""Definition of an implementation, and the errors if there is none. Each error message is one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy.typing import NDArray


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name most similar to a misspelt `name`, or None if no name is similar."""
    from difflib import get_close_matches  # takes milliseconds to import, and most commands do not need it

    return next(iter(get_close_matches(name, list(names), n=1, cutoff=0.5)), None)


def did_you_mean(name: str, names: Iterable[str], otherwise: str) -> str:
    """Return "did you mean ...?" with the most similar of `names`, or `otherwise` if no name is similar."""
    near = nearest(name, names)
    return f"did you mean '{near}'?" if near else otherwise


class LossError(Exception):
    """Base class of the errors for an implementation that cannot be loaded."""


class UnknownImplementation(LossError):  # noqa: N818
    """Error: no implementation has this name."""


class Unavailable(LossError):  # noqa: N818
    """Error: the implementation exists but cannot run here, since a package, a device or a driver is missing.

    install: command that installs what is missing, or empty. The message ends with it.
    """

    def __init__(self, reason: str, install: str = "") -> None:
        super().__init__(f"{reason}; {install}" if install else reason)
        self.reason = reason
        self.install = install


class CannotLoad(LossError):  # noqa: N818
    """Error: a user's file, module or entry point has no usable implementation."""


# An implementation has two losses with the signature of Stanford's cs231n assignments, so that an assignment file is an
# implementation as it is:
#
#     svm_loss(W, X, y, reg)     -> (loss, dW)
#     softmax_loss(W, X, y, reg) -> (loss, dW)
#
# W (D, C), X (N, D), y (N,) integers in [0, C), reg >= 0; loss a float, dW (D, C) of W's dtype. The loss is the mean
# over rows plus reg * sum(W * W). No input is changed.
#
# NumPy is imported inside functions, since shell completion reads the catalog and must be fast.

LossName = Literal["svm", "softmax"]
LOSSES: tuple[LossName, ...] = ("svm", "softmax")

Device = Literal["cpu", "cuda", "simulator"]

LossFunction = Callable[[Any, Any, Any, float], tuple[Any, Any]]
"""``(W, X, y, reg) -> (loss, dW)``, on arrays of the implementation's own kind."""


@dataclass(frozen=True)
class Convention:
    """Array layout and regularisation term of a file that computes the same loss.

    columns: W is (C, D) and X is (D, N), as in the assignments of 2015.
    half_regularisation: the loss adds ``0.5 * reg * sum(W * W)``, as in the assignments until 2016.
    """

    columns: bool = False
    half_regularisation: bool = False

    @property
    def differs(self) -> bool:
        """True unless this is the current convention."""
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
    """Raise ValueError unless W, X and y are (D, C), (N, D) and (N,), and W is float32 or float64."""
    import numpy as np

    w, x, labels = np.shape(W), np.shape(X), np.shape(y)
    if len(w) != 2 or len(x) != 2 or x[1] != w[0] or labels != x[:1]:
        raise ValueError(f"shapes do not fit: W {w}, X {x}, y {labels}; they must be (D, C), (N, D) and (N,)")
    if x[0] < 1 or w[0] < 1 or w[1] < 2:
        given = f"W {w}, X {x}, y {labels}"
        raise ValueError(f"nothing to compute: {given}; at least one row, one feature and two classes are needed")
    if W.dtype not in (np.float32, np.float64):
        raise ValueError(f"W is {W.dtype}: it must be float32 or float64, and so will dW be")


def as_they_are(W: Any, X: Any, y: Any) -> tuple[Any, Any, Any]:
    """Return the arguments: the default of `prepare`, for functions that take NumPy arrays."""
    return W, X, y


def as_numpy(loss: Any, dW: Any) -> tuple[float, NDArray[Any]]:
    """Return the loss as a float and dW as an array: the default of `fetch`, for results that NumPy can read."""
    import numpy as np

    return float(loss), np.asarray(dW)


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Implementation:
    """Implementation that can be called, checked and timed.

    functions: the loss functions by name ("svm", "softmax"), on arrays as `prepare` returns them. A call returns after
        its result is complete: it waits for work on a device.
    prepare: converts (W, X, y) to what the functions take (arrays on a device, another layout or array type). It may be
        called again to convert W alone, with one row of X, or y alone, with one feature.
    fetch: converts (loss, dW) to a float and a NumPy array.
    convert: converts uint8 pixels (N, D - 1) and their mean (1, D - 1), both as `prepare` returns an X, to an X (N, D)
        of the mean's dtype: the pixels minus the mean, with a last column of ones. None if NumPy does it.
    compiles: True if the first call compiles. The first call is then reported separately.
    convention: convention of a user's file. `prepare` and `fetch` translate from and to the current convention.
    takes_rows: True if the functions take ``rows=`` (M,). The loss is then that of X[rows] and y[rows], read in place.
    takes_mean: True if the functions take X as uint8 pixels with ``mean=`` (D - 1,). W then has one more row, the bias.
    streams: True if `prepare` takes an X that stays in its file (`streamed.Streamed`).
    threads: returns the number of threads that compute, if this process does not decide it.
    release: releases processes and files that `prepare` uses. It may be called if there are none.
    """

    name: str
    device: Device
    functions: Mapping[str, LossFunction]
    prepare: Callable[[Any, Any, Any], tuple[Any, Any, Any]] = as_they_are
    fetch: Callable[[Any, Any], tuple[float, NDArray[Any]]] = as_numpy
    convert: Callable[[Any, Any], Any] | None = None
    compiles: bool = False
    convention: Convention = field(default=CURRENT)
    takes_rows: bool = False
    takes_mean: bool = False
    streams: bool = False
    threads: Callable[[], int] | None = None
    release: Callable[[], None] = _nothing

    def loss(self, name: str, W: Any, X: Any, y: Any, reg: float) -> tuple[float, NDArray[Any]]:
        """Return loss and gradient for NumPy arrays, transfers included.

        Raise KeyError if this implementation lacks the loss `name`, ValueError if the shapes do not match or a label is
        not in [0, C).
        """
        import numpy as np

        require_fitting(W, X, y)
        if np.min(y) < 0 or np.max(y) >= W.shape[1]:
            raise ValueError(f"labels go from {np.min(y)} to {np.max(y)}, classes from 0 to {W.shape[1] - 1}")
        W, X, y = self.prepare(W, X, y)
        return self.fetch(*self.functions[name](W, X, y, reg))

    def svm_loss(self, W: Any, X: Any, y: Any, reg: float) -> tuple[float, NDArray[Any]]:
        """Return the multiclass hinge loss with margin 1 (Weston & Watkins, 1999) and its gradient dW (D, C)."""
        return self.loss("svm", W, X, y, reg)

    def softmax_loss(self, W: Any, X: Any, y: Any, reg: float) -> tuple[float, NDArray[Any]]:
        """Return the softmax cross-entropy loss and its gradient dW (D, C)."""
        return self.loss("softmax", W, X, y, reg)
