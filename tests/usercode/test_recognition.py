"""Recognition of the loss and the convention of a user's function."""

from pathlib import Path

import numpy as np
import pytest
from numba import config

from lcbench.losses import naive
from lcbench.losses.implementation import Convention, Implementation
from lcbench.usercode import Refusal, load_functions, recognise, recognise_by_loss

needs_the_jit = pytest.mark.skipif(config.DISABLE_JIT, reason="Numba's JIT is disabled")

ASSIGNMENTS = Path(__file__).parent / "assignments"

ZEROS = "unfinished: returns zeros, as the assignment's starter code does"
CURRENT, YEAR_2016, YEAR_2015 = Convention(), Convention(False, True), Convention(True, True)


def recognised(spec):
    [function] = load_functions(str(ASSIGNMENTS / spec))
    return recognise(function)


@pytest.fixture
def written(tmp_path):
    def written(text):
        (tmp_path / "a.py").write_text(text)
        return [recognise(function) for function in load_functions(str(tmp_path / "a.py"))]

    return written


@pytest.mark.parametrize(
    ("spec", "loss", "convention"),
    [
        ("softmax.py:softmax_loss_naive", "softmax", CURRENT),
        ("softmax.py:softmax_loss_vectorized", "softmax", CURRENT),
        ("linear_svm.py:svm_loss_naive", "svm", CURRENT),
        ("linear_svm.py:svm_loss_vectorized", "svm", CURRENT),
        ("year2016/losses.py:svm_loss_vectorized", "svm", YEAR_2016),
        ("year2016/losses.py:cross_entropy", "softmax", YEAR_2016),
        ("year2015/losses.py:svm_loss_naive", "svm", YEAR_2015),
        ("year2015/losses.py:softmax_loss_vectorized", "softmax", YEAR_2015),
        ("assignment1/cs231n/classifiers/linear_svm.py:svm_loss_naive", "svm", CURRENT),
        ("assignment1/cs231n/classifiers/softmax.py:softmax_loss_vectorized", "softmax", CURRENT),
        ("assignment1/cs231n/classifiers/linear_classifier.py:loss_of_softmax", "softmax", CURRENT),
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_convention_is_translated_to_the_current_one(spec, loss, convention, dtype):
    implementation = recognised(spec)
    assert isinstance(implementation, Implementation), implementation
    assert (list(implementation.functions), implementation.convention) == ([loss], convention)
    assert implementation.name == spec.rpartition("/")[2]

    rng = np.random.default_rng(1)
    W, X, y = rng.normal(size=(6, 4)).astype(dtype), rng.integers(0, 9, size=(9, 6), dtype=np.uint8), np.arange(9) % 4
    expected_loss, expected_gradient = naive.__dict__[f"{loss}_loss"](W.astype(float), X, y, 0.7)
    actual_loss, actual_gradient = implementation.loss(loss, W, X, y, 0.7)
    assert actual_loss == pytest.approx(expected_loss, rel=1e-5)
    assert actual_gradient.flags.c_contiguous
    np.testing.assert_allclose(actual_gradient, expected_gradient, rtol=1e-4, atol=1e-4)


def test_old_layouts_get_contiguous_arrays():
    implementation = recognised("year2015/losses.py:softmax_loss_vectorized")
    W, X, _ = implementation.prepare(np.ones((6, 4)), np.ones((9, 6)), np.zeros(9, int))
    assert (W.shape, X.shape) == ((4, 6), (6, 9))
    assert W.flags.c_contiguous
    assert X.flags.c_contiguous


def test_pixels_are_converted_to_the_dtype_of_W():
    prepare = recognised("softmax.py:softmax_loss_naive").prepare
    assert prepare(np.ones((6, 4), np.float32), np.ones((9, 6), np.uint8), np.zeros(9, int))[1].dtype == np.float32


def test_each_call_gets_new_inputs(written):
    [implementation] = written(
        "from lcbench.losses.naive import svm_loss as right\n"
        "def svm_loss(W, X, y, reg):\n"
        "    if W.shape[0] > W.shape[1]:\n"
        "        W[:], X[:], y[:] = 0, 0, 0\n"
        "    loss, dW = right(W.T, X.T, y, reg / 2)\n"
        "    return loss, dW.T\n"
    )
    assert implementation.convention == YEAR_2015  # with a changed W the factor would not be found


def test_current_layout_needs_no_copy():
    X = np.ones((9, 6))
    assert recognised("softmax.py:softmax_loss_vectorized").prepare(np.ones((6, 4)), X, np.zeros(9, int))[1] is X


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("starter/linear_svm.py:svm_loss_naive", "unfinished: the gradient is all zeros; the loss is right"),
        ("starter/linear_svm.py:svm_loss_vectorized", ZEROS),
        ("starter/softmax.py:softmax_loss_naive", ZEROS),
        ("starter/softmax.py:softmax_loss_vectorized", "unfinished: returns nothing"),
        ("starter/softmax.py:softmax_loss_fast", "line 16: unfinished: raises NotImplementedError"),
        (
            "year2015/losses.py:svm_loss_vectorized",
            "unfinished: the gradient is all zeros; the loss is right "
            "(under the 2015 convention: W (C, D), X (D, N), 0.5 reg sum(W W))",
        ),
        ("mistakes.py:softmax_without_gradient", "unfinished: returns None for the gradient"),
    ],
)
def test_unfinished(spec, reason):
    assert recognised(spec) == Refusal("unfinished", reason)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("softmax_without_reg_gradient", "the regularisation is missing from the gradient"),
        ("softmax_with_two_factors", "loss adds reg sum(W W), whose gradient is 2 reg W; dW adds reg W"),
        ("softmax_with_half_loss", "loss adds 0.5 reg sum(W W), whose gradient is reg W; dW adds 2 reg W"),
        ("softmax_wrong_loss", "loss wrong, relative error 0.084; gradient right"),
        ("softmax_that_is_not_finite", "loss not finite; gradient not finite"),
        ("softmax_that_changes_its_inputs", "changes W, X in place; change a copy instead"),
        ("softmax_transposed_gradient", "gradient is transposed: it has shape (10, 13), W has (13, 10)"),
        ("some_loss", "returns the same result for different inputs; do not cache it"),
    ],
)
def test_wrong(name, reason):
    assert recognised(f"mistakes.py:{name}") == Refusal("wrong", reason)


