"""Tables of ``lcbench check`` in a terminal of 80 columns."""

from __future__ import annotations

from lcbench.record import CheckResult, Example
from lcbench.report.tables import check as check_tables
from printed import printed


def checked(implementation="numpy", **fields):
    defaults = {"loss": "softmax", "dtype": "float32", "cases": 18, "error_loss": 1e-7, "error_grad": 3e-7}
    return CheckResult(implementation=implementation, **(defaults | fields))


def test_implementations_of_the_catalog_are_a_table():
    reports = [
        checked(loss="svm"),
        checked(dtype="float64", cases=19, error_loss=0.0, error_grad=2e-16),
        checked("numba-cuda", device="simulator", left_out=4, cases=14),
    ]
    assert printed(check_tables.tables(reports)) == [
        "against the float64 oracle",
        "implementation  loss     dtype    cases  loss error  gradient error  result",
        "────────────────────────────────────────────────────────────────────────────────",
        "numpy           svm      float32     18       1e-07           3e-07  right",
        "numpy           softmax  float64     19           0           2e-16  right",
        "numba-cuda      softmax  float32     14       1e-07           3e-07  right",
        "                                                                     (simulated)",
        "simulated: Numba's CUDA simulator, without the 4 cases that are too large for it",
        "3 right, 0 wrong",
    ]


def test_a_wrong_implementation_has_its_whole_reason_and_no_errors():
    reason = "remainders of every tile: gradient is off by 1.0e-02 of its norm"
    lines = printed(check_tables.tables([checked("torch-compile-cuda", status="wrong", reason=reason, cases=5)]))
    assert lines[3].split() == ["torch-compile-cuda", "softmax", "float32", "5", "-", "-", "wrong"]
    assert " ".join(lines[4:6]) == f"torch-compile-cuda wrong (softmax float32): {reason}"
    assert lines[-1] == "0 right, 1 wrong"


def test_one_reason_has_one_line_for_all_losses_and_dtypes():
    reports = [checked("jax", loss=loss, dtype="", status="unavailable", reason="jax is not installed")
               for loss in ("svm", "softmax")]  # fmt: skip
    lines = printed(check_tables.tables(reports))
    assert lines[-2] == "jax unavailable (svm, softmax): jax is not installed"


def test_unchecked_implementations_are_counted():
    lines = printed(check_tables.tables([checked(), checked("jax", dtype="", status="unavailable", reason="no jax")]))
    assert lines[-1] == "1 right, 0 wrong, 1 not checked"


MINE = "homework/softmax.py:softmax_loss_vectorized"


def users(**fields):
    return checked(**({"implementation": MINE, "users": True, "dtype": "float64", "cases": 17} | fields))


def test_a_users_function():
    told = users(notes=["X of uint8 pixels: loss is nan"], file_notes=["line 3: IPython magic: %load, skipped"])
    assert printed(check_tables.tables([told])) == [
        "homework/softmax.py",
        "  softmax_loss_vectorized: right (softmax; 17 cases, float64)",
        "    but X of uint8 pixels: loss is nan",
        "  note: line 3: IPython magic: %load, skipped",
        "1 right, 0 wrong",
    ]


def test_a_convention_is_part_of_the_verdict():
    text = "\n".join(printed(check_tables.tables([users(convention="2015 layout: W (C, D), X (D, N)")])))
    assert "right, under the 2015 layout: W (C, D), X (D, N)" in text


def test_one_wrong_dtype_gives_the_verdict():
    reports = [users(), users(dtype="float32", status="wrong", reason="one row: loss is 1, right is 2")]
    text = " ".join(" ".join(printed(check_tables.tables(reports))).split())
    assert "softmax_loss_vectorized: wrong (float32): one row: loss is 1, right is 2" in text


def test_functions_follow_their_file():
    reports = [users(implementation=f"mine.py:{name}", status=status, reason=reason, loss=loss)
               for name, status, reason, loss in
               [("svm_a", "ok", "", "svm"), ("svm_b", "crashed", "killed by SIGSEGV", "svm")]]  # fmt: skip
    lines = printed(check_tables.tables(reports))
    assert lines == [
        "mine.py",
        "  svm_a: right (svm; 17 cases, float64)",
        "  svm_b: crashed (float64): killed by SIGSEGV",
        "1 right, 0 wrong, 1 not checked",
    ]


def test_long_reasons_are_wrapped_and_not_cut():
    reason = "no file " + "/a/long/path" * 20
    lines = printed(check_tables.tables([users(status="crashed", reason=reason)]))
    assert "".join(reason.split()) in "".join("".join(lines).split())


def test_a_wrong_function_has_a_line_and_an_example():
    example = Example(["W = np.array([[0.5, -1.0]])", "y = np.array([1]); reg = 0.1"],
                      [("loss", "2.5", "2.25"), ("dW[0, 1]", "-0.125", "nan")])  # fmt: skip
    reason = "the regularisation is missing from the gradient"
    report = users(status="wrong", dtype="", reason=reason, line=12, code="return loss, dW", example=example)
    assert printed(check_tables.tables([report, users(status="unstable", reason="right only up to 710")])) == [
        "homework/softmax.py",
        "  softmax_loss_vectorized: wrong:",
        "    the regularisation is missing from the gradient",
        "    line 12: return loss, dW",
        "    W = np.array([[0.5, -1.0]])",
        "    y = np.array([1]); reg = 0.1",
        "              expected  actual",
        "    loss           2.5  2.25",
        "    dW[0, 1]    -0.125  nan",
        "0 right, 1 wrong, 1 unstable",
    ]
