"""Known mistakes in whole assignment files, through all of ``lcbench check``; right files are not refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from lcbench import usercode
from lcbench.checks import checking, gradcheck
from lcbench.checks.cases import CASES
from lcbench.usercode import Refusal

ASSIGNMENTS = Path(__file__).parents[1] / "usercode" / "assignments"

UNREGULARISED_GRADIENT = "the regularisation is missing from the gradient"
CORRECT_COUNTED = "the correct class is included in the hinge sum"
CLASSES_OF_LABELS = "wrong if y lacks a class; take the number of classes from W, not from y"
EACH_ROW = "subtract the maximum of each row before exp"
EARLIER = "returns the result of an earlier call"
OF_2015 = " (under the 2015 convention: W (C, D), X (D, N), 0.5 reg sum(W W))"

WORDS = {
    "svm_naive.py": {
        "svm_loss_reg_missing": "the regularisation is missing",
        "svm_loss_reg_missing_from_gradient": UNREGULARISED_GRADIENT,
        "svm_loss_reg_halved_in_the_loss": "loss adds 0.5 reg sum(W W), whose gradient is reg W; dW adds 2 reg W",
        "svm_loss_not_averaged": "not averaged over the rows",
        "svm_loss_gradient_not_averaged": "in the gradient, not averaged over the rows",
        "svm_loss_averaged_twice": "averaged over the rows twice",
        "svm_loss_correct_class_counted": f"in the loss, {CORRECT_COUNTED}",
        "svm_loss_crammer_singer": "the largest margin is used, not their sum (Crammer-Singer)",
        "svm_loss_squared": "the hinge is squared",
        "svm_loss_divided_by_classes": "divided by the number of classes",
        "svm_loss_last_row_left_out": "the last row is left out",
        "svm_loss_returns_after_the_first_row": "only the first row is used",
        "svm_loss_only_the_wrong_classes": "the term of the correct class is missing from the gradient",
        "svm_loss_whole_numbers": "gradient has dtype int64, not a floating-point one",
        "svm_loss_no_delta": "the margin of 1 (delta) is missing",
        "svm_loss_columns_without_reg_gradient": UNREGULARISED_GRADIENT + OF_2015,
    },
    "svm_vectorized.py": {
        "svm_loss_correct_class_in_the_mask": f"in the gradient, {CORRECT_COUNTED}",
        "svm_loss_correct_class_in_the_loss": f"in the loss, {CORRECT_COUNTED}",
        "svm_loss_negated": "in the gradient, the sign is wrong",
        "svm_loss_transposed": "gradient is transposed: it has shape (10, 13), W has (13, 10)",
        "svm_loss_reshaped": "in the gradient, reshaped, not transposed",
        "svm_loss_margins_as_mask": "in the gradient, margins are used where 0 or 1 is needed",
        "svm_loss_subtracted_once": "in the gradient, X is subtracted once per row, not once per margin",
        "svm_loss_scales_X": "changes X in place; change a copy instead",
        "svm_loss_cached_by_shape": f"{EARLIER} (",
        "svm_loss_classes_from_labels": f"{CLASSES_OF_LABELS} (one row: ",
        "svm_loss_first_500": "only the first 500 rows of 1033 are used (many rows: ",
        "svm_loss_reg_by_rows": "the regularisation is divided by the number of rows",
        "svm_loss_reg_forgotten": "in the loss, the regularisation is not multiplied by reg",
        "svm_loss_reg_forgotten_twice": "the regularisation is not multiplied by reg",
        "svm_loss_divided_by_rows_and_reg": "in the loss, divided by N + reg sum(W W), not by N alone",
        "svm_loss_gradient_divided_by_rows_and_reg": "in the gradient, divided by N + reg W, not by N alone",
        "svm_loss_sum_of_products": "in the loss, the regularisation is sum(W.dot(W.T)), not sum(W * W)",
        "svm_loss_sum_of_other_products": (
            "in the loss, the regularisation is sum(W.T.dot(W)), not sum(W * W)"
            " (under the 2016 convention: 0.5 reg sum(W W))"
        ),
        "svm_loss_reg_added": "in the loss, reg is added to sum(W W), not multiplied by it",
        "svm_loss_gradient_of_reg_without_W": "in the gradient, reg is added without W",
        "svm_loss_of_probabilities": "computes the softmax loss, but its name says svm",
    },
    "softmax_naive.py": {
        "softmax_loss_twice": "softmax is applied twice",
        "softmax_loss_no_shift": f"right only up to scores of about 710; {EACH_ROW} (scores near 1e3: ",
        "softmax_loss_neighbour": "in the gradient, the labels are off by one",
        "softmax_loss_one_not_subtracted": "in the gradient, 1 is not subtracted at the correct class",
        "softmax_loss_overwrites": "only the last row is used",
        "softmax_loss_no_log": "the logarithm is missing from the loss",
        "softmax_loss_positive_log": "in the loss, the sign is wrong",
        "softmax_loss_reg_of_another_factor": "loss adds reg sum(W W), whose gradient is 2 reg W; dW adds reg W",
        "softmax_loss_starter": "unfinished: returns zeros, as the assignment's starter code does",
        "softmax_loss_starter_with_a_loss": "unfinished: the gradient is all zeros; the loss is right",
        "softmax_loss_reg_once_a_row": "the regularisation is multiplied by the number of rows",
    },
    "softmax_vectorized.py": {
        "softmax_loss_reg_missing_from_loss": "the regularisation is missing from the loss",
        "softmax_loss_not_averaged_in_loss": "in the loss, not averaged over the rows",
        "softmax_loss_gradient_averaged_twice": "in the gradient, averaged over the rows twice",
        "softmax_loss_mean_over_everything": "in the loss, divided by the number of classes",
        "softmax_loss_wrong_axis": "normalised over the rows, not over the classes",
        "softmax_loss_negated_gradient": "in the gradient, the sign is wrong",
        "softmax_loss_every_class_less_one": (
            "in the gradient, 1 is subtracted at every class, not only the correct one"
        ),
        "softmax_loss_of_the_predicted_class": "in the gradient, the term of the correct class is in the wrong column",
        "softmax_loss_of_the_call_before": EARLIER,
        "softmax_loss_cached_by_identity": f"a second call: {EARLIER}",
        "softmax_loss_updates_W": "changes W in place; change a copy instead",
        "softmax_loss_half_precision": "gradient has dtype float16; use float32 or float64",
        "softmax_loss_labels_from_one": "the labels are off by one",
        "softmax_loss_one_hot_of_seen_labels": f"{CLASSES_OF_LABELS} (one row: ",
        "softmax_loss_whole_batches": "only the first 1000 rows of 1033 are used (primes: ",
        "softmax_loss_bias_not_regularised": "the last row of W (a bias?) is not regularised",
        "softmax_loss_log2": "in the loss, the logarithm is to base 2",
        "softmax_loss_2015_summed": f"not averaged over the rows{OF_2015}",
    },
}
"""Expected reason of each function, or its beginning up to a parenthesis or a colon."""


def verdicts(file):
    """Yield the name of each function in `file` with the reason why it is wrong, or an empty string."""
    for function in usercode.load_functions(str(file)):
        recognised = usercode.recognise(function)
        name = function.spec.rpartition(":")[2]
        if isinstance(recognised, Refusal):
            yield name, str(recognised)
        else:
            [loss] = recognised.functions
            yield name, checking.check(recognised, loss, "float64").reason


@pytest.mark.parametrize("file", WORDS)
def test_each_mistake_is_named(file):
    words = WORDS[file]
    found = dict(verdicts(ASSIGNMENTS / "wrong" / file))
    assert found.keys() == words.keys()
    for name, reason in found.items():
        expected = words[name]
        assert reason.startswith(expected), name
        assert reason == expected or expected[-1] in " (:", name


def test_every_wrong_file_is_tested():
    assert {path.name for path in (ASSIGNMENTS / "wrong").glob("*.py")} == WORDS.keys()
    assert sum(map(len, WORDS.values())) >= 50


needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch")
RIGHT = {
    "automatic.py": 1,
    "classes.py": 2,
    "compiled.py": 1,
    "loops.py": 3,
    "old_conventions.py": 4,
    "vectorized.py": 9,
}


@pytest.mark.parametrize(
    "file", [pytest.param(file, marks=needs_torch) if file == "automatic.py" else file for file in RIGHT]
)
def test_right_code_is_not_refused(file):
    found = dict(verdicts(ASSIGNMENTS / "right" / file))
    assert len(found) == RIGHT[file]
    assert {name: reason for name, reason in found.items() if reason} == {}


def test_every_right_file_is_tested():
    assert {path.name for path in (ASSIGNMENTS / "right").glob("*.py")} == RIGHT.keys()


UP_TO = "right only up to scores of about"
UNSTABLE = {
    "softmax_loss_no_shift": f"{UP_TO} 710; {EACH_ROW} (scores near 1e3: ",
    "softmax_loss_global_shift": f"{UP_TO} -740 in one row; {EACH_ROW}, not the maximum of all rows (one row ",
    "softmax_loss_maximum_from_zero": f"{UP_TO} -750; {EACH_ROW}, even if it is negative (scores near -1e3: ",
    "softmax_loss_mean_shift": f"{UP_TO} -",
    "softmax_loss_clipped_without_shift": f"{UP_TO} 710; {EACH_ROW} (scores near 1e3: ",
    "softmax_loss_clipped_scores": f"{UP_TO} 500; {EACH_ROW} (scores near 1e3: ",
    "softmax_loss_math_exp": f"{UP_TO} 710; {EACH_ROW} (scores near 1e3: line ",
    "softmax_loss_log_sum_exp_without_shift": f"{UP_TO} 710; {EACH_ROW} (scores near 1e3: loss is inf",
}
"""Beginning of the reason of each function that is unstable."""

NO_PROBABILITIES = "with scores more than about 740 apart, loss is inf"
GUARDED = "the logarithm's argument is increased by, or clipped to,"
LIMITS = {
    "softmax_loss_log_of_probabilities": [NO_PROBABILITIES],
    "softmax_loss_clipped": [f"{GUARDED} 1e-12: no row's loss exceeds 27.6"],
    "softmax_loss_maximum": [f"{GUARDED} 1e-15: no row's loss exceeds 34.5"],
    "softmax_loss_epsilon": ["accurate to single precision only", f"{GUARDED} 1e-08: no row's loss exceeds 18.4"],
    "softmax_loss_small_epsilon": ["with scores more than about 700 apart, loss is "],
    "svm_loss_choose": ["np.choose takes at most "],
    "svm_loss_no_small_labels": [
        "np.choose takes at most ",
        "with int8 labels: line 57: TypeError: labels must be int32 or int64",
        "with uint8 labels: line 57: TypeError: labels must be int32 or int64",
    ],
    "softmax_loss_contiguous_only": [
        "with X with gaps, backwards: line 63: ValueError: at least one stride is negative",
        NO_PROBABILITIES,
    ],
    "softmax_loss_average": [NO_PROBABILITIES],
    "softmax_loss_average_in_columns": [NO_PROBABILITIES],
}
"""Beginning of the notes on each function that is right within limits."""


def checked_functions(file):
    """Yield the name of each function in `file` with the result of its check."""
    for function in usercode.load_functions(str(file)):
        recognised = usercode.recognise(function)
        assert not isinstance(recognised, Refusal), f"{function.name}: {recognised}"
        [loss] = recognised.functions
        yield function.spec.rpartition(":")[2], checking.check(recognised, loss, "float64", function)


def test_a_softmax_that_is_right_for_ordinary_scores_only_is_unstable():
    found = dict(checked_functions(ASSIGNMENTS / "unstable" / "softmax.py"))
    assert {name: result.status for name, result in found.items()} == dict.fromkeys(UNSTABLE, "unstable")
    for name, result in found.items():
        assert result.reason.startswith(UNSTABLE[name]), name
        assert result.example is not None, name


def test_limits_of_right_code_are_notes():
    found = dict(checked_functions(ASSIGNMENTS / "limited" / "losses.py"))
    assert {name: result.status for name, result in found.items()} == dict.fromkeys(LIMITS, "ok")
    for name, result in found.items():
        assert len(result.notes) == len(LIMITS[name]), (name, result.notes)
        for note, beginning in zip(result.notes, LIMITS[name], strict=True):
            assert note.startswith(beginning), name
    assert "reg / (2 N)" in found["softmax_loss_average"].convention
    assert "W (C, D), X (D, N), reg / (2 N)" in found["softmax_loss_average_in_columns"].convention


def test_a_race_is_found_before_anything_else():
    [function] = usercode.load_functions(str(ASSIGNMENTS / "races" / "svm.py"))
    # Two calls differ by chance, already while the function is recognised or only in its check.
    found = usercode.recognise(function)
    if isinstance(found, Refusal):
        assert found.kind == "wrong"
    else:
        found = checking.check(found, "svm", "float64", function)
        assert found.status == "wrong"
    assert "two calls on the same arrays differ: a race in prange?" in found.reason


@pytest.fixture
def checked(tmp_path):
    def checked(text):
        (tmp_path / "a.py").write_text(
            f"import numpy as np\nfrom lcbench.losses.vectorized import softmax_loss as right\n{text}"
        )
        [function] = usercode.load_functions(str(tmp_path / "a.py"))
        implementation = usercode.recognise(function)
        return checking.check(implementation, "softmax", "float64")

    return checked


def test_results_that_differ_only_in_a_later_call_are_a_race_too(checked):
    found = checked("""
