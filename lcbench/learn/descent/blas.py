"""BLAS beside kernels with threads of their own."""

from __future__ import annotations

from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _pools() -> ThreadpoolController:
    return ThreadpoolController()


def one_blas_thread(look_again: bool = False) -> Any:
    """Context in which BLAS computes on the calling thread alone.

    Its own threads go on spinning for a tenth of a second after a product, on the cores that a kernel wants next.
    look_again: where a library with a BLAS of its own may have been imported since; to look takes a millisecond.
    """
    if look_again:
        _pools.cache_clear()
    return _pools().limit(limits=1, user_api="blas")
