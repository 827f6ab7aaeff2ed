"""Line styles, names and axis limits of plots; text in plots is not cut off."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text
from plot_records import USERS, rows_sweep, run, sweep, threads_sweep

from lcbench.losses.catalog import CATALOG
from lcbench.report import plots
from lcbench.report.plots import runs
from lcbench.report.plots.line_styles import line_style, line_styles, short_name_pattern, shorten, shorten_names
from lcbench.report.plots.selection import FARTHEST, axis_limits, clip_interval
from lcbench.report.plots.style import arrow_note, draw_arrows
from results import record, row


def test_every_implementation_of_the_catalog_has_its_own_style():
    styles = [line_style(name) for name in CATALOG]
    assert len(set(styles)) == len(CATALOG)
    assert all(one.line != "-." for one in styles)


def test_gpu_implementations_are_hollow_and_dashed():
    for name, entry in CATALOG.items():
        on_gpu = entry.device == "cuda"
        assert (line_style(name).filled, line_style(name).line) == (not on_gpu, "--" if on_gpu else "-")


def test_rows_that_convert_pixels_have_the_style_of_their_implementation_with_a_dotted_line():
    names = ["torch", "jax-cuda", "mine.py:f", "mine.py:g", *OWN]
    found = line_styles([*names, *(f"{name} (converts)" for name in names)])
    for name in names:
        assert found[f"{name} (converts)"] == found[name]._replace(line=":")
    assert line_styles(names) == {name: found[name] for name in names}
    assert line_styles(["torch (converts)"]) == {"torch (converts)": found["torch (converts)"]}
    assert len(set(found.values())) == 2 * len(names)


OWN = [f"sim.py:{name}_softmax_loss" for name in ("quad", "nlogn", "a", "b", "slept")]


def test_users_functions_of_one_plot_share_no_colour_marker_or_line():
    found = line_styles(["numpy", *OWN])
    assert found["numpy"] == line_style("numpy")
    for part in (0, 1, 2):
        assert len({found[name][part] for name in OWN}) == len(OWN)


def test_styles_are_unique_and_independent_of_the_order():
    names = [f"{number}.py:loss" for number in range(100)]
    found = line_styles(names)
    assert len(set(found.values())) == len(names)
    assert found == line_styles(reversed(names))


def test_more_implementations_than_styles():
    assert len(line_styles(f"{number}.py:loss" for number in range(400))) == 400


def test_a_users_style_depends_on_its_name_and_is_not_in_the_catalog():
    names = [f"softmax_{number}.py:loss" for number in range(60)]
    assert [line_style(name) for name in names] == [line_style(name) for name in names]
    assert not {line_style(name).colour for name in names} & {line_style(name).colour for name in CATALOG}
    assert len({line_style(name) for name in names}) > 10


def brightness(colour):
    """Return the relative luminance (WCAG 2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_common_colours_differ_in_brightness():
    usual = sorted(
        brightness(line_style(name).colour) for name in ("numpy", "numba-parallel", "torch-compile", "sklearn")
    )
    assert min(high - low for low, high in pairwise(usual)) > 0.04


def test_every_colour_is_visible_on_white():
    for name in [*CATALOG, "a.py:f", "b.py:f", "c.py:f", "d.py:f", "e.py:f"]:
        assert (1.05) / (brightness(line_style(name).colour) + 0.05) > 2, name


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["sim.py:quad_softmax_loss", "numpy", "sim.py:a_softmax_loss"], ["quad", "numpy", "a"]),
        (["a.py:softmax_loss", "of/b.py:softmax_loss"], ["a", "of/b"]),
        (["x.py:loss_fast", "x.py:loss_slow", "x.py:loss_fast_slow"], ["fast", "slow", "fast_slow"]),
        (["x.py:loss", "x.py:loss_fast"], ["loss", "loss_fast"]),
        (["x.py:loss"], ["x.py:loss"]),
        (["numba-njit", "numba-cuda"], ["numba-njit", "numba-cuda"]),  # names of the catalog are not shortened
        (["numpy.py:loss", "mine.py:loss", "numpy"], ["numpy.py:loss", "mine.py:loss", "numpy"]),
    ],
)
def test_the_common_part_of_users_names_is_left_out(names, expected):
    assert list(shorten_names(names, 24).values()) == expected