seen, rng = {}, np.random.default_rng(0)

def softmax_loss(W, X, y, reg):
    loss, dW = right(W, X, y, reg)
    _, values = seen.setdefault(id(X), (X, X.copy()))
    return loss, dW + (values != X).any() * rng.normal(size=dW.shape)
""")
    assert found.status == "wrong"
    assert found.reason.startswith("two calls on the same arrays differ: random numbers, or a race? (a second call: ")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "return right(W, X, np.asarray(y, np.uint8), reg)",
            "wrong for 300 classes: are the labels converted to bytes?",
        ),
        ("return right(W, X, y, reg) if W.shape[1] <= 10 else (0.0, W)", "right for 10 classes only"),
        (
            "p = np.exp(X @ W - (X @ W).max(1)[:, None]); loss, dW = right(W, X, y, reg); "
            "p = (p / p.sum(1)[:, None])[np.arange(len(y)), y]; "
            "return -np.log(p + 2e-6).mean() + reg * np.sum(W * W), dW",
            "the logarithm's argument is increased by, or clipped to, 2e-06 (",
        ),
    ],
)
def test_mistakes_on_some_inputs_only(checked, body, words):
    found = checked(f"def softmax_loss(W, X, y, reg):\n    {body}\n")
    assert found.status == "wrong"
    assert found.reason.startswith(words)


def test_loss_of_an_earlier_call(checked):
    found = checked(
        "first = []\n"
        "def softmax_loss(W, X, y, reg):\n"
        "    loss, dW = right(W, X, y, reg)\n"
        "    first.append(loss)\n"
        "    return first[0], dW\n"
    )
    assert found.reason.startswith("returns the result of an earlier call (one row: ")


@pytest.mark.parametrize(
    "body",
    [
        "return right(W, X, y, reg) if len(X) != 101 else (0.0, W)",
        "return right(W, X, y, reg) if X.flags.c_contiguous else (0.0, W)",
    ],
)
def test_unknown_mistake_has_the_reason_of_its_case(checked, body):
    assert checked(f"def softmax_loss(W, X, y, reg):\n    {body}\n").reason.split(":")[0] in (
        "primes",
        "X in Fortran order",
    )


def test_single_precision_is_a_note_for_user_code(checked):
    found = checked(
        "def softmax_loss(W, X, y, reg):\n    return right(W.astype(np.float32), X.astype(np.float32), y, reg)\n"
    )
    assert (found.status, found.notes, found.single_precision) == ("ok", ["accurate to single precision only"], True)
    assert 1e-9 < found.error_grad < 1e-3
    assert found.cases == len(CASES) + 2  # without the numerical gradient


def test_single_precision_is_wrong_for_the_catalog():
    from lcbench.losses import vectorized
    from lcbench.losses.implementation import Implementation

    def rounding(W, X, y, reg):
        return vectorized.softmax_loss(W.astype("float32"), X.astype("float32"), y, reg)

    assert checking.check(Implementation("numpy", "cpu", {"softmax": rounding}), "softmax", "float64").status == "wrong"


@pytest.mark.parametrize("rows", [1, 500])
def test_results_that_differ_between_calls_are_wrong(tmp_path, rows):
    """Recognition sees a difference for few rows, repeated calls one for many."""
    text = f"""
