"""Output of ``lcbench inspect``."""

from __future__ import annotations

import json

import pytest
from numba import config

from commands import invoke, lcbench
from lcbench.losses.cuda import backend as cuda_backend

compiles = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="Numba's JIT is switched off")

MINE = """
import numpy as np
from numba import njit

@njit
def softmax_loss(W, X, y, reg):
    scores = np.zeros((X.shape[0], W.shape[1]), W.dtype)
    for i in range(X.shape[0]):
        for f in range(X.shape[1]):
            for c in range(W.shape[1]):
                scores[i, c] += X[i, f] * W[f, c]
    loss = 0.0
    for i in range(X.shape[0]):
        scores[i] = np.exp(scores[i] - scores[i].max())
        scores[i] /= scores[i].sum()
        loss -= np.log(scores[i, y[i]])
        scores[i, y[i]] -= 1
    dW = np.zeros_like(W)
    for i in range(X.shape[0]):
        for f in range(X.shape[1]):
            for c in range(W.shape[1]):
                dW[f, c] += X[i, f] * scores[i, c] / X.shape[0]
    return loss / X.shape[0] + reg * np.sum(W * W), dW + 2 * reg * W

def svm_loss(W, X, y, reg):
    margins = np.maximum(0, X @ W - (X @ W)[np.arange(len(y)), y][:, None] + 1)
    margins[np.arange(len(y)), y] = 0
    d = (margins > 0).astype(float)
    d[np.arange(len(y)), y] = -d.sum(1)
    return margins.sum() / len(y) + reg * np.sum(W * W), X.T @ d / len(y) + 2 * reg * W
"""


@compiles
def test_table_has_80_columns(tmp_path):
    done = lcbench(tmp_path, "inspect", "numba-njit", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].rstrip() == "numba-njit: float32, 10 classes"
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("svm_loss: ") for line in lines)


@compiles
def test_json_with_and_without_code(tmp_path):
    done = lcbench(tmp_path, "inspect", "numba-njit", "--dtype", "float64", "--json", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)["found"]
    assert {"verdict", "vector_bits", "fma", "stack", "remainder"} <= set(found[0])
    assert "code" not in found[0]
    with_code = lcbench(tmp_path, "inspect", "numba-njit", "--dtype", "float64", "--json", "--asm")
    assert json.loads(with_code.stdout)["found"][0]["code"].count("\n") > 3


@compiles
def test_numba_cache_does_not_change_the_output(tmp_path):
    outputs = [lcbench(tmp_path, "inspect", "numba-njit", NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)]
    assert outputs[0].stdout == outputs[1].stdout
    assert "softmax_loss: " in outputs[0].stdout


@compiles
def test_user_file_and_its_assembly(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    done = lcbench(tmp_path, "inspect", "mine.py", "--asm", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n# softmax_loss: " in done.stdout
    python_only = lcbench(tmp_path, "inspect", "mine.py:svm_loss", "--quiet")
    assert (python_only.returncode, python_only.stdout) == (2, "")
    assert python_only.stderr == "error: mine.py:svm_loss is not compiled by Numba: nothing to inspect\n"


def test_kernel_of_a_compute_capability(tmp_path):
    if cuda_backend.is_simulator():
        pytest.skip("Numba's simulator compiles nothing")
    done = lcbench(tmp_path, "inspect", "numba-cuda", "--cc", "8.0", "--quiet")
    if "pip install" in done.stderr:
        pytest.skip(done.stderr)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].rstrip() == "numba-cuda for sm_80: float32, 10 classes"
    assert max(map(len, lines)) <= 80
    assert any("of 64 warps" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["numpy"], "error: numpy is not compiled by Numba: nothing to inspect"),
        (["nunpy"], "error: no implementation 'nunpy': did you mean 'numpy'?"),
        (["softmx.py"], "error: softmx.py: no such file"),
        (["numba-njit", "--cc", "9.0"], "Error: --cc is for numba-cuda"),
        (["numba-cuda", "--cc", "nine"], "'nine' is not a compute capability: write it as 9.0"),
        (["numba-cuda", "--cc", "3.5"], "error: compute capability 3.5 is not supported; use one of"),
    ],
)
def test_invalid_input_is_one_line_error(tmp_path, arguments, message):
    done = invoke(tmp_path, "inspect", *arguments, NUMBA_DISABLE_JIT="0")
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr.splitlines()[-1]


def test_simulator_is_an_error(tmp_path):
    done = lcbench(tmp_path, "inspect", "numba-cuda", NUMBA_ENABLE_CUDASIM="1")
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert "NUMBA_ENABLE_CUDASIM" in line


def test_disabled_jit_is_an_error(tmp_path):
    done = lcbench(tmp_path, "inspect", "numba-njit", NUMBA_DISABLE_JIT="1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: NUMBA_DISABLE_JIT is set: nothing to inspect\n"