ADAPT = "add one line that adapts it: def my_softmax_loss(W, X, y, reg): return"


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ("loss", f"returns the loss alone, so there is no gradient to check; {ADAPT} f(W, X, y, reg), ..."),
        ("(loss, dW, X.dot(W))", f"returns 3 values, not (loss, dW); {ADAPT} f(W, X, y, reg)[:2]"),
        ("dW", f"returns an array alone, not (loss, dW); {ADAPT} ..., f(W, X, y, reg)"),
        (
            "{'loss': loss, 'dW': dW}",
            f"returns a dict with 'loss', 'dW', not (loss, dW); {ADAPT} tuple(f(W, X, y, reg).values())",
        ),
        ("(X.dot(W), W)", "must return (loss, dW) as a number and an array, not a ndarray and a ndarray"),
    ],
)
def test_what_cannot_be_compared_is_not_checked(written, result, reason):
    [refusal] = written(
        f"{RIGHT}def f(W, X, y, reg):\n    loss, dW = softmax_loss(W, X, y, reg)\n    return {result}\n"
    )
    assert refusal == Refusal("not checked", reason)


def test_another_loss_under_a_name_that_says_nothing_is_not_checked(written):
    [refusal] = written("def f(W, X, y, reg): return ((X @ W - 1) ** 2).mean(), 2 * X.T @ (X @ W - 1) / (X @ W).size\n")
    assert refusal.kind == "not checked"
    assert refusal.reason.startswith("computes neither loss")


RIGHT = "import numpy as np\nfrom lcbench.losses.vectorized import softmax_loss, svm_loss\n"


