"""Plots of files as bytes, and all plots that a set of files allows."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from plot_files import grid, model
from plot_records import rows_sweep, run, threads_sweep

from lcbench import record
from lcbench.datasets.examples import load_splits
from lcbench.errors import LcbenchError
from lcbench.learn import model as models
from lcbench.learn.search import search_file
from lcbench.report import plots
from lcbench.report.plots.files import find_plots, newest_files
from results import record as a_record

POINTS = "x,y,label\n" + "".join(f"{np.sin(7 * k):.3f},{np.cos(5 * k):.3f},{k % 3}\n" for k in range(60))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a model of images, a model of points with its table, a search, and records."""
    folder = tmp_path_factory.mktemp("plots")
    (folder / "points.csv").write_text(POINTS)
    data = str(folder / "points.csv")
    models.write(folder / "images.h5", model())
    models.write(
        folder / "points.h5", model(columns=2, image_shape=None, data=data, fingerprint=load_splits(data).fingerprint())
    )
    search_file.write(folder / "search.json", grid(lambda rate, reg: 0.3, [1e-7, 1e-6], [1.0]))
    of_records = {
        "run": run(),
        "again": run(created="2026-03-04T05:06:07+00:00"),
        "rows": rows_sweep(),
        "threads": threads_sweep(),
    }
    for name, content in of_records.items():
        (folder / f"{name}.json").write_text(record.to_json(content))
    return folder


FILES = {
    "bars": ["run.json"],
    "samples": ["run.json"],
    "roofline": ["run.json"],
    "scaling": ["rows.json"],
    "threads": ["threads.json"],
    "history": ["run.json", "again.json"],
    "table": ["run.json"],
    "templates": ["images.h5"],
    "curves": ["images.h5"],
    "boundaries": ["points.h5"],
    "confusion": ["points.h5"],
    "search": ["search.json"],
    "learning-rates": ["images.h5", "points.h5"],
    "descents": ["points.h5", "images.h5"],
}


def drawn(folder, kind, form, **options):
    return plots.render_plot(plots.find_kind(kind), [folder / name for name in FILES[kind]], form, **options)


def test_every_kind_is_tested():
    assert plots.KINDS.keys() == FILES.keys()


DRAWN = [kind for kind in FILES if not plots.KINDS[kind].as_text]


@pytest.mark.parametrize("kind", DRAWN)
def test_the_same_files_give_the_same_plot_despite_the_users_settings(folder, kind):
    svg, png = (drawn(folder, kind, form) for form in ("svg", "png"))
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "savefig.transparent": True}):
        assert drawn(folder, kind, "svg") == svg
        assert drawn(folder, kind, "png") == png
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert b"<dc:date>" not in svg
    assert png.startswith(b"\x89PNG")


@pytest.mark.parametrize("dpi", [50, 100])
def test_dpi(folder, dpi):
    assert int.from_bytes(drawn(folder, "curves", "png", dpi=dpi)[16:20]) == 8 * dpi


