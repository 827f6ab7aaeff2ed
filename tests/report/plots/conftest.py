"""Style of the plots in all tests of this folder."""

import pytest

from lcbench.report.plots import style


@pytest.fixture(autouse=True)
def plot_style():
    with style.use_style():
        yield
