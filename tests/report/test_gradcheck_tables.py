"""Tables of ``lcbench gradcheck`` in a terminal of 80 columns."""

from __future__ import annotations

from lcbench.checks.gradcheck import GradientReport
from lcbench.checks.gradient import Coordinate, GradientCheck, GradientMethod, Kink
from lcbench.report.tables import gradcheck as gradcheck_tables
from printed import printed

WAYS = [
    GradientMethod("numerical", 0.054, 6, 553.0, 61_460, 8e-3, "the oracle"),
    GradientMethod("analytic", 0.00286, 1, 0.00286, 1, 2e-14, "the oracle"),
    GradientMethod("both", 0.06, 9, 560.0, 79_899, 8e-3, "each other"),
]
RIGHT = Coordinate((2613, 2), 17.92231733, 17.92231734, 2e-12, "right")
AT_A_KINK = Coordinate((3072, 9), -4.7613323, -4.8335095, 8e-3, "kink", "", 13, Kink(499, 9, 1e-6))
ROUNDED = Coordinate((0, 0), -0.00012345678, -0.00012345679, 2e-5, "right", "rounding")
WRONG = Coordinate((828, 8), 1.0, -1.0, 1.0, "wrong")


def report(implementation="numpy", *coordinates, loss="svm", status="ok", margin=1.0, **fields):
    found = GradientCheck(list(coordinates), WAYS) if coordinates else None
    return GradientReport(implementation, loss, status, margin=margin, found=found, **fields)


def lines(*reports, step=1e-5):
    return printed(gradcheck_tables.tables(list(reports), step))


def test_a_right_gradient():
    assert lines(report("numpy", RIGHT, AT_A_KINK, ROUNDED)) == [
        "numpy svm: h 1e-05, margin 1",
        "    at       numerical        analytic  error  verdict",
        "──────────────────────────────────────────────────────────────────────────",
        "2613,2       17.922317       17.922317  2e-12  right",
        "3072,9      -4.7613323      -4.8335095  8e-03  kink: row 499, class 9, +12",
        "   0,0  -0.00012345678  -0.00012345679  2e-05  right, except for rounding",
        "",
        "gradients compared",
        "gradient   3 weights  losses  all weights  losses  worst error  against",
        "──────────────────────────────────────────────────────────────────────────",
        "numerical    54.0 ms       6        553 s  61,460        8e-03  the oracle",
        "analytic           -       -      2.86 ms       1        2e-14  the oracle",
        "both         60.0 ms       9        560 s  79,899        8e-03  each other",
        "numpy svm: right (of 3 weights 2 right, 0 wrong, 1 at kinks; worst relative",
        "error 2e-05 away from kinks, 8e-03 at them)",
        "",
        "1 right, 0 wrong",
    ]


def test_a_wrong_gradient_has_its_known_mistake():
    found = " ".join(lines(report("mine.py:svm_loss", RIGHT, WRONG, status="wrong", reason="the sign is wrong")))
    assert found.startswith("mine.py svm_loss: h 1e-05, margin 1 ")
    assert "svm_loss: wrong: the sign is wrong (of 2 weights 1 right, 1 wrong; worst relative error 1e+00)" in found
    assert found.endswith(" 0 right, 1 wrong")


def test_softmax_has_no_margin_and_a_convention_is_shown():
    convention = "2016 convention: 0.5 reg sum(W W)"
    found = lines(report("a.py:f", RIGHT, loss="softmax", margin=None, convention=convention), step=1e-3)
    assert found[1] == "f: h 0.001"
    assert f"f: right, under the {convention} (of 1 " in " ".join(found)


def test_unchecked_gradients_have_a_reason_and_are_counted():
    assert lines(report("jax", status="unchecked", reason="jax is not installed"), report("numpy", RIGHT))[-1] == (
        "1 right, 0 wrong, 1 not checked"
    )
    assert lines(report("jax", status="unchecked", reason="no jax"))[0] == "jax svm: not checked: no jax"


def test_a_file_is_named_once_above_its_functions():
    found = lines(report("a.py:f", RIGHT), report("a.py:g", RIGHT), report("b.py:f", RIGHT))
    assert [line for line in found if line in ("a.py", "b.py")] == ["a.py", "b.py"]


def test_all_weights_at_kinks():
    assert "0 right, 0 wrong, 1 at kinks; worst relative error 8e-03 at them)" in " ".join(
        lines(report("a", AT_A_KINK))
    )