@pytest.mark.parametrize(
    ("kind", "files", "message"),
    [
        (
            "boundaries",
            ["images.h5"],
            "images.h5 has no boundaries: it classifies rows of 60 columns, and a plane has 2; "
            "plots that it has: templates, curves, confusion, learning-rates, descents",
        ),
        (
            "templates",
            ["points.h5"],
            "points.h5 has no templates: its rows of 2 columns are not images; plots",
        ),
        (
            "templates",
            ["images.h5", "points.h5"],
            "templates is a plot of a model, but 2 files are given; plots of several models: ",
        ),
        ("curves", ["search.json"], "search.json is not an HDF5 file"),
        ("search", ["images.h5"], "images.h5 is not a search, or damaged: "),
        ("curves", ["missing.h5"], "missing.h5: it does not exist"),
        ("bars", ["rows.json"], "rows.json has no bars: it is a sweep; plots that it has: scaling, table"),
        ("bars", ["run.json", "again.json"], "bars is a plot of a result, but 2 files are given"),
        ("scaling", ["run.json"], "run.json has no scaling: it is not a sweep; plots that it has: bars, samples"),
        ("bars", ["search.json"], "search.json is not an lcbench result: "),
        ("table", ["run.json"] * 3, "table is a plot of one result, or two compared, but 3 files are given"),
    ],
)
def test_files_that_do_not_fit_are_an_error(folder, kind, files, message):
    with pytest.raises(LcbenchError) as error:
        plots.render_plot(plots.find_kind(kind), [folder / name for name in files])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_changed_data_is_not_plotted_with_the_boundaries_of_an_old_model(folder, tmp_path):
    table = tmp_path / "points.csv"
    table.write_text(POINTS)
    given = model(columns=2, image_shape=None, data=str(table), fingerprint=load_splits(str(table)).fingerprint())
    models.write(tmp_path / "m.h5", given)
    plots.render_plot(plots.find_kind("boundaries"), [tmp_path / "m.h5"])
    table.write_text(POINTS.replace("0.000", "0.001"))
    with pytest.raises(LcbenchError, match=r"was trained on data that .* no longer holds"):
        plots.render_plot(plots.find_kind("boundaries"), [tmp_path / "m.h5"])


def test_the_suffix_selects_the_format():
    curves, table = plots.find_kind("curves"), plots.find_kind("table")
    assert plots.output_format(curves, Path("a.b.PNG")) == "png"
    assert plots.output_format(curves, Path("a.svg")) == plots.output_format(table, Path("a.svg")) == "svg"
    with pytest.raises(LcbenchError, match=r"cannot draw a\.jpg: plots are \.png or \.svg"):
        plots.output_format(curves, Path("a.jpg"))
    with pytest.raises(LcbenchError, match=r"cannot draw a\.png: a table is text, and can only be an \.svg"):
        plots.output_format(table, Path("a.png"))


def test_names_with_characters_that_xml_cannot_hold(tmp_path):
    (tmp_path / "run.json").write_text(record.to_json(run(("numpy", "a\x1b[31m\x00--b.py:f"))))
    ElementTree.fromstring(drawn(tmp_path, "bars", "svg"))


def test_a_table_gives_the_same_svg_every_time(folder):
    svg = drawn(folder, "table", "svg")
    assert svg == drawn(folder, "table", "svg")
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"


