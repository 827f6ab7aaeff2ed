"""Whatever is written in a picture of records can be read: none of it is cut off."""

import pytest
from matplotlib.text import Text
from picture_records import USERS, rows_sweep, run, sweep, threads_sweep

from lcbench.report import pictures
from lcbench.report.pictures import style


def many():
    took = {name: lambda rows: 1e-6 * rows for name in ("naive", "numpy", "torch", "jax", "numba-parallel", USERS)}
    return sweep(took, {"rows": [100, 1000, 10_000]})


def threads_of_many():
    took = {name: lambda threads: 1e-3 / threads for name in ("numpy", "torch", "numba-parallel", USERS)}
    return sweep(took, {"threads": [1, 2, 4, 64]})


CASES = {
    "bars": [run(), run(losses=["svm"], sizes=[500]), run(("numpy",), sizes=[500])],
    "samples": [run(), run((USERS,), losses=["svm"], sizes=[500])],
    "roofline": [run(), run(sizes=[500]), run(sizes=[10, 100, 1000, 10_000])],
    "scaling": [rows_sweep(), threads_sweep(), many()],
    "threads": [threads_sweep(), threads_of_many()],
}


@pytest.mark.parametrize(("kind", "number"), [(kind, n) for kind, given in CASES.items() for n in range(len(given))])
def test_nothing_is_cut_off(kind, number):
    figure = pictures.kind(kind).module.draw(CASES[kind][number])
    figure.draw_without_rendering()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert drawn.x0 > -0.01
    assert drawn.y0 > -0.01
    assert drawn.x1 < width + 0.01
    assert drawn.y1 < height + 0.01


@pytest.mark.parametrize("kind", CASES)
def test_a_users_long_name_is_shortened(kind):
    figure = pictures.kind(kind).module.draw(CASES[kind][-1] if kind in ("scaling", "threads") else CASES[kind][0])
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert any("…" in text for text in texts)
    assert not any(USERS in text for text in texts)
    assert style.shortened(USERS, 10) != USERS
