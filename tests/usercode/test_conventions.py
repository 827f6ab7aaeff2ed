"""What a user's function computes, found by calling it."""

from pathlib import Path

import numpy as np
import pytest
from numba import config

from lcbench.losses import naive
from lcbench.losses.implementation import Convention, Implementation
from lcbench.usercode import Refusal, load_functions, recognise, recognise_by_loss

needs_the_jit = pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled where the JIT is off")

ASSIGNMENTS = Path(__file__).parent / "assignments"

ZEROS = "unfinished: returns zeros, as the assignment's starter code does"
CURRENT, YEAR_2016, YEAR_2015 = Convention(), Convention(False, True), Convention(True, True)


def recognised(spec):
    [function] = load_functions(str(ASSIGNMENTS / spec))
    return recognise(function, naive)


@pytest.fixture
def written(tmp_path):
    def written(text):
        (tmp_path / "a.py").write_text(text)
        return [recognise(function, naive) for function in load_functions(str(tmp_path / "a.py"))]

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
def test_from_outside_every_convention_is_the_current_one(spec, loss, convention, dtype):
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


def test_pixels_arrive_in_the_dtype_of_the_weights():
    prepare = recognised("softmax.py:softmax_loss_naive").prepare
    assert prepare(np.ones((6, 4), np.float32), np.ones((9, 6), np.uint8), np.zeros(9, int))[1].dtype == np.float32


def test_what_the_first_call_spoils_is_whole_again_in_the_second(written):
    [implementation] = written(
        "from lcbench.losses.naive import svm_loss as right\n"
        "def svm_loss(W, X, y, reg):\n"
        "    if W.shape[0] > W.shape[1]:\n"
        "        W[:], X[:], y[:] = 0, 0, 0\n"
        "    loss, dW = right(W.T, X.T, y, reg / 2)\n"
        "    return loss, dW.T\n"
    )
    assert implementation.convention == YEAR_2015  # with W spoilt the factor could not be told


def test_current_files_get_the_arrays_themselves():
    X = np.ones((9, 6))
    assert recognised("softmax.py:softmax_loss_vectorized").prepare(np.ones((6, 4)), X, np.zeros(9, int))[1] is X


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("starter/linear_svm.py:svm_loss_naive", "unfinished: the gradient is zeros; the loss is right"),
        ("starter/linear_svm.py:svm_loss_vectorized", ZEROS),
        ("starter/softmax.py:softmax_loss_naive", ZEROS),
        ("starter/softmax.py:softmax_loss_vectorized", "unfinished: returns nothing"),
        ("starter/softmax.py:softmax_loss_fast", "line 16: unfinished: raises NotImplementedError"),
        (
            "year2015/losses.py:svm_loss_vectorized",
            "unfinished: the gradient is zeros; the loss is right "
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
        ("softmax_that_changes_its_inputs", "changes W, X; no input may be changed"),
        ("softmax_loss_only", "returns a float64, not (loss, dW)"),
        ("softmax_with_scores", "returns 3 values, not (loss, dW)"),
        ("softmax_transposed_gradient", "gradient is transposed: it has shape (10, 13), W has (13, 10)"),
        ("softmax_of_scores", "returns something else than a number and an array for (loss, dW)"),
        ("some_loss", "returns the same for other inputs, as a cached result does"),
    ],
)
def test_wrong(name, reason):
    assert recognised(f"mistakes.py:{name}") == Refusal("wrong", reason)


def test_half_precision_inside_is_told(written):
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
    assert refusal == Refusal("wrong", "right to three digits only, as in half precision (float16)")


def test_two_mistakes_are_both_named():
    reason = "not averaged over the rows; the regularisation is missing"
    assert recognised("mistakes.py:softmax_summed") == Refusal("wrong", reason)


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("softmax_with_old_dtype", "removed-numpy-name", "line 43: np.int is gone since NumPy 1.24; write int"),
        ("softmax_with_old_infinity", "removed-numpy-name", "line 48: np.infty is gone since NumPy 2.0; write np.inf"),
        ("softmax_with_undefined_name", "raises", "line 58: NameError: name 'undefined' is not defined"),
        ("softmax_that_exits", "raises", "line 62: SystemExit: enough"),
    ],
)
def test_what_it_raises(name, kind, reason):
    assert recognised(f"mistakes.py:{name}") == Refusal(kind, reason)


