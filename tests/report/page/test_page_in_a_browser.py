"""The page in headless Chromium, controlled by Playwright."""

from __future__ import annotations

import shutil

import pytest
from page_records import BY_DTYPE, BY_ROWS, BY_ROWS_AND_THREADS, HOSTILE, LATER, LONG, MEDIANS, NOISY, RUN, gate

from lcbench.report.page import page as pages

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

PHONE, DESK = 400, 1400

CONTRASTS = """
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => {
    const part = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return rgba("Canvas");
  };
  const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const found = [];
  const visible = (e) => e.getClientRects().length && e.textContent.trim();
  const words = "h1, h2, h3, p, dt, dd, th, td, button, a, label, summary, figcaption, li";
  for (const e of [...document.querySelectorAll(words)].filter(visible))
    found.push([e.outerHTML.slice(0, 80), 4.5, contrast(rgba(getComputedStyle(e).color), behind(e))]);
  for (const e of document.querySelectorAll(".plot svg text"))
    found.push([e.textContent, 4.5, contrast(rgba(getComputedStyle(e).fill), behind(e.closest(".plot")))]);
  for (const e of document.querySelectorAll(".plot .mark")) {
    const stroke = getComputedStyle(e).stroke;
    const colour = stroke === "none" ? getComputedStyle(e).fill : stroke;
    found.push([e.outerHTML.slice(0, 80), 3, contrast(rgba(colour), behind(e.closest(".plot")))]);
  }
  return found;
}
"""
"""For every visible text and mark: its element, the contrast required by WCAG 2.2 (1.4.3, 1.4.11), and its contrast."""


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Return a function that opens the page of some records; errors and network requests fail the test."""
    trouble: list[str] = []
    contexts = []

    def open_page(*records, width=DESK, scheme="light", **options):
        path = tmp_path / "page.html"
        path.write_text(pages.html(list(records)), encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        contexts.append(context)
        shown = context.new_page()
        shown.on("console", lambda message: trouble.append(f"console: {message.text}"))
        shown.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        shown.on("dialog", lambda dialog: trouble.append(f"dialog: {dialog.message}"))
        shown.on(
            "request",
            lambda request: trouble.append(f"request: {request.url}")
            if not request.url.startswith(("file:", "data:")) else None,
        )  # fmt: skip
        shown.goto(path.as_uri())
        settle(shown)
        return shown

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []


def settle(shown):
    """Wait two frames, after which the observer of widths has drawn."""
    shown.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def names(shown, table):
    """Return the first cells of a table's visible lines, from the top."""
    return [line.inner_text() for line in shown.locator(f"#{table}-table tbody tr:visible th").all()]


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize(
    "records",
    [[RUN], [gate()], [RUN, LATER], [BY_ROWS], [BY_ROWS_AND_THREADS], [BY_DTYPE], [NOISY]],
    ids=["run", "gate", "two runs", "sweep", "threads", "dtypes", "noisy"],
)
def test_every_figure_is_drawn_and_nothing_overflows(opened, records, width):
    shown = opened(*records, width=width)
    figures = shown.locator("figure").all()
    assert figures
    for figure in figures:
        assert figure.locator(".mark").count() > 0
        box, svg = figure.bounding_box(), figure.locator(".plot svg").first.bounding_box()
        assert svg["width"] <= box["width"] + 1
    root = "document.documentElement"
    assert shown.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
    outside = """(width) => [...document.querySelectorAll("main *")].filter((element) =>
        !element.closest(".scroll, svg, .skip") && element.getBoundingClientRect().right > width + 1).length"""
    assert shown.evaluate(outside, width) == 0


def test_labels_stay_within_their_plot(opened):
    shown = opened(RUN, width=PHONE)
    outside = """() => [...document.querySelectorAll(".plot svg text")].filter((text) => {
        const [inner, outer] = [text.getBoundingClientRect(), text.closest("figure").getBoundingClientRect()];
        return inner.width && (inner.left < outer.left - 2 || inner.right > outer.right + 2);
    }).map((text) => text.textContent)"""
    assert shown.evaluate(outside) == []