import numpy as np
from lcbench.losses.vectorized import softmax_loss as right
rng = np.random.default_rng(1)
def softmax_loss(W, X, y, reg):
    loss, dW = right(W, X, y, reg)
    return loss, dW * (1 + (0.01 if len(X) >= {rows} else 0) * rng.random(dW.shape))
"""
    (tmp_path / "a.py").write_text(text)
    [function] = usercode.load_functions(str(tmp_path / "a.py"))
    found = usercode.recognise(function)
    if rows == 1:
        assert isinstance(found, Refusal)
        reason = found.reason
    else:
        reason = checking.check(found, "softmax", "float64").reason
        assert gradcheck._race(Job, found, "softmax").reason in reason
    assert reason.endswith("two calls on the same arrays differ: random numbers, or a race?")


def test_no_other_mistake_is_named_if_calls_differ(tmp_path):
    text = """
import numpy as np
from lcbench.losses.vectorized import svm_loss as right
rng = np.random.default_rng(0)
def svm_loss(W, X, y, reg):
    loss, dW = right(W, X, y, reg)
    return loss + 1e-3 * rng.random(), dW
"""
    (tmp_path / "a.py").write_text(text)
    [function] = usercode.load_functions(str(tmp_path / "a.py"))
    reason = checking.check(usercode.recognise(function), "svm", "float64").reason
    assert reason == "the same call again: two calls on the same arrays differ: random numbers, or a race?"


class Job:
    implementation = "a.py:softmax_loss"
