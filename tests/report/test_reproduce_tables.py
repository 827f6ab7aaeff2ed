"""Tables of ``lcbench reproduce`` in a terminal of 80 columns."""

from lcbench.report.tables import reproduce as reproduce_tables
from lcbench.reproduction import figures
from lcbench.reproduction.figures import Figure, Outcome, PublishedRow, ReproducedValues, judge
from printed import printed

LAYER = PublishedRow(
    "softmax-layer",
    "002",
    "softmax of four scores",
    {"probability": Figure("3 decimals", published=[0.842, 0.02], expected=[0.842, 0.002])},
    note="the document prints 0.02: a slip",
)
PROTOCOL = PublishedRow("svm-protocol", "003", "an SVM", {"validation": Figure("0.37..0.395", published=0.382)})


def outcomes():
    return [
        judge(LAYER, ReproducedValues({"probability": [0.8418, 0.0021]}), 0.5),
        judge(PROTOCOL, ReproducedValues({"validation": 0.25}), 1.5),
        Outcome(
            PublishedRow("templates", "003", "templates", {}),
            skipped="no data/cifar10.h5: 'lcbench download' fetches it",
        ),
    ]


def test_the_overview():
    assert printed(reproduce_tables.overview(outcomes())) == [
        "published and measured",
        "row            published     expected  measured  difference  verdict",
        "────────────────────────────────────────────────────────────────────",
        "softmax-layer       0.02        0.002    0.0021      0.0001  passes",
        "svm-protocol       0.382  0.37..0.395      0.25       -0.13  fails",
        "templates              -            -         -           -  skipped",
        "svm-protocol fails in 1 of 1 figures; validation: measured 0.25, expected 0.382,",
        "0.37..0.395",
        "skipped templates: no data/cifar10.h5: 'lcbench download' fetches it",
        "softmax-layer: the document prints 0.02: a slip",
        "a row with several figures shows the one closest to failing; 'lcbench reproduce",
        "ROW' shows all",
        "1 reproduced, 1 failed, 1 skipped, in 2.00 s",
    ]


def test_every_figure_of_a_row():
    assert printed(reproduce_tables.details(outcomes()[0])) == [
        "softmax-layer: softmax of four scores",
        "  002: softmax regression, lecture notes",
        "  the document prints 0.02: a slip",
        "figure         published  expected  measured  difference  rule        verdict",
        "─────────────────────────────────────────────────────────────────────────────",
        "probability 0      0.842     0.842    0.8418     -0.0002  3 decimals  passes",
        "probability 1       0.02     0.002    0.0021      0.0001  3 decimals  passes",
    ]
    assert printed(reproduce_tables.details(outcomes()[2]))[-1].startswith("skipped templates: no data/cifar10.h5")


def test_the_longest_texts_fit():
    rows = [
        PublishedRow(
            row.id, row.document, row.what, {name: Figure("shown", -4.9999886) for name in row.figures}, note=row.note
        )
        for row in figures.published_rows().values()
    ]
    measured = [judge(row, ReproducedValues(dict.fromkeys(row.figures, -12345.6789)), 1.0) for row in rows]
    lines = printed(reproduce_tables.overview(measured))
    assert not any("…" in line for line in lines)
    assert [line.split()[0] for line in lines[3 : 3 + len(rows)]] == list(figures.published_rows())
    for outcome in measured:
        assert not any("…" in line for line in printed(reproduce_tables.details(outcome)))
    printed([reproduce_tables.listing(rows)])


def test_json_has_every_figure():
    first, second, third = reproduce_tables.as_json(outcomes())
    assert first["verdict"] == "passes"
    assert first["figures"][1] == {
        "name": "probability 1",
        "published": 0.02,
        "expected": 0.002,
        "measured": 0.0021,
        "difference": 0.0021 - 0.002,
        "rule": "3 decimals",
        "met": True,
    }
    assert second["verdict"] == "fails"
    assert third["skipped"].startswith("no data")