def test_a_missing_package_matters_where_it_is_used(tmp_path):
    (tmp_path / "a.py").write_text("import cs231n.draw as draw\ndef svm_loss(W, X, y, reg):\n    draw.plot(W)\n")
    [function] = load_functions(str(tmp_path / "a.py"))
    assert recognise(function, naive) == Refusal(
        "missing-module", "line 3: uses cs231n.draw, which is neither installed nor found beside the file"
    )


def test_the_error_told_is_that_of_the_layout_in_which_the_function_got_furthest(written):
    [refusal] = written(
        "import numpy as np\n"
        "def svm_loss(W, X, y, reg):\n"
        "    scores = W.dot(X)  # fits in the layout of 2015 only\n"
        "    return np.float(0), W\n"
    )
    assert refusal == Refusal("removed-numpy-name", "line 4: np.float is gone since NumPy 1.24; write float")


def test_a_function_that_cannot_be_called_is_refused_with_its_problem(written):
    [refusal] = written("def svm_loss(W, X, y, reg):\n    print W\n")
    assert refusal == Refusal("cannot-load", "line 2: Python 2 syntax: print statement")


def test_the_name_decides_which_loss_it_is_meant_to_be(written):
    text = "from lcbench.losses.naive import softmax_loss as right\ndef {}(W, X, y, reg): return right(W, X, y, reg)\n"
    [by_what_it_computes] = written(text.format("my_loss"))
    assert list(by_what_it_computes.functions) == ["softmax"]
    [by_its_name] = written(text.format("hinge"))
    assert by_its_name.kind == "wrong"


def test_files_that_count_the_classes_among_the_labels_are_right(written):
    [implementation] = written(
        "from lcbench.losses.naive import svm_loss as right\n"
        "def svm_loss(W, X, y, reg):\n"
        "    assert len(set(y)) == W.shape[1]\n"
        "    return right(W, X, y, reg)\n"
    )
    assert isinstance(implementation, Implementation), implementation


def test_half_regularisation_in_the_current_layout_and_columns_with_the_full_one(written):
    found = written(
        "from lcbench.losses.naive import softmax_loss as right\n"
        "def half_loss(W, X, y, reg): return right(W, X, y, reg / 2)\n"
        "def columns_loss(W, X, y, reg):\n"
        "    loss, dW = right(W.T, X.T, y, reg)\n"
        "    return loss, dW.T\n"
    )
    assert [implementation.convention for implementation in found] == [Convention(False, True), Convention(True, False)]


def test_the_digits_are_not_judged_here(written):
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
def test_compiled_functions_work_also_in_files_that_needed_mending(written, broken):
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
def test_a_compilation_error_is_one_line_with_its_place(written):
    [refusal] = written("from numba import njit\n@njit\ndef svm_loss(W, X, y, reg):\n    return W.append(3), W\n")
    assert refusal.kind == "raises"
    assert refusal.reason.startswith("line 4: TypingError: Unknown attribute 'append'")


@pytest.mark.parametrize("result", ["float('nan'), W * np.nan", "np.inf, W", "0.5, W / 0"])
def test_what_is_not_finite_is_wrong_and_not_a_matter_of_layout(written, result):
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

def wrong_gradient_without_a_telling_name(W, X, y, reg):
    loss, dW = vectorized.softmax_loss(W, X, y, reg)
    return loss, -dW

def svm_loss_wrong_altogether(W, X, y, reg):
    loss, dW = vectorized.svm_loss(W.T, X.T, y, reg)
    return 2 * loss, -dW.T

def wrong_altogether_without_a_telling_name(W, X, y, reg):
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


def test_a_loss_alone_tells_what_a_function_is_where_its_gradient_is_wrong(tmp_path):
    (tmp_path / "a.py").write_text(BY_LOSS)
    functions = load_functions(str(tmp_path / "a.py"))
    found = [recognise_by_loss(function, naive) for function in functions]
    assert [(list(each.functions), each.convention) for each in found[:4]] == [
        (["svm"], CURRENT),
        (["softmax"], YEAR_2015),
        (["softmax"], CURRENT),
        (["svm"], Convention(columns=True)),
    ]
    assert all(isinstance(each, Refusal) for each in found[4:])
    assert all(isinstance(recognise(function, naive), Refusal) for function in functions)


def test_what_is_right_is_the_same_by_its_loss_alone():
    for spec in ("softmax.py:softmax_loss_naive", "year2015/losses.py:svm_loss_naive"):
        [function] = load_functions(str(ASSIGNMENTS / spec))
        by_loss, whole = recognise_by_loss(function, naive), recognise(function, naive)
        assert (by_loss.convention, list(by_loss.functions)) == (whole.convention, list(whole.functions))
