"""Conventions of users' functions: their arrays, labels, bias and results, translated from and to the current one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import FunctionType, ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.implementation import Convention
from lcbench.usercode.loading import MissingModule
from lcbench.usercode.source import underlying

LIBRARIES = ("torch", "jax", "cupy")
"""Libraries whose arrays a function may take instead of NumPy's."""


@dataclass(frozen=True)
class UserConvention(Convention):
    """Convention of a user's function, which may take and return other things than an assignment's.

    mixed: W is (C, D) and X is (N, D) or, with `columns`, W is (D, C) and X is (D, N). library: whose arrays it takes,
    or empty for NumPy's. one_hot: y is (N, C), or (C, N) with `columns`. bias: whether the function appends a column of
    ones to X, as the last or the first one, so that W has one more row than X has columns. gradient_first: it returns
    (dW, loss). averaged_regularisation: the loss adds ``reg / (2 * N) * sum(W * W)``, as in the courses of Ng. others:
    further differences, in words.
    """

    mixed: bool = False
    library: str = ""
    one_hot: bool = False
    bias: Literal["", "last", "first"] = ""
    gradient_first: bool = False
    averaged_regularisation: bool = False
    others: tuple[str, ...] = ()

    @property
    def transposes_W(self) -> bool:
        """Whether W and dW are (C, D)."""
        return self.columns != self.mixed

    @property
    def unusual(self) -> bool:
        """Whether W, X or y have shapes that assignments do not give them."""
        return self.mixed or self.one_hot or bool(self.bias)

    @property
    def _extra(self) -> list[str]:
        named = (
            (self.mixed, f"W ({'D, C' if self.columns else 'C, D'}), X ({'D, N' if self.columns else 'N, D'})"),
            (self.library, {"torch": "torch tensors"}.get(self.library, f"{self.library} arrays")),
            (self.one_hot, "one-hot labels"),
            (self.bias, f"it adds a bias to X as the {self.bias} column"),
            (self.gradient_first, "returns (dW, loss)"),
            (self.averaged_regularisation, "reg / (2 N) sum(W W)"),
        )
        return [*self.others, *(words for present, words in named if present)]

    @property
    def differs(self) -> bool:
        """True unless this is the current convention."""
        return super().differs or bool(self._extra)

    def __str__(self) -> str:
        if not self._extra:
            return super().__str__()
        named = Convention(self.columns and not self.mixed, self.half_regularisation)
        first = [str(named)] if named.differs else []
        return f"{'' if first else 'convention: '}{', '.join([*first, *self._extra])}"

    @property
    def reduced(self) -> Convention:
        """The same as a plain `Convention` if it is one."""
        return self if self._extra else Convention(self.columns, self.half_regularisation)

    def arguments(self, W: NDArray[Any], X: NDArray[Any], y: NDArray[Any]) -> tuple[Any, Any, Any]:
        """Return W, X and y as the function takes them. Integer pixels are converted to W's dtype."""
        if X.dtype.kind in "ui":
            X = X.astype(W.dtype)
        if self.one_hot:
            y = np.eye(W.shape[1], dtype=W.dtype)[y]
        if self.bias:  # a bias of zero changes neither the loss nor the rest of the gradient
            zeros = np.zeros((1, W.shape[1]), W.dtype)
            W = np.concatenate((W, zeros) if self.bias == "last" else (zeros, W))
        if self.transposes_W:
            W = np.ascontiguousarray(W.T)
        if self.columns:
            X = np.ascontiguousarray(X.T)
            y = np.ascontiguousarray(y.T) if self.one_hot else y
        if not self.library:
            return W, X, y
        if not self.one_hot:
            y = y.astype(np.int64, copy=False)
        return _as_arrays_of(self.library, W), _as_arrays_of(self.library, X), _as_arrays_of(self.library, y)

    def results(self, loss: Any, dW: Any) -> tuple[float, NDArray[Any]]:
        """Return loss and dW (D, C) of the results of the function."""
        if not _holds_numbers(dW):
            raise TypeError(f"dW has type {type(dW).__name__}, which may be computed only when it is read")
        dW = to_numpy(dW)
        dW = np.ascontiguousarray(dW.T) if self.transposes_W else dW
        if self.bias and len(dW):
            dW = dW[:-1] if self.bias == "last" else dW[1:]
        return to_numpy(loss).astype(np.float64).item(), dW

    def function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with the current regularisation and order of results, whose work is done on return."""
        finish = _finish(self.library)
        as_usual, swapped = strength(self, 1) == 1, self.gradient_first
        if as_usual and not (swapped or finish):
            return function

        def called(W: Any, X: Any, y: Any, reg: float) -> tuple[Any, Any]:
            rows = X.shape[1 if self.columns else 0]
            first, second = function(W, X, y, reg if as_usual else strength(self, rows) * reg)
            if finish:
                finish((first, second))
            return (second, first) if swapped else (first, second)

        return called


def strength(convention: Convention, rows: int) -> float:
    """Return the factor of `reg` with which a function in `convention` computes the current loss of `rows` rows."""
    if isinstance(convention, UserConvention) and convention.averaged_regularisation:
        return 2.0 * rows
    return 2.0 if convention.half_regularisation else 1.0


def other_forms(convention: UserConvention) -> list[UserConvention]:
    """Return the conventions with mixed layouts, one-hot labels or a bias inside that otherwise equal `convention`."""
    return [
        replace(convention, mixed=mixed, one_hot=one_hot, bias=bias)
        for bias in ("", "last", "first")
        for one_hot in (False, True)
        for mixed in (False, True)
        if mixed or one_hot or bias
    ]


# Arrays of libraries


def _as_arrays_of(library: str, array: NDArray[Any]) -> Any:
    """Return a contiguous array of the library; a tensor shares the memory of `array` if that is contiguous."""
    if library == "torch":
        import torch

        array = np.ascontiguousarray(array)
        return torch.from_numpy(array if array.flags.writeable else array.copy())
    if library == "jax":
        import jax.numpy

        return jax.numpy.asarray(array)
    import cupy

    return cupy.asarray(array)


def _finish(library: str) -> Callable[[Any], Any] | None:
    """Return a function that waits until results are computed, or None if they always are."""
    if library == "jax":
        import jax

        wait: Callable[[Any], Any] = jax.block_until_ready
        return wait
    if library == "cupy":
        import cupy

        return lambda results: cupy.cuda.get_current_stream().synchronize()
    return None


def to_numpy(value: Any) -> NDArray[Any]:
    """Return a number or an array of any library as an array."""
    if hasattr(value, "detach"):  # a tensor, of which autograd may keep track
        value = value.detach().cpu()
    elif type(value).__module__.partition(".")[0] == "cupy":
        value = value.get()
    return np.asarray(value)


def _holds_numbers(value: Any) -> bool:
    """Return whether `value` is a list or an array of any library."""
    return isinstance(value, np.ndarray | list | tuple) or any(
        hasattr(value, name) for name in ("__array_interface__", "__dlpack__", "__cuda_array_interface__")
    )


def libraries_of(function: Any) -> list[str]:
    """Return those of `LIBRARIES` that a user's function, or its file or a file that this imports, uses."""
    code = getattr(underlying(function), "__code__", None)
    found = set(code.co_names if code else ()) & set(LIBRARIES)
    stack, seen = [getattr(underlying(function), "__globals__", {})], set()
    while stack:
        namespace = stack.pop()
        if id(namespace) in seen:
            continue
        seen.add(id(namespace))
        for value in list(namespace.values()):
            if isinstance(value, MissingModule):
                continue
            name = value.__name__ if isinstance(value, ModuleType) else getattr(type(value), "__module__", "")
            if isinstance(value, type | FunctionType):
                name = value.__module__
            top = str(name).partition(".")[0].replace("jaxlib", "jax")
            if top in LIBRARIES:
                found.add(top)
            elif isinstance(value, FunctionType):
                stack.append(value.__globals__ if _is_users(value.__globals__) else {})
            elif isinstance(value, ModuleType) and _is_users(vars(value)):
                stack.append(vars(value))
    return [library for library in LIBRARIES if library in found]


def _is_users(namespace: dict[str, Any]) -> bool:
    """Return whether these are the globals of a user's file, which have builtins of their own."""
    names = namespace.get("__builtins__")
    return isinstance(names, dict) and "xrange" in names


def mentions(function: Any, library: str) -> bool:
    """Return whether the function itself, not only its file, refers to the library."""
    plain = underlying(function)
    code = getattr(plain, "__code__", None)
    names = code.co_names if code else ()
    values = [getattr(plain, "__globals__", {}).get(name) for name in names]
    return library in names or any(
        isinstance(value, ModuleType) and value.__name__.partition(".")[0] == library for value in values
    )
