"""Tables of ``lcbench features``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from lcbench.datasets.features.catalog import CATALOG, INSTALL, PrecomputedFeature, Settings
from lcbench.report import formatting
from lcbench.report.table import NUMBER, SECONDS, SIZE, WORD, Column, Table

SIDE = 32
"""Height and width in pixels of the images for which dimensions are listed."""


def catalog_list(words: int) -> list[dict[str, Any]]:
    """Return every feature of the catalog, with its dimensions for this number of visual words."""
    return [
        {
            "name": feature.name,
            "what": feature.what,
            "dimensions": feature.dimensions(Settings(words=words), SIDE),
            "missing": list(feature.missing),
            "install": INSTALL if feature.missing else "",
        }
        for feature in CATALOG.values()
    ]


def catalog_table(words: int) -> Iterator[Table | Text]:
    """Yield `catalog_list` as a table, and how to install missing packages."""
    lines = catalog_list(words)
    yield Table(
        f"Features of {SIDE} x {SIDE} images; {formatting.count(words)} visual words",
        lines,
        Column("name", "name", WORD),
        Column("what", "what"),
        Column("dimensions", "dimensions", NUMBER),
        Column("available", lambda line: not line["missing"]),
    )
    for package in dict.fromkeys(package for line in lines for package in line["missing"]):
        needed_by = ", ".join(line["name"] for line in lines if package in line["missing"])
        yield Text(f"{package}, for {needed_by}, is not installed: {INSTALL}")


def computed(done: Sequence[PrecomputedFeature]) -> Iterator[Table | Text]:
    """Yield what was computed or read, and where it is stored."""
    yield Table(
        f"Features of {formatting.count(done[0].rows)} images",
        done,
        Column("name", "name", WORD),
        Column("dimensions", "dimensions", NUMBER),
        Column("size", lambda feature: feature.rows * feature.dimensions * 4, SIZE),
        Column("time", "seconds", SECONDS),
        Column("", lambda feature: "read" if feature.kept else "computed"),
    )
    folders = {str(Path(file).parent) for feature in done for file in feature.files.values()}
    yield Text(f"stored in {', '.join(sorted(folders))}, for {', '.join(done[0].files)}")
