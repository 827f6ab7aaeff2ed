"""Which functions look like a loss: by their parameters and their name, without calling them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

from lcbench.losses.implementation import LossName

_PARAMETERS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"w\d?|w_?t|weights?|theta|coef|params?",
        r"x.*|data|inputs?|images|features",
        r"y.*|labels?|targets?|t",
        r"reg.*|lam|lamda|lambda_?|lmbda|alpha|l2|penalty|strength|weight_decay",
    )
)
_NAMES: tuple[tuple[LossName, re.Pattern[str]], ...] = (
    ("svm", re.compile(r"svm|hinge", re.IGNORECASE)),
    ("softmax", re.compile(r"softmax|cross_?entropy|xent", re.IGNORECASE)),
)


def underlying(function: Any) -> Any:
    """The plain Python function under decorators and compilers."""
    return inspect.unwrap(getattr(function, "py_func", function))


def positional_parameters(function: Any) -> tuple[tuple[str, ...], int]:
    """Names of the positional parameters, and how many of them have no default.

    A keyword-only parameter without a default makes a call by position impossible: then there are none.
    """
    parameters = inspect.signature(underlying(function)).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        return (), 0
    return tuple(p.name for p in positional), sum(p.default is p.empty for p in positional)


def has_signature(name: str, parameters: Sequence[str], required: int) -> bool:
    """Whether a function called `name` takes (W, X, y, reg).

    Either its first four parameters are named so and no fifth is required, or exactly four are required and the name
    says that it is a loss.
    """
    if len(parameters) < 4 or required > 4:
        return False
    if all(pattern.fullmatch(parameter) for pattern, parameter in zip(_PARAMETERS, parameters, strict=False)):
        return True
    return required == 4 and (loss_in_name(name) is not None or name.endswith("_loss"))


def loss_in_name(name: str) -> LossName | None:
    """The loss that a function's name speaks of; None where it names neither or both."""
    named: list[LossName] = [loss for loss, pattern in _NAMES if pattern.search(name)]
    return named[0] if len(named) == 1 else None