@pytest.mark.parametrize(
    ("text", "convention"),
    [
        ("def f(X, y, W, reg): return svm_loss(W, X, y, reg)", "arguments (X, y, W, reg)"),
        (
            "def f(X, W, y, lam): return svm_loss(W, X, y, lam / 2)",
            "2016 convention: 0.5 reg sum(W W), arguments (X, W, y, reg)",
        ),
        ("def f(W, X, y, reg): return svm_loss(W, X, y, reg)[::-1]", "returns (dW, loss)"),
        (
            "class SVM:\n    def loss(self, X, y, reg): return svm_loss(self.W, X, y, reg)",
            "arguments (X, y, reg), W in self.W",
        ),
        (
            "def f(W, X, Y, reg): return svm_loss(W, X, (Y * np.arange(10)).sum(axis=1).astype(int), reg)",
            "one-hot labels",
        ),
        (
            "def f(W, X, Y, reg):\n"
            "    loss, dW = svm_loss(W.T, X.T, Y.argmax(axis=0), reg)\n"
            "    return loss, dW.T + 0 * (W @ X - Y).sum()",
            "2015 layout: W (C, D), X (D, N), one-hot labels",
        ),
        (
            "def f(W, X, y, reg):\n    loss, dW = svm_loss(W.T, X, y, reg / 2)\n    return loss, dW.T + 0 * X[0, 0]",
            "2016 convention: 0.5 reg sum(W W), W (C, D), X (N, D)",
        ),
        (
            "def f(W, X, Y, reg): return svm_loss(W, X.T + 0 * X.T, Y.argmax(axis=0), reg)",
            "W (D, C), X (D, N), one-hot labels",
        ),
        (
            "def f(W, X, y, reg): return svm_loss(W, np.hstack([X, np.ones((len(X), 1))]), y, reg)",
            "it adds a bias to X as the last column",
        ),
        (
            "def f(W, X, y, reg):\n"
            "    loss, dW = svm_loss(W, np.insert(X, 0, 1, axis=1), y, 0)\n"
            "    weights = W * (np.arange(len(W)) > 0)[:, None]\n"
            "    return loss + reg * np.sum(weights ** 2), dW + 2 * reg * weights",
            "it adds a bias to X as the first column",
        ),
        ("def f(W, X, y, reg): return svm_loss(W[:-1] + 0 * X[:1].T, X, y, reg)[0], W", None),
    ],
)
def test_other_conventions_are_translated(written, text, convention):
    [implementation] = written(RIGHT + text)
    if convention is None:
        assert isinstance(implementation, Refusal)
        return
    assert isinstance(implementation, Implementation), implementation
    assert str(implementation.convention).removeprefix("convention: ") == convention
    require_right(implementation, "svm")


def require_right(implementation, loss, dtype=np.float64):
    """Compare an implementation with the naive one on labels of one byte and an array with gaps, read backwards."""
    rng = np.random.default_rng(1)
    W, X, y = rng.normal(size=(6, 10)).astype(dtype), rng.normal(size=(18, 12)).astype(dtype), np.arange(9, dtype="u1")
    X = X[::-2, ::2]
    expected_loss, expected_gradient = getattr(naive, f"{loss}_loss")(W.astype(float), X.astype(float), y, 0.7)
    actual_loss, actual_gradient = implementation.loss(loss, W, X, y, 0.7)
    assert actual_loss == pytest.approx(expected_loss, rel=1e-5)
    assert actual_gradient.dtype == dtype
    np.testing.assert_allclose(actual_gradient, expected_gradient, rtol=1e-4, atol=1e-4)
    prepared_W, _, _ = implementation.prepare(W, X[:1], y[:1])  # as for timing, without X
    _, _, prepared_y = implementation.prepare(W[:1], np.zeros((len(y), 1), dtype), y)
    again = implementation.functions[loss](prepared_W, implementation.prepare(W, X, y)[1], prepared_y, 0.7)
    assert implementation.fetch(*again)[0] == pytest.approx(actual_loss)


TORCH = """
import torch

def softmax_loss(W, X, y, reg):
    dW = torch.zeros_like(W)
    scores = X.mm(W)
    p = torch.softmax(scores, dim=1)
    rows = torch.arange(len(y))
    loss = -torch.log(p[rows, y]).mean() + reg * torch.sum(W * W)
    p[rows, y] -= 1
    dW += X.t().mm(p) / len(y) + 2 * reg * W
    return loss, dW

def softmax_loss_autograd(W, X, y, reg):
    W = W.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(X @ W, y) + reg * (W ** 2).sum()
    loss.backward()
    return loss, W.grad

class Softmax:
    def loss(self, W, X, y, reg):
        return torch.nn.functional.cross_entropy(X @ W, y) + 0, softmax_loss_autograd(W, X, y, reg)[1]

def softmax_loss_changing(W, X, y, reg):
    X *= 1.5
    return softmax_loss(W, X, y, reg)

def softmax_loss_wrong(W, X, y, reg):
    loss, dW = softmax_loss(W, X, y, reg)
    return loss, dW - 2 * reg * W

def softmax_loss_failing(W, X, y, reg):
    scores = X.mm(W)
    return scores.nothing

def softmax_loss_of_numpy(W, X, y, reg):
    return softmax_loss(*map(torch.from_numpy, (W, X, y)), reg)
"""


