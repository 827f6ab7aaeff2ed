"""Tests of lcbench.record: result files are written atomically, read in all schemas, and refused in one line."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import msgspec
import pytest

from lcbench import record
from lcbench.errors import LcbenchError
from lcbench.record import Counters, MachinePeak, ProcessResult, Record, Turn
from lcbench.stats import estimates
from lcbench.stats.gate import judge_gate
from lcbench.stats.verdicts import latest
from results import record as make_record
from results import row


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LCBENCH_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


def a_record(**fields):
    counters = [Counters(seconds=1.0, steal_s=None, voluntary_switches=3)]
    measured = row(blocks=[[1e-3, 1.1e-3], [1.2e-3]], calls=[10, 11], counters=counters)
    in_two_turns = row(processes=[ProcessResult(warm_up_calls=7, steady=False, turns=2 * measured.processes[0].turns)])
    ceiling = MachinePeak(dtype="float32", footprint=500 * 3073 * 4, read_bytes_s=5e10, flops_s=2e11)
    broken = row("broken", status="wrong", reason="loss is 1")
    return make_record(measured, broken, in_two_turns, ceilings=[ceiling], **fields)


def error_of(function, *arguments):
    with pytest.raises(LcbenchError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_written_record_is_read(folder):
    written = a_record()
    path = record.write(written)
    assert path == folder / f"20260102T030405Z-{written.id}.json"
    assert record.read(path) == written
    assert [file.name for file in folder.iterdir()] == [path.name]


def test_rows_on_pixels_are_written_and_read(folder):
    shared = {"dtype": "uint8", "medians": [1e-3, 1.1e-3]}
    peaks = [
        MachinePeak(dtype=dtype, footprint=footprint, read_bytes_s=5e10, flops_s=2e11)
        for dtype, footprint in [("uint8", 500 * 3072), ("float32", 500 * 3073 * 4)]
    ]
    rows = [row("torch", pixels="converted", **shared), row("torch (converts)", pixels="converts", **shared)]
    written = make_record(*rows, limits=[row("limit", pixels="read", **shared)], ceilings=peaks)
    assert record.read(record.write(written)) == written
    assert [(each.dtype_of_X, each.footprint) for each in rows] == [("float32", 500 * 3073 * 4), ("uint8", 500 * 3072)]


def test_pixels_need_a_column_beside_the_ones(tmp_path):
    file = tmp_path / "one.json"
    file.write_text(record.to_json(make_record(row(dtype="uint8", pixels="read", features=1))))
    assert "row 1 has an X of uint8 without pixels" in error_of(record.read, file)


def test_results_of_schema_2_are_read(tmp_path):
    written = a_record()
    file = tmp_path / "of_schema_2.json"
    file.write_text(record.to_json(written).replace(f'"schema": {record.SCHEMA}', '"schema": 2'))
    written.path = str(file)
    assert record.read(file) == written


def test_only_json_output_has_blocks(folder, tmp_path):
    written = a_record()
    stored = json.loads(record.write(written).read_text())
    printed = json.loads(record.to_json(written))
    assert all("blocks" in row for row in printed["rows"])
    assert not any("blocks" in row for row in stored["rows"])
    for each in printed["rows"]:
        del each["blocks"]
    assert stored == printed


def test_files_with_blocks_are_read(tmp_path):
    written = a_record()
    file = tmp_path / "with_blocks.json"
    file.write_text(record.to_json(written))
    written.path = str(file)
    assert record.read(file) == written


def test_promised_names():
    content = json.loads(record.to_json(a_record(path="results/x.json")))
    assert {"schema", "created", "machine", "rows"} <= set(content)
    assert content["schema"] == record.SCHEMA
    assert "path" not in content
    promised = (
        "implementation loss dtype rows features classes data device status median_s ci95_s blocks error_loss "
        "error_grad flops bytes first_call_s prepare_s roofline_fraction"
    )
    assert set(promised.split()) <= set(content["rows"][0])
    assert content["rows"][0]["blocks"] == [[1e-3, 1.1e-3], [1.2e-3]]
    assert content["rows"][1]["median_s"] is None
    assert content["rows"][2]["blocks"] == [[1e-3, 1.1e-3, 1e-3, 1.1e-3]]


def test_rows_within_other_values_have_the_promised_names():
    measured = a_record()
    entries = latest([measured], measured.fingerprint)
    [group] = json.loads(record.to_json(entries))
    assert [entry["row"]["blocks"] for entry in group["entries"]] == [[[1e-3, 1.1e-3], [1.2e-3]]]
    assert json.loads(record.to_json({"rows": measured.rows}))["rows"] == json.loads(record.to_json(measured))["rows"]


def test_ids_differ():
    fields = {"lcbench": "1", "fingerprint": "f", "machine": {}, "rows": []}
    assert record.new(**fields).id != record.new(**fields).id


def test_a_name_saves_a_baseline(folder):
    path = record.write(a_record(), "before")
    baseline = folder / "baselines" / "before.json"
    assert baseline.read_bytes() == path.read_bytes()
    record.write(changed := a_record(), "before")
    assert record.find("before").id == changed.id
    assert [file.name for file in baseline.parent.iterdir()] == ["before.json"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_no_file(folder, monkeypatch, failing):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    owner = {"fsync": os, "replace": Path}[failing]
    monkeypatch.setattr(owner, failing, fail)
    assert "No space left on device; LCBENCH_RESULTS names another folder" in error_of(record.write, a_record())
    assert list(folder.iterdir()) == []


def test_an_interrupted_write_leaves_no_file(folder, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        record.write(a_record())
    assert list(folder.iterdir()) == []


def test_a_file_instead_of_the_results_folder(folder):
    folder.write_text("I am a file")
    assert "cannot write" in error_of(reserve)
    assert "cannot write" in error_of(reserve, "before")
    assert "cannot write" in error_of(record.write, a_record())
    assert folder.read_text() == "I am a file"


def reserve(name=None):
    with record.reserved(name):
        pass


def test_reserved_space_leaves_no_file(folder):
    reserve("before")
    assert [path.name for path in folder.rglob("*")] == ["baselines"]


def test_a_name_that_is_too_long_is_found_before_a_measurement(folder):
    assert error_of(reserve, 251 * "n").endswith("n.json: File name too long; LCBENCH_RESULTS names another folder")
    longest = 250 * "n"
    reserve(longest)
    record.write(a_record(), longest)
    assert record.find(longest).path.endswith("n.json")


def test_bytes_that_are_no_text_are_escaped(folder):
    written = record.write(a_record(command=["run", "caf\udce9.py"]))
    assert record.read(written).command == ["run", r"caf\udce9.py"]


@pytest.mark.parametrize("name", ["", "a/b", "../up", ".hidden", ".."])
def test_invalid_names_of_baselines(folder, name):
    assert "is not a valid name for a baseline" in error_of(reserve, name)
    if name:
        assert "is not a valid name for a baseline" in error_of(record.write, a_record(), name)


def test_a_newer_schema_is_refused(tmp_path):
    file = tmp_path / "new.json"
    file.write_text(json.dumps({"schema": record.SCHEMA + 1, "rows": "unknown today"}))
    message = error_of(record.read, file)
    assert f"schema {record.SCHEMA + 1}, this lcbench reads up to {record.SCHEMA}" in message
    assert str(file) in message


HERE = Path(__file__).parent
SCHEMA_1 = [*(HERE.parent / "results" / "reference").glob("zen5-*.json"), *(HERE / "schema_1").glob("*.json")]
"""A run, a finished sweep, an unfinished sweep and a gate, written by lcbench 0.1.0."""


@pytest.mark.parametrize("file", SCHEMA_1, ids=lambda file: file.stem)
def test_records_of_schema_1(folder, file):
    old, found = json.loads(file.read_text()), record.read(file)
    assert (old["schema"], found.schema, len(old["rows"])) == (1, record.SCHEMA, len(found.rows))
    for before, now in zip(old["rows"], found.rows, strict=True):
        assert now.blocks == before["blocks"]
        turns = [turn for process in now.processes for turn in process.turns]
        assert [turn.calls for turn in turns] == before["calls"]
        counters = [process.counters for process in now.processes]
        assert counters == msgspec.convert(before["covariates"], list[Counters])
        numbers = [index // 2 if now.side == "head" else index for index in range(len(now.processes))]
        assert [process.generation for process in now.processes] == numbers
        assert all((turn.round, turn.place) == (None, None) for turn in turns)
        if "steady" in before:  # the older file in results/reference has neither `steady` nor `warm_up_calls`
            extra = int(now.side in ("base", "head"))  # the process before the first block
            assert [process.warm_up_calls for process in now.processes] == before["warm_up_calls"][extra:]
            assert [process.steady for process in now.processes] == before["steady"][extra:]
        for name in set(before) & set(record.Row.__struct_fields__) - {"ci95_s"}:
            assert getattr(now, name) == before[name]
    if found.gate:
        assert msgspec.to_builtins(found.gate.interim_analyses) == old["gate"]["looks"]
    assert record.read(record.write(found)) == found


def schema_1(tmp_path, **row):
    """Return the processes of a row of schema 1 with the given fields."""
    content = json.loads(record.to_json(a_record()))
    content["rows"] = [{name: value for name, value in content["rows"][0].items() if name != "processes"} | row]
    file = tmp_path / "old.json"
    file.write_text(json.dumps(content | {"schema": 1}))
    return record.read(file).rows[0].processes


@pytest.mark.parametrize(("side", "kept"), [("", [4, 5]), ("control", [4, 5]), ("base", [5, 6]), ("head", [5, 6])])
def test_lists_of_different_lengths_in_schema_1(tmp_path, side, kept):
    found = schema_1(tmp_path, side=side, warm_up_calls=[4, 5, 6, 7], steady=[True] * 4, calls=[3, 2], covariates=[])
    assert [process.warm_up_calls for process in found] == kept
    assert [process.turns[0].calls for process in found] == [3, 2]
    assert [process.counters for process in found] == [None, None]
    assert [process.generation for process in found] == ([0, 0] if side == "head" else [0, 1])


def test_missing_fields_of_schema_1_are_none(tmp_path):
    found = schema_1(tmp_path)
    assert [process.samples for process in found] == [[1e-3, 1.1e-3], [1.2e-3]]
    assert {(process.warm_up_calls, process.steady, process.turns[0].calls) for process in found} == {(None,) * 3}


def test_records_without_generations_and_with_counters_in_turns_are_read(tmp_path):
    content = json.loads(record.to_json(a_record()))
    for each in content["rows"]:
        for process in each["processes"]:
            del process["generation"], process["seconds"]
            for turn in process["turns"]:
                del turn["round"], turn["place"]
                turn["counters"] = process.pop("counters", None)
    file = tmp_path / "old.json"
    file.write_text(json.dumps(content))
    found = record.read(file).rows[0]
    assert [process.generation for process in found.processes] == [None, None]
    assert list(estimates.generations(found)) == [0, 1]
    assert found.blocks == [[1e-3, 1.1e-3], [1.2e-3]]


def test_a_gate_and_limits_are_read_as_written(folder):
    side = record.Side(given="main", kind="revision", revision="0" * 40, python="CPython 3.11.0", versions={})
    gate = record.Gate(
        base=side,
        head=side,
        fail_above=0.03,
        budget_s=60.0,
        precision=0.01,
        started_s=12.5,
        spent_s=59.0,
        orders=["bchh", "hbhc"],
        interim_analyses=[record.InterimAnalysis(blocks=2, share=1.0)],
    )
    turns = [Turn(round=number, place=1, samples=[1e-3], calls=5) for number in range(2)]
    limit = row("limit", processes=[ProcessResult(generation=3, turns=turns)])
    sides = {"base": 2, "control": 2, "head": 4}
    written = make_record(*(row(medians=n * [1e-3], side=side) for side, n in sides.items()), gate=gate, limits=[limit])
    found = record.read(record.write(written))
    assert found == written
    assert found.gate.orders == ["bchh", "hbhc"]
    assert [turn.round for turn in found.limits[0].processes[0].turns] == [0, 1]


@pytest.mark.parametrize("row", [{"blocks": 3}, {"blocks": [3]}, {"blocks": [[]]}, {"steady": "no"}, {"calls": ["x"]}])
def test_malformed_rows_of_schema_1(tmp_path, row):
    assert " is not an lcbench result: " in error_of(lambda: schema_1(tmp_path, **row))


def broken(**changes):
    content = json.loads(record.to_json(a_record()))
    return json.dumps(content | changes)


def broken_row(**changes):
    return broken(rows=[json.loads(record.to_json(a_record()))["rows"][0] | changes])


def broken_ceiling(**changes):
    return broken(ceilings=[json.loads(record.to_json(a_record()))["ceilings"][0] | changes])


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"rows": []}', '{"schema": "one"}', "\x00", broken(rows=3), broken(created=None),
     '{"schema": 1}', broken(schema=1, rows=3), broken(schema=1, rows=[3]), broken(schema=1, gate=3),
     broken(rows=[{"implementation": "x"}]), broken(ceilings=[{"dtype": 4}]), broken(machine=5000 * "[" + 5000 * "]"),
     '{"schema": 2, "deep": ' + 5000 * "[" + 5000 * "]" + "}", broken(machine={"text": "\ud800"}),
     *(broken(created=time) for time in ("", "yesterday", "2026-01-02T03:04:05", "0000-01-01T00:00:00+00:00", 5,
                                         "0001-01-01T00:00:00+14:00")),
     *(broken(machine=facts) for facts in ({"versions": 3}, {"versions": {"numpy": 2}}, {"environment": ["A"]},
                                           {"blas": {}}, {"cpu": {"caches": {"l1d": "32K"}}}, {"memory_bytes": 0})),
     *(broken_row(**fields) for fields in ({"ci95_s": [5, -5]}, {"ci95_s": [2, 1]}, {"flops": 0}, {"bytes": -1},
                                           {"rows": 0}, {"dtype": "int8"}, {"threads": -1}, {"features": 2**70},
                                           {"median_s": 1e300})),
     *(broken_ceiling(**fields) for fields in ({"flops_s": 0}, {"read_bytes_s": -1}, {"footprint": 0},
                                               {"gemm_flops_s": 0})),
     *(broken(sweep={"axes": axes}) for axes in ({}, {"a": [1]}, {"rows": []}, {"rows": [0]}, {"rows": [None]})),
     broken(score=1000)],
)  # fmt: skip
def test_malformed_files(tmp_path, text):
    file = tmp_path / "bad.json"
    file.write_text(text)
    assert error_of(record.read, file).startswith(f"{file} is not an lcbench result: ")


def a_gate(sides=("base", "control", "head"), blocks=2, **fields):
    side = {"given": "main", "kind": "folder", "python": "CPython 3.11.0", "versions": {}}
    gate = {"base": side, "head": side, "fail_above": 0.03, "budget_s": 60, "orders": ["bchh", "hbhc"]}
    gate["interim_analyses"] = [{"blocks": blocks, "share": 1.0}]
    rows = [row(medians=[1e-3] * (4 if each == "head" else 2), side=each) for each in sides]
    content = json.loads(record.to_json(make_record(*rows))) | {"gate": gate}
    content["rows"] = [each | fields for each in content["rows"]]
    return json.dumps(content)


def test_a_gate_without_a_side_or_a_generation_is_refused(tmp_path):
    file = tmp_path / "gate.json"
    file.write_text(a_gate())
    assert judge_gate(record.read(file).rows, record.read(file).gate).comparisons
    two = json.loads(record.to_json(make_record(row(medians=[1e-3]))))["rows"][0]["processes"]
    for text, reason in (
        (a_gate(("base", "head")), "numpy has the sides base, head"),
        (a_gate(("base", "", "head")), "numpy has the sides base, none, head"),
        (a_gate(blocks=3), "it has 2 generations, and an analysis of more"),
        (a_gate(processes=two), "numpy on base does not have 1 in each of 2 generations"),
    ):
        file.write_text(text)
        assert error_of(record.read, file) == f"{file} is not an lcbench result: {reason}"


def test_facts_that_are_null_are_left_out(tmp_path):
    file = tmp_path / "null.json"
    file.write_text(broken(machine={"cpu": None, "versions": {"numpy": None, "numba": "1"}, "blas": None}))
    assert record.read(file).machine == {"versions": {"numba": "1"}}


def test_times_are_read_in_utc(tmp_path):
    file = tmp_path / "early.json"
    file.write_text(broken(created="2026-01-02T01:30:00+02:00"))
    assert record.read(file).created == "2026-01-01T23:30:00+00:00"


def test_control_characters_become_visible(tmp_path):
    file = tmp_path / "escapes.json"
    file.write_text(broken_row(implementation="a\x1b[31m\nb\u202e.py:f", reason="\x07\x9b é"))
    found = record.read(file).rows[0]
    assert (found.implementation, found.reason) == (r"a\x1b[31m\nb\u202e.py:f", r"\x07\x9b é")


@pytest.mark.parametrize("content", [b"\xff\xfe{}", broken(lcbench="HERE").encode().replace(b"HERE", b"\xff")])
def test_bytes_that_are_not_text(tmp_path, content):
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    assert "is not an lcbench result" in error_of(record.read, file)


def test_a_path_that_cannot_be_opened(tmp_path):
    assert error_of(record.read, tmp_path) == f"cannot read {tmp_path}: Is a directory"


def test_pipes_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    for path in (tmp_path / "pipe.json", Path("/dev/zero")):
        assert error_of(record.find, str(path)) == f"cannot read {path}: it is a pipe or a device, not a file"


def test_a_file_name_with_control_characters_is_one_line(tmp_path):
    assert (
        error_of(record.read, tmp_path / "a\n\x1b[2J")
        == rf"cannot read {tmp_path}/a\n\x1b[2J: No such file or directory"
    )


def test_unknown_names_are_ignored(tmp_path):
    file = tmp_path / "more.json"
    file.write_text(broken(colour="blue"))
    assert isinstance(record.read(file), Record)


def test_find_by_path_baseline_file_name_and_id(folder, tmp_path):
    written = a_record()
    path = record.write(written, "before")
    elsewhere = tmp_path / "copy.json"
    elsewhere.write_bytes(path.read_bytes())
    for name in (str(path), str(elsewhere), "before", path.name[:12], path.stem, written.id):
        assert record.find(name).id == written.id


def test_an_unknown_name_lists_the_baselines(folder):
    assert "'lcbench run --save NAME' saves a result" in error_of(record.find, "befor")
    record.write(a_record(), "before")
    record.write(a_record(), "after")
    message = error_of(record.find, "befor")
    assert "no result 'befor'" in message
    assert "saved names: after, before" in message


def test_an_ambiguous_name_is_refused(folder):
    record.write(a_record())
    record.write(a_record())
    assert "2 results begin with '2026'" in error_of(record.find, "2026")


def test_newest_first_skips_unreadable_files(folder):
    record.write(old := a_record(created="2026-01-01T00:00:00+00:00"))
    record.write(new := a_record(created="2026-03-01T00:00:00+00:00"))
    (folder / "20260201T000000Z-bad.json").write_text("{")
    os.mkfifo(folder / "20260201T000000Z-pipe.json")
    (folder / "20260201T000000Z-folder.json").mkdir()
    (folder / ".20260401T000000Z-half.json").write_text("{")
    notes = []
    assert [each.id for each in record.newest_first(notes.append)] == [new.id, old.id]
    pipe = folder / "20260201T000000Z-pipe.json"
    assert notes == [f"passed over: cannot read {pipe}: it is a pipe or a device, not a file; and 2 more files"]


def test_newest_first_places_copies_and_renamed_files_by_their_time(folder):
    record.write(old := a_record(created="2026-01-01T00:00:00+00:00"))
    path = record.write(new := a_record(created="2026-03-01T00:00:00+00:00"))
    (folder / "z-copy.json").write_bytes(path.read_bytes())
    renamed = record.write(middle := a_record(created="2026-02-01T00:00:00+00:00"))
    renamed.rename(folder / "zz.json")
    assert [each.id for each in record.newest_first()] == [new.id, middle.id, old.id]


def test_a_later_result_than_the_one_just_written(folder):
    first = record.write(a_record(created="2026-03-01T00:00:00+00:00"))
    assert record.newer_than(first) is None
    assert record.newer_than(record.write(a_record(created="2026-03-01T00:00:00+00:00"))) is None
    assert record.newer_than(record.write(a_record(created="2026-02-28T23:59:59+00:00"))) is not None


def test_without_a_folder_there_are_no_results(folder):
    assert list(record.newest_first()) == []


def test_every_field_is_documented():
    documentation = (Path(__file__).parent.parent / "docs" / "result-file.md").read_text()
    structs = (
        Record, record.Row, ProcessResult, Turn, Counters, MachinePeak, record.Gate, record.InterimAnalysis,
        record.Sweep, record.Side,
    )  # fmt: skip
    names = {field for struct in structs for field in struct.__struct_fields__}
    assert {name for name in names - {"path"} if f"`{name}`" not in documentation} == set()


@pytest.mark.parametrize("samples", ["[]", "[0.0]", "[-1.0]", "[1e308]"])
def test_impossible_times_are_refused(tmp_path, samples):
    good = record.to_json(make_record(row(blocks=[[0.125]])))
    file = tmp_path / "bad.json"
    file.write_text(re.sub(r'"samples": \[\s*0\.125\s*\]', f'"samples": {samples}', good))
    assert file.read_text() != good
    with pytest.raises(LcbenchError, match="is not an lcbench result"):
        record.read(file)
