"""Trials on a cluster of two workers: the answers of the local pool, and a lost worker costs none of them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from msgspec.structs import replace
from small_splits import small_splits

from lcbench.learn import defaults
from lcbench.learn.search import shared_rows, trial_worker
from lcbench.learn.search.cluster_pool import ClusterPool
from lcbench.learn.search.trial_worker import Job
from lcbench.losses import jit