def test_functions_on_tensors_get_tensors(written):
    pytest.importorskip("torch")
    right, autograd, changing, wrong, failing, of_numpy = written(TORCH)
    for implementation in (right, autograd):
        assert str(implementation.convention) == "convention: torch tensors"
        require_right(implementation, "softmax")
        require_right(implementation, "softmax", np.float32)
    assert changing == Refusal("wrong", "changes X in place; change a copy instead")
    assert wrong == Refusal(
        "wrong", "the regularisation is missing from the gradient (under the convention: torch tensors)"
    )
    assert failing == Refusal("raises", "line 34: AttributeError: 'Tensor' object has no attribute 'nothing'")
    assert not of_numpy.convention.differs


def test_gradient_of_torch_is_checked_by_its_loss(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "a.py").write_text(TORCH)
    [function] = load_functions(f"{tmp_path}/a.py:softmax_loss_wrong")
    assert str(recognise_by_loss(function).convention) == "convention: torch tensors"


JAX = """
import jax
import jax.numpy as jnp

@jax.jit
def softmax_loss_compiled(W, X, y, reg):
    def loss(W):
        logs = jax.nn.log_softmax(X @ W)
        return -jnp.take_along_axis(logs, y[:, None], 1).mean() + reg * jnp.sum(W * W)
    return jax.value_and_grad(loss)(W)

def softmax_loss_updating(W, X, y, reg):
    loss, dW = softmax_loss_compiled(W, X, y, reg)
    return loss, dW.at[0].add(0) + 0 * W.at[0].set(1)
"""


def test_functions_on_jax_arrays_get_them(written):
    pytest.importorskip("jax")
    for implementation in written(JAX):
        assert str(implementation.convention) == "convention: jax arrays"
        require_right(implementation, "softmax", np.float32)


@needs_the_jit
def test_unusual_shapes_are_tried_without_numba_which_checks_no_bounds(tmp_path):
    text = "from numba import njit\nfrom lcbench.losses.naive import svm_loss as right\nshapes = []\n"
    text += "@njit\ndef same(x): return x\n"
    (tmp_path / "a.py").write_text(
        f"{text}def svm_loss(W, X, y, reg):\n    shapes.append(W.shape)\n    return same(1.0), W\n"
    )
    [function] = load_functions(str(tmp_path / "a.py"))
    assert isinstance(recognise(function), Refusal)
    assert set(function.function.__globals__["shapes"]) == {(13, 10), (10, 13)}
    (tmp_path / "b.py").write_text(
        "import numpy as np\nfrom numba import njit\n"
        "@njit\n"
        "def svm_loss(W, X, y, reg):\n"
        "    loss, dW = 0.0, np.zeros_like(W)\n"
        "    for i in range(len(X)):\n"
        "        for j in range(len(W)):\n"
        "            margin = 1.0\n"
        "            for k in range(X.shape[1]):\n"
        "                margin += X[i, k] * (W[j, k] - W[y[i], k])\n"
        "            if j != y[i] and margin > 0:\n"
        "                loss += margin\n"
        "                for k in range(X.shape[1]):\n"
        "                    dW[j, k] += X[i, k]\n"
        "                    dW[y[i], k] -= X[i, k]\n"
        "    return loss / len(X) + reg * np.sum(W * W), dW / len(X) + 2 * reg * W\n"
    )
    [function] = load_functions(str(tmp_path / "b.py"))
    implementation = recognise(function)
    assert str(implementation.convention) == "convention: W (C, D), X (N, D)"
    assert implementation.compiles
    require_right(implementation, "svm")


@needs_the_jit
def test_a_function_that_numba_does_not_compile_is_called_without_it(written):
    [implementation] = written(
        "from lcbench.losses.naive import svm_loss as right\n"
        "from numba import jit\n"
        "@jit(nopython=True)\n"
        "def svm_loss(W, X, y, reg):\n"
        "    if reg < 0:\n"
        "        return None\n"
        "    return right(W, X, y, reg)\n"
    )
    assert isinstance(implementation, Implementation), implementation
    assert str(implementation.convention).startswith("convention: without Numba: line ")
    assert not implementation.compiles
    require_right(implementation, "svm")


def test_half_precision_is_named(written):
    [refusal] = written(
        "import numpy as np\n"
        "def softmax_loss(W, X, y, reg):\n"
        "    n, W, X = np.arange(len(y)), W.astype(np.float16), X.astype(np.float16)\n"
        "    p = np.exp(X @ W - (X @ W).max(axis=1, keepdims=True))\n"
        "    p /= p.sum(axis=1, keepdims=True)\n"
        "    loss = -np.log(p[n, y]).mean() + reg * np.sum(W * W)\n"
        "    p[n, y] -= 1\n"
        "    return float(loss), (X.T @ p / len(y) + 2 * reg * W).astype(float)\n"
    )
    assert refusal == Refusal("wrong", "right to three digits only, as in float16; use float32 or float64")