OVERLAPPING = """() => [...document.querySelectorAll(".plot svg [aria-label$='tick label']")].flatMap((axis) => {
    const boxes = [...axis.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
    return boxes.flatMap(([one, a], place) => boxes.slice(place + 1)
        .filter(([, b]) => a.right > b.left && b.right > a.left && a.bottom > b.top + 3 && b.bottom > a.top + 3)
        .map(([other]) => [axis.getAttribute("aria-label"), one, other]));
})"""
"""Overlapping labels of one axis."""


@pytest.mark.parametrize("width", [PHONE, 800, DESK])
@pytest.mark.parametrize("measured", [RUN, NOISY, BY_ROWS, gate()], ids=["run", "noisy", "sweep", "gate"])
def test_labels_of_an_axis_do_not_overlap(opened, measured, width):
    shown = opened(measured, width=width)
    assert shown.locator(".plot svg [aria-label='x-axis tick label'] text").count() > 2
    assert shown.evaluate(OVERLAPPING) == []


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("measured", [RUN, NOISY], ids=["run", "noisy"])
def test_samples_have_the_median_on_their_axis(opened, measured, width):
    shown = opened(measured, width=width)
    for figure in shown.locator("figure.samples").all():
        assert "1 x" in figure.locator("[aria-label='x-axis tick label'] text").all_text_contents()


def test_values_beyond_an_axis_have_an_arrow_at_its_edge(opened):
    shown = opened(NOISY)
    assert shown.locator("figure.samples .farther > *").count() == 5  # the samples of one process
    assert shown.locator("figure.bars .arrow > *").count() == 1  # an interval that goes on beyond the axis
    assert shown.locator("figure.bars figcaption").inner_text().endswith("arrows: the interval extends beyond the axis")
    assert "arrows" not in shown.locator("figure.samples figcaption").inner_text()
    bars = shown.locator("figure.bars .mark")
    fastest, slowest = bars.nth(0).bounding_box(), bars.nth(2).bounding_box()
    width = shown.locator("figure.bars svg").bounding_box()["width"]
    assert slowest["width"] - fastest["width"] > 0.1 * width  # times, 1 ms and 4 ms, are told apart
    quiet = opened(RUN)
    assert quiet.locator(".arrow > *").count() == 0
    assert not quiet.locator("figcaption .cut").first.is_visible()


def test_a_fitted_growth_is_dashed_in_the_colour_of_its_curve(opened):
    shown = opened(BY_ROWS)
    fits = shown.locator("figure.scaling .fit path").all()
    assert len(fits) == 2
    colours = {mark.get_attribute("stroke") for mark in shown.locator("figure.scaling .mark").all()}
    assert {fit.get_attribute("stroke") or fit.locator("xpath=..").get_attribute("stroke") for fit in fits} == colours
    assert all(fit.locator("xpath=..").get_attribute("stroke-dasharray") for fit in fits)


def test_a_click_on_a_heading_sorts_and_a_second_reverses_the_order(opened):
    shown = opened(RUN)
    table = "times-0-0"
    fastest_first = sorted(MEDIANS, key=MEDIANS.get)
    assert names(shown, table) == [*fastest_first, "dead.py:f"]
    heading = shown.locator(f"#{table}-table thead th", has_text="time")
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert names(shown, table) == [
        *reversed(fastest_first),
        "dead.py:f",
    ]  # no time: last in both directions

    by_name = shown.locator(f"#{table}-table thead th", has_text="implementation")
    by_name.locator("button").click()
    assert names(shown, table) == [*sorted(MEDIANS), "dead.py:f"]
    assert heading.get_attribute("aria-sort") is None
    assert by_name.get_attribute("aria-sort") == "ascending"


