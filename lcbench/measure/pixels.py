"""Implementations on an X of uint8 pixels (N, D - 1), from which a mean image is subtracted and whose bias is in W.

Those that take the mean, or an X whose parts are apart, read the pixels in place. All others take floats (N, D) with a
column of ones: the pixels are converted in every call, or were converted before. A problem has the same right results
in all three cases.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.losses import catalog
from lcbench.losses.implementation import CURRENT, Implementation, as_they_are
from lcbench.ranges import FLOATS
from lcbench.record import PixelUse


def uses_of_pixels(name: str, dtype: str) -> tuple[PixelUse, ...]:
    """Return how the implementation `name` uses an X of `dtype`; it gets a row for each."""
    if dtype in FLOATS:
        return ("",)
    entry = catalog.CATALOG.get(name)
    return ("read",) if entry and (entry.takes_mean or entry.streams) else ("converted", "converts")


def reading(implementation: Implementation, mean: NDArray[Any]) -> Implementation:
    """Return the implementation for pixels that it reads in place. mean: (D - 1,), of W's dtype."""
    if not implementation.streams:
        given: dict[str, Any] = {"mean": mean}
        functions = {name: partial(function, **given) for name, function in implementation.functions.items()}
        return replace(implementation, functions=functions, takes_mean=False)

    def prepare(W: Any, X: Any, y: Any) -> tuple[Any, Any, Any]:
        from lcbench.losses.streamed import Streamed

        # a call that prepares y alone has an X of another shape
        return implementation.prepare(W, Streamed(X, mean, mean.dtype) if X.shape[1] == len(mean) else X, y)

    return replace(implementation, prepare=prepare)


def converting(implementation: Implementation, mean: NDArray[Any]) -> Implementation:
    """Return the implementation for pixels that it converts in every call. mean: (D - 1,), of W's dtype.

    It converts them with its own `convert`, on its own device, or else with NumPy. NumPy's result then goes through
    `prepare`, which may copy it to a device.
    """
    own_prepare, convert = implementation.prepare, getattr(implementation, "convert", None)
    W = np.zeros((len(mean) + 1, 2), mean.dtype)
    if convert:
        _, own_mean, _ = own_prepare(W, mean[None], np.zeros(1, np.int64))
        prepare = own_prepare

        def design(X: Any) -> Any:
            return convert(X, own_mean)

    else:

        def prepare(W: Any, X: Any, y: Any) -> tuple[Any, Any, Any]:
            prepared_W, _, prepared_y = own_prepare(W, np.zeros((len(X), len(W)), mean.dtype), y)
            return prepared_W, X, prepared_y

        def design(X: Any) -> Any:
            found = with_numpy(X, mean)
            if own_prepare is as_they_are:
                return found
            return own_prepare(W, found, np.zeros(len(found), np.int64))[1]

    def converted(function: Any, W: Any, X: Any, y: Any, reg: float) -> tuple[Any, Any]:
        result: tuple[Any, Any] = function(W, design(X), y, reg)
        return result

    functions = {name: partial(converted, function) for name, function in implementation.functions.items()}
    # rows of pixels are rows of the array, whatever X the functions take
    return replace(implementation, functions=functions, prepare=prepare, convention=CURRENT)


def with_numpy(X: NDArray[np.uint8], mean: NDArray[Any]) -> NDArray[Any]:
    """Return pixels (N, D - 1) minus mean (D - 1,) with a last column of ones, in a new array of the mean's dtype."""
    # Subtracting within the copy takes twice as long at 500 rows, and 10 % less at 10,000.
    found = np.empty((len(X), len(mean) + 1), mean.dtype)
    found[:, :-1] = X
    found[:, :-1] -= mean
    found[:, -1] = 1
    return found