def test_two_mistakes_are_both_named():
    reason = "not averaged over the rows; the regularisation is missing"
    assert recognised("mistakes.py:softmax_summed") == Refusal("wrong", reason)


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("softmax_with_old_dtype", "removed-numpy-name", "line 43: np.int was removed in NumPy 1.24; write int"),
        ("softmax_with_old_infinity", "removed-numpy-name", "line 48: np.infty was removed in NumPy 2.0; write np.inf"),
        ("softmax_with_undefined_name", "raises", "line 58: NameError: name 'undefined' is not defined"),
        ("softmax_that_exits", "raises", "line 62: SystemExit: enough"),
    ],
)
def test_exceptions(name, kind, reason):
    assert recognised(f"mistakes.py:{name}") == Refusal(kind, reason)


def test_use_of_a_missing_module(tmp_path):
    (tmp_path / "a.py").write_text("import cs231n.draw as draw\ndef svm_loss(W, X, y, reg):\n    draw.plot(W)\n")
    [function] = load_functions(str(tmp_path / "a.py"))
    assert recognise(function) == Refusal(
        "missing-module", "line 3: uses cs231n.draw, which is neither installed nor found next to the file"
    )


def test_error_of_the_layout_in_which_the_function_got_furthest(written):
    [refusal] = written(
        "import numpy as np\n"
        "def svm_loss(W, X, y, reg):\n"
        "    scores = W.dot(X)  # works in the layout of 2015 only\n"
        "    return np.float(0), W\n"
    )
    assert refusal == Refusal("removed-numpy-name", "line 4: np.float was removed in NumPy 1.24; write float")


def test_skipped_function_is_refused_with_its_problem(written):
    [refusal] = written("def svm_loss(W, X, y, reg):\n    W W\n")
    assert refusal == Refusal("cannot-load", "line 2: syntax error: invalid syntax")


def test_name_decides_which_loss_is_expected(written):
    text = "from lcbench.losses.naive import softmax_loss as right\ndef {}(W, X, y, reg): return right(W, X, y, reg)\n"
    [by_what_it_computes] = written(text.format("my_loss"))
    assert list(by_what_it_computes.functions) == ["softmax"]
    [by_its_name] = written(text.format("hinge"))
    assert by_its_name.kind == "wrong"


def test_number_of_classes_counted_in_y_is_accepted(written):
    [implementation] = written(
        "from lcbench.losses.naive import svm_loss as right\n"
        "def svm_loss(W, X, y, reg):\n"
        "    assert len(set(y)) == W.shape[1]\n"
        "    return right(W, X, y, reg)\n"
    )
    assert isinstance(implementation, Implementation), implementation


def test_layout_and_regularisation_are_independent(written):
    found = written(
        "from lcbench.losses.naive import softmax_loss as right\n"
        "def half_loss(W, X, y, reg): return right(W, X, y, reg / 2)\n"
        "def columns_loss(W, X, y, reg):\n"
        "    loss, dW = right(W.T, X.T, y, reg)\n"
        "    return loss, dW.T\n"
    )
    assert [implementation.convention for implementation in found] == [Convention(False, True), Convention(True, False)]


def test_single_precision_is_accepted(written):
    [implementation] = written(
        "import numpy as np\n"
        "from lcbench.losses.naive import softmax_loss as right\n"
        "def my_loss(W, X, y, reg): return right(W.astype(np.float32), X.astype(np.float32), y, reg)\n"
    )
    assert isinstance(implementation, Implementation)


def test_prepare_and_fetch_of_the_file_are_used(written):
    [implementation] = written(
        "from lcbench.losses.naive import svm_loss as right\n"
        "def prepare(W, X, y): return ('W', W), ('X', X), ('y', y)\n"
        "def fetch(loss, dW): return loss[1], dW[1]\n"
        "def svm_loss(W, X, y, reg):\n"
        "    loss, dW = right(W[1], X[1], y[1], reg)\n"
        "    return ('loss', loss), ('dW', dW)\n"
    )
    assert isinstance(implementation, Implementation)
    assert implementation.svm_loss(np.zeros((3, 10)), np.ones((4, 3)), np.zeros(4, int), 0)[0] == 9