def test_rates_are_sorted_by_value_the_highest_first(opened):
    shown = opened(RUN)
    shown.locator("#times-0-0-table thead th", has_text="GFLOP/s").locator("button").click()
    assert names(shown, "times-0-0")[:-1] == sorted(MEDIANS, key=MEDIANS.get)  # 1000 us and 9 ms among them


def test_headings_can_be_used_with_the_keyboard(opened):
    shown = opened(RUN)
    shown.locator("#times-0-0-table thead th", has_text="implementation").locator("button").focus()
    shown.keyboard.press("Enter")
    assert names(shown, "times-0-0")[0] == "jax"
    shown.keyboard.press("Space")
    assert names(shown, "times-0-0")[0] == "torch-compile"


def test_the_filter_keeps_lines_cards_and_marks_with_all_words(opened):
    shown = opened(RUN)
    shown.fill("#filter", "Torch softmax")
    settle(shown)
    assert names(shown, "times-0-1") == ["torch", "torch-compile", "torch-cuda"]
    assert not shown.locator("#times-0-0").is_visible()  # svm
    assert shown.locator("#times-0-1 figure.bars .mark").count() == 2
    assert "of" in shown.locator("#filter-found").inner_text()

    shown.fill("#filter", "unavailable")
    settle(shown)
    assert names(shown, "times-0-1") == ["torch-cuda"]
    assert not shown.locator("#times-0-1 figure").first.is_visible()

    shown.fill("#filter", "")
    settle(shown)
    assert len(names(shown, "times-0-0")) == len(MEDIANS) + 1
    assert shown.locator("#times-0-0 figure.bars .mark").count() == len(MEDIANS)


def test_a_filter_without_match_has_one_message_and_hides_empty_sections(opened):
    shown = opened(RUN)
    headings = [one.inner_text() for one in shown.locator("h2:visible").all()]
    assert {"Fastest", "Times", "Verification", "Samples"} < set(headings)
    shown.fill("#filter", "there-is-no-such")
    settle(shown)
    assert [one.inner_text() for one in shown.locator("h2:visible").all()] == ["Machine"]
    assert shown.locator("body").inner_text().count("nothing matches") == 1
    shown.fill("#filter", "")
    settle(shown)
    assert [one.inner_text() for one in shown.locator("h2:visible").all()] == headings
    assert shown.locator("#filter-found").inner_text() == ""


def test_the_fastest_are_filtered_too(opened):
    shown = opened(RUN)
    cards = shown.locator(".glance li:visible")
    assert cards.count() == 3
    shown.fill("#filter", "numba-parallel svm")
    settle(shown)
    assert cards.count() == 1
    assert cards.inner_text().startswith("svm")
    shown.fill("#filter", "naive")  # is never the fastest
    settle(shown)
    assert cards.count() == 0
    assert not shown.locator("h2", has_text="Fastest").is_visible()


def test_a_row_is_shown_in_all_tables_or_in_none(opened):
    shown = opened(RUN)
    shown.fill("#filter", "convention")  # a word of the table of verification only
    settle(shown)
    assert [line.inner_text() for line in shown.locator("tbody tr:visible th").all()] == [LONG, LONG]
    assert shown.locator("figure.bars .mark:visible").count() == 1


def test_hover_focus_and_touch_show_the_samples_of_a_mark(opened):
    shown = opened(RUN, has_touch=True)
    box = shown.locator("#shown")
    assert not box.is_visible()
    mark = shown.locator("#times-0-0 figure.bars .mark").first
    mark.hover()
    told = box.inner_text()
    assert told.split("\n\n")[:2] == ["numba-parallel", str(RUN.rows[0].workload)]
    fastest = next(row for row in RUN.rows if row.implementation == "numba-parallel")
    for block in fastest.blocks:
        for sample in block:
            assert f"{1e6 * sample:.0f}\u00a0us" in told

    shown.keyboard.press("Escape")
    assert not box.is_visible()
    shown.mouse.move(0, 0)  # the page scrolls below it when a mark gets the focus
    middle = shown.locator("#times-0-0 figure.samples [tabindex]").nth(1)
    middle.focus()
    assert box.is_visible()
    assert box.locator("li.this").count() == 1
    middle.blur()
    assert not box.is_visible()

    shown.locator("#times-0-0 figure.roofline .mark").last.tap()
    assert box.inner_text().startswith("naive\n")


