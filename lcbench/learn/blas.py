"""BLAS beside kernels with threads of their own."""

from __future__ import annotations

from typing import Any

from threadpoolctl import threadpool_limits


def one_blas_thread() -> Any:
    """Context in which BLAS computes on the calling thread alone.

    Its own threads go on spinning for a tenth of a second after a product, on the cores that a kernel wants next.
    """
    return threadpool_limits(limits=1, user_api="blas")