@needs_the_jit
@pytest.mark.parametrize("broken", ["", "%matplotlib inline\n", "\ufeff"])
def test_compiled_functions_in_files_that_were_parsed_in_part(written, broken):
    [implementation] = written(
        f"{broken}import numpy as np\n"
        "from numba import njit\n"
        "@njit\n"
        "def svm_loss(W, X, y, reg):\n"
        "    loss, dW = 0.0, np.zeros_like(W)\n"
        "    for i in range(len(X)):\n"
        "        for j in range(W.shape[1]):\n"
        "            margin = 1.0\n"
        "            for k in range(len(W)):\n"
        "                margin += X[i, k] * (W[k, j] - W[k, y[i]])\n"
        "            if j != y[i] and margin > 0:\n"
        "                loss += margin\n"
        "                for k in range(len(W)):\n"
        "                    dW[k, j] += X[i, k]\n"
        "                    dW[k, y[i]] -= X[i, k]\n"
        "    return loss / len(X) + reg * np.sum(W * W), dW / len(X) + 2 * reg * W\n"
    )
    assert isinstance(implementation, Implementation), implementation
    assert implementation.compiles


@needs_the_jit
def test_compilation_error_is_one_line_with_line_number(written):
    text = "from lcbench.losses.naive import svm_loss as right\nfrom numba import njit\n@njit\n"
    [found] = written(f"{text}def svm_loss(W, X, y, reg):\n    return right(W, X, y, reg)\n")
    [words] = found.convention.others
    assert words.startswith("without Numba: line 5: TypingError: Untyped global name 'right'")
    [refusal] = written(f"{text}def svm_loss(W, X, y, reg):\n    return W.append(3), W\n")
    assert refusal == Refusal("raises", "line 5: AttributeError: 'numpy.ndarray' object has no attribute 'append'")


@pytest.mark.parametrize("result", ["float('nan'), W * np.nan", "np.inf, W", "0.5, W / 0"])
def test_output_that_is_not_finite_is_wrong(written, result):
    [refusal] = written(f"import numpy as np\ndef softmax_loss(W, X, y, reg):\n    X.dot(W)\n    return {result}\n")
    assert refusal.kind == "wrong"
    assert "not finite" in refusal.reason


BY_LOSS = """
from lcbench.losses import vectorized

def svm_loss_wrong_gradient(W, X, y, reg):
    loss, dW = vectorized.svm_loss(W, X, y, reg)
    return loss, -dW

def softmax_loss_wrong_gradient_of_2015(W, X, y, reg):
    loss, dW = vectorized.softmax_loss(W.T, X.T, y, reg / 2)
    return loss, -dW.T

def wrong_gradient_without_a_loss_in_its_name(W, X, y, reg):
    loss, dW = vectorized.softmax_loss(W, X, y, reg)
    return loss, -dW

def svm_loss_wrong_in_both_parts(W, X, y, reg):
    loss, dW = vectorized.svm_loss(W.T, X.T, y, reg)
    return 2 * loss, -dW.T

def wrong_in_both_parts_without_a_loss_in_its_name(W, X, y, reg):
    loss, dW = vectorized.softmax_loss(W, X, y, reg)
    return 2 * loss, -dW

def svm_loss_transposed(W, X, y, reg):
    loss, dW = vectorized.svm_loss(W, X, y, reg)
    return loss, dW.T

def svm_loss_changing(W, X, y, reg):
    result = vectorized.svm_loss(W, X, y, reg)
    W *= 2
    return result
"""


def test_recognise_by_loss_if_the_gradient_is_wrong(tmp_path):
    (tmp_path / "a.py").write_text(BY_LOSS)
    functions = load_functions(str(tmp_path / "a.py"))
    found = [recognise_by_loss(function) for function in functions]
    assert [(list(each.functions), each.convention) for each in found[:4]] == [
        (["svm"], CURRENT),
        (["softmax"], YEAR_2015),
        (["softmax"], CURRENT),
        (["svm"], Convention(columns=True)),
    ]
    assert all(isinstance(each, Refusal) for each in found[4:])
    assert all(isinstance(recognise(function), Refusal) for function in functions)


def test_recognise_by_loss_if_the_function_is_right():
    for spec in ("softmax.py:softmax_loss_naive", "year2015/losses.py:svm_loss_naive"):
        [function] = load_functions(str(ASSIGNMENTS / spec))
        by_loss, whole = recognise_by_loss(function), recognise(function)
        assert (by_loss.convention, list(by_loss.functions)) == (whole.convention, list(whole.functions))