def test_tab_reaches_a_plot_and_arrow_keys_its_marks(opened):
    shown = opened(RUN)
    bars = shown.locator("#times-0-0 figure.bars")
    assert bars.locator("[tabindex='0']").count() == 1
    bars.locator("[tabindex='0']").focus()
    told = []
    for key in ("ArrowDown", "ArrowDown", "ArrowUp"):
        shown.keyboard.press(key)
        told.append(shown.locator("#shown strong").inner_text())
    assert told == ["torch", "torch-compile", "torch"]
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.closest('figure').className") == "roofline"


def test_the_box_of_samples_stays_in_the_window(opened):
    shown = opened(RUN, width=PHONE)
    for mark in shown.locator("#times-0-0 figure [tabindex]").all():
        mark.focus()
        box = shown.locator("#shown").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 900


def test_a_name_with_markup_is_escaped(opened):
    shown = opened(RUN)
    assert HOSTILE in names(shown, "times-0-1")
    mark = shown.locator("#times-0-1 figure.bars .mark").nth(6)
    mark.focus()
    assert HOSTILE in shown.locator("#shown").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("records", [[RUN], [gate()], [BY_ROWS]], ids=["run", "gate", "sweep"])
def test_texts_and_marks_have_contrast_in_light_and_dark_mode(opened, records, scheme):
    found = opened(*records, scheme=scheme).evaluate(CONTRASTS)
    assert len(found) > 50
    assert [one for one in found if one[2] < one[1] - 0.01] == []


def test_dark_mode_is_dark(opened):
    brightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).reduce((a, b) => a + +b, 0)"
    assert opened(RUN, scheme="light").evaluate(brightness) > 600
    assert opened(RUN, scheme="dark").evaluate(brightness) < 150


def test_no_table_is_scrolled_out_of_sight_on_a_phone(opened):
    shown = opened(RUN, width=PHONE)
    hidden = "[...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth + 1).length"
    assert shown.evaluate(hidden) == 0
    first = shown.locator("table.sortable tbody td").first
    assert first.evaluate("(cell) => getComputedStyle(cell, '::before').content") == '"time"'


def test_plots_follow_the_width_of_the_window(opened):
    shown = opened(RUN)
    wide = shown.locator("figure.samples svg").first.bounding_box()["width"]
    shown.set_viewport_size({"width": PHONE, "height": 900})
    settle(shown)
    narrow = shown.locator("figure.samples svg").first
    assert narrow.bounding_box()["width"] < PHONE < wide
    assert float(narrow.get_attribute("width")) < PHONE  # drawn again, not scaled


def test_in_print_nothing_is_cut_and_details_are_open(opened):
    shown = opened(RUN)
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    shown.emulate_media(media="print")
    shown.set_viewport_size({"width": 703, "height": 1000})  # A4 less its margins
    settle(shown)
    assert shown.locator("details.printed").first.get_attribute("open") is not None
    assert shown.locator("details.samples").first.get_attribute("open") is None
    assert not shown.locator("#filter").is_visible()
    cut = "[...document.querySelectorAll('.scroll')].filter((one) => one.scrollWidth > one.clientWidth + 1).length"
    assert shown.evaluate(cut) == 0
    shown.evaluate("dispatchEvent(new Event('afterprint'))")
    assert shown.locator("details.printed").first.get_attribute("open") is None
    assert shown.pdf(format="A4").startswith(b"%PDF")
