"""Every picture that files allow."""

import pytest
from picture_files import grid, model
from picture_records import rows_sweep, run, threads_sweep

from lcbench import record
from lcbench.errors import LcbenchError
from lcbench.learn import model as models
from lcbench.learn.search import search_file
from lcbench.report.pictures import everything
from results import record as a_record


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Results of every sort, in the folder of results and beside it."""
    monkeypatch.setenv("LCBENCH_RESULTS", str(tmp_path / "results"))
    for name, content in (("run", run()), ("rows", rows_sweep()), ("threads", threads_sweep())):
        (tmp_path / f"{name}.json").write_text(record.to_json(content))
    models.write(tmp_path / "images.h5", model())
    models.write(tmp_path / "other.h5", model(learning_rate=1.0))
    models.write(tmp_path / "softmax.h5", model(loss="softmax", columns=2, image_shape=None))
    search_file.write(tmp_path / "search.json", grid(lambda rate, reg: 0.3, [1e-7, 1e-6], [1.0]))
    return tmp_path


def names(folder, *files):
    pictures, unread = everything.of([str(folder / file) for file in files])
    assert not unread
    return {picture.file_name for picture in pictures}


@pytest.mark.parametrize(
    ("file", "pictures"),
    [
        ("run.json", {"run-bars.png", "run-samples.png", "run-roofline.png", "run-table.svg"}),
        ("rows.json", {"rows-scaling.png", "rows-table.svg"}),
        ("threads.json", {"threads-scaling.png", "threads-threads.png", "threads-table.svg"}),
        ("search.json", {"search-search.png"}),
        ("images.h5", {"images-templates.png", "images-curves.png", "images-confusion.png"}),
        ("softmax.h5", {"softmax-curves.png", "softmax-boundaries.png", "softmax-confusion.png"}),
    ],
)
def test_what_a_file_allows(folder, file, pictures):
    assert names(folder, file) == pictures


def test_several_share_a_picture_only_where_they_can(folder):
    shared = {"images-learning-rates.png", "images-descents.png"}
    together = names(folder, "images.h5", "other.h5", "softmax.h5")
    alone = names(folder, "images.h5") | names(folder, "other.h5") | names(folder, "softmax.h5")
    assert together - alone == shared


def test_results_of_one_machine_make_a_history(folder):
    for number in range(2):
        content = record.to_json(run(created=f"2026-01-0{number + 1}T00:00:00+00:00"))
        (folder / f"day{number}.json").write_text(content)
    elsewhere = run(fingerprint="bbbb")
    (folder / "elsewhere.json").write_text(record.to_json(elsewhere))
    pictures, _ = everything.of([str(folder / name) for name in ("day0.json", "day1.json", "elsewhere.json")])
    (history,) = [picture for picture in pictures if picture.kind.name == "history"]
    assert [path.name for path in history.files] == ["day0.json", "day1.json"]


def test_without_files_the_newest_of_each_sort(folder):
    with pytest.raises(LcbenchError, match="no picture can be drawn of what is in the folder of results"):
        everything.of([])
    record.write(run(created="2026-01-01T00:00:00+00:00"))
    newest = record.write(run(created="2026-01-02T00:00:00+00:00"))
    record.write(a_record(created="2026-01-03T00:00:00+00:00"))
    swept = record.write(rows_sweep(created="2026-01-01T00:00:00+00:00"))
    pictures, unread = everything.of([])
    assert not unread
    found = {picture.kind.name: picture.files[0] for picture in pictures if picture.kind.name != "history"}
    assert found == {"bars": newest, "samples": newest, "roofline": newest, "scaling": swept, "table": newest}


def test_a_damaged_newest_file_is_told_and_hinders_nothing(folder):
    record.write(run())
    damaged = folder / "results" / "models" / "m.h5"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"no model")
    pictures, unread = everything.of([])
    assert "bars" in {picture.kind.name for picture in pictures}
    (reason,) = unread
    assert str(damaged) in reason


def test_a_file_that_is_nothing_is_refused(folder):
    (folder / "no.json").write_text("{}")
    with pytest.raises(LcbenchError, match=r"no\.json is not an lcbench result"):
        everything.of([str(folder / "run.json"), str(folder / "no.json")])


def test_two_files_of_one_name_do_not_take_each_others_pictures(folder):
    (folder / "again").mkdir()
    (folder / "again" / "run.json").write_text((folder / "run.json").read_text())
    with pytest.raises(LcbenchError, match=r"would both become run-bars\.png: draw them apart"):
        everything.of([str(folder / "run.json"), str(folder / "again" / "run.json")])
    assert names(folder, "run.json", "run.json") == names(folder, "run.json")
