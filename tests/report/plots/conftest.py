"""Pictures are drawn in their own look here too."""

import pytest

from lcbench.report.plots import style


@pytest.fixture(autouse=True)
def look():
    with style.use_style():
        yield