def test_the_pattern_of_shortened_names():
    assert (
        short_name_pattern(["sim.py:quad_softmax_loss", "numpy", "sim.py:a_softmax_loss"]) == "sim.py:NAME_softmax_loss"
    )
    assert short_name_pattern(["sim.py:quad_softmax_loss", "numpy"]) == ""
    assert short_name_pattern(["numpy.py:loss", "mine.py:loss", "numpy"]) == ""


def test_names_that_differ_in_the_middle_stay_different():
    names = [f"first_half_of_a_name_{middle}_second_half_of_a_name.py:f" for middle in "ab"] + ["other.py:g"]
    found = shorten_names(names, 18)
    assert len(set(found.values())) == 3
    assert max(map(len, found.values())) <= 18


@given(st.lists(st.text("ab_.:", min_size=1, max_size=30), max_size=8, unique=True), st.integers(8, 30))
def test_short_names_are_unique_not_empty_and_short_enough(names, most):
    found = shorten_names(names, most)
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    assert all(0 < len(name) <= most for name in found.values())


TIMES = st.floats(1e-9, 1e3)


def test_narrow_intervals_are_within_the_limits():
    assert axis_limits([2.0, 3.0], [(1.8, 2.2), (2.9, 3.3)]) == (1.8, 3.3)


@given(st.lists(st.tuples(TIMES, st.floats(1, 1e12), st.floats(1, 1e12)), min_size=1, max_size=9))
def test_an_axis_shows_all_medians_and_little_more(found):
    medians = [median for median, _, _ in found]
    low, high = axis_limits(medians, [(median / below, median * above) for median, below, above in found])
    assert min(medians) / FARTHEST <= low <= min(medians) * (1 + 1e-9)
    assert max(medians) * (1 - 1e-9) <= high <= max(medians) * FARTHEST


def test_intervals_are_clipped():
    assert clip_interval((1.0, 2.0), (0.5, 3.0)) == (1.0, 2.0)
    assert clip_interval((1e-9, 1e9), (0.5, 3.0)) == (0.5, 3.0)
    assert clip_interval((1e-9, 0.1), (0.5, 3.0)) == (0.5, 0.5)


@pytest.mark.parametrize(("along", "down", "up"), [("x", "<", ">"), ("y", "v", "^")])
def test_arrows_are_at_the_limits_that_an_interval_exceeds(along, down, up):
    figure = Figure()
    axes = figure.subplots()
    draw_arrows(axes, [0, 1, 2], [(1, 9), (4, 6), (4, 9)], (3, 7), along, "black")
    found = {line.get_marker(): list(zip(*line.get_data(), strict=True)) for line in axes.lines}
    turned = [(0, 3)], [(0, 7), (2, 7)]
    wanted = [[place[::-1] if along == "x" else place for place in some] for some in turned]
    assert found == dict(zip((down, up), wanted, strict=True))
    assert "arrows" in arrow_note(figure)


def test_without_arrows_there_is_no_note():
    figure = Figure()
    draw_arrows(figure.subplots(), [0], [(4, 6)], (3, 7), "y", "black")
    assert arrow_note(figure) == ""


@pytest.mark.parametrize("slowest", [3e-3, 1.0])
def test_a_wide_interval_does_not_shorten_the_bars(slowest):
    given = record(row("torch", [1e-5, 1e-3, 1e-1]), row(medians=[slowest, 1.01 * slowest]))
    low, high = given.rows[0].ci95_s
    assert high / low > 1e9
    figure = runs.draw_bars(given)
    (axes,) = figure.axes
    assert axes.get_xlim()[1] < 1e4 * slowest
    assert ">" in [line.get_marker() for line in axes.lines]
    assert "arrows" in figure.get_supxlabel()


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
    figure = plots.KINDS[kind].make(CASES[kind][number])
    figure.draw_without_rendering()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert drawn.x0 > -0.01
    assert drawn.y0 > -0.01
    assert drawn.x1 < width + 0.01
    assert drawn.y1 < height + 0.01


@pytest.mark.parametrize("kind", CASES)
def test_a_users_long_name_is_shortened(kind):
    figure = plots.KINDS[kind].make(CASES[kind][-1] if kind in ("scaling", "threads") else CASES[kind][0])
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert any("…" in text for text in texts)
    assert not any(USERS in text for text in texts)
    assert shorten(USERS, 10) != USERS