def test_an_unknown_kind():
    with pytest.raises(LcbenchError, match="no kind of plot 'curve': did you mean 'curves'"):
        plots.find_kind("curve")
    with pytest.raises(LcbenchError, match="no kind of plot 'xyz': there are bars, samples, "):
        plots.find_kind("xyz")


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Return a folder with results of every kind, next to the folder of results."""
    monkeypatch.setenv("LCBENCH_RESULTS", str(tmp_path / "results"))
    for name, content in (("run", run()), ("rows", rows_sweep()), ("threads", threads_sweep())):
        (tmp_path / f"{name}.json").write_text(record.to_json(content))
    models.write(tmp_path / "images.h5", model())
    models.write(tmp_path / "other.h5", model(learning_rate=1.0))
    models.write(tmp_path / "softmax.h5", model(loss="softmax", columns=2, image_shape=None))
    search_file.write(tmp_path / "search.json", grid(lambda rate, reg: 0.3, [1e-7, 1e-6], [1.0]))
    return tmp_path


def names(results, *files):
    planned, unread = find_plots([str(results / file) for file in files])
    assert not unread
    return {plot.file_name for plot in planned}


@pytest.mark.parametrize(
    ("file", "plotted"),
    [
        ("run.json", {"run-bars.png", "run-samples.png", "run-roofline.png", "run-table.svg"}),
        ("rows.json", {"rows-scaling.png", "rows-table.svg"}),
        ("threads.json", {"threads-scaling.png", "threads-threads.png", "threads-table.svg"}),
        ("search.json", {"search-search.png"}),
        ("images.h5", {"images-templates.png", "images-curves.png", "images-confusion.png"}),
        ("softmax.h5", {"softmax-curves.png", "softmax-boundaries.png", "softmax-confusion.png"}),
    ],
)
def test_plots_of_a_file(results, file, plotted):
    assert names(results, file) == plotted


def test_models_share_a_plot_only_if_their_losses_are_the_same(results):
    shared = {"images-learning-rates.png", "images-descents.png"}
    together = names(results, "images.h5", "other.h5", "softmax.h5")
    alone = names(results, "images.h5") | names(results, "other.h5") | names(results, "softmax.h5")
    assert together - alone == shared


def test_results_of_one_machine_make_a_history(results):
    for number in range(2):
        content = record.to_json(run(created=f"2026-01-0{number + 1}T00:00:00+00:00"))
        (results / f"day{number}.json").write_text(content)
    elsewhere = run(fingerprint="bbbb")
    (results / "elsewhere.json").write_text(record.to_json(elsewhere))
    planned, _ = find_plots([str(results / name) for name in ("day0.json", "day1.json", "elsewhere.json")])
    (history,) = [plot for plot in planned if plot.kind.name == "history"]
    assert [path.name for path in history.files] == ["day0.json", "day1.json"]


def test_without_files_the_newest_files_are_plotted(results):
    with pytest.raises(LcbenchError, match="the files in the folder of results have no plot"):
        find_plots([])
    record.write(run(created="2026-01-01T00:00:00+00:00"))
    newest = record.write(run(created="2026-01-02T00:00:00+00:00"))
    record.write(a_record(created="2026-01-03T00:00:00+00:00"))
    swept = record.write(rows_sweep(created="2026-01-01T00:00:00+00:00"))
    planned, unread = find_plots([])
    assert not unread
    found = {plot.kind.name: plot.files[0] for plot in planned if plot.kind.name != "history"}
    assert found == {"bars": newest, "samples": newest, "roofline": newest, "scaling": swept, "table": newest}


def test_a_model_is_the_best_finished_one_on_the_data_of_the_newest(results):
    folder = results / "results" / "models"
    folder.mkdir(parents=True)
    stored = {
        "1": model(learning_rate=1.0), "2": model(learning_rate=2.0), "3": model(learning_rate=3.0),
        "4": model(status="diverged"), "5": model(data="synthetic"), "6": model(),
    }  # fmt: skip
    for (name, one), accuracy in zip(stored.items(), (0.3, 0.4, 0.4, 0.9, 0.9, 0.2), strict=True):
        models.write(folder / f"{name}.h5", replace(one, accuracy={"validation": accuracy}))
    assert models.best() == folder / "3.h5"
    assert newest_files(plots.find_kind("templates")) == [folder / "3.h5"]
    (folder / "7.h5").write_bytes(b"no model")
    notes = []
    assert models.best(notes.append) == folder / "3.h5"
    assert "7.h5" in notes[0]


def test_a_damaged_newest_file_is_reported_and_the_others_are_plotted(results):
    record.write(run())
    damaged = results / "results" / "models" / "m.h5"
    damaged.parent.mkdir(parents=True)
    models.write(damaged.with_name("a.h5"), replace(model(), accuracy={"validation": 0.5}))
    damaged.write_bytes(b"no model")
    notes = []
    planned, _ = find_plots([], notes.append)
    assert {"bars", "templates"} <= {plot.kind.name for plot in planned}
    assert any(str(damaged) in line for line in notes)


def test_a_file_of_another_kind_is_an_error(results):
    (results / "no.json").write_text("{}")
    with pytest.raises(LcbenchError, match=r"no\.json is not an lcbench result"):
        find_plots([str(results / "run.json"), str(results / "no.json")])


def test_two_files_of_one_name_are_an_error(results):
    (results / "again").mkdir()
    (results / "again" / "run.json").write_text((results / "run.json").read_text())
    with pytest.raises(LcbenchError, match=r"would both be plotted as run-bars\.png: plot them separately"):
        find_plots([str(results / "run.json"), str(results / "again" / "run.json")])
    assert names(results, "run.json", "run.json") == names(results, "run.json")
