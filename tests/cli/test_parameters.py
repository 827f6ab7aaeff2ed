"""Values of options: what is taken, what is refused in a line."""

import click
import pytest

from lcbench.cli.options import Seconds


@pytest.mark.parametrize(("given", "seconds"), [("60", 60.0), ("60s", 60.0), ("1.5s", 1.5), ("0", 0.0), (36.0, 36.0)])
def test_seconds_with_or_without_their_unit(given, seconds):
    assert Seconds(0).convert(given, None, None) == seconds


@pytest.mark.parametrize("given", ["s", "5m", "nan", "infs", "-1s", "1ss"])
def test_what_is_no_number_of_seconds_is_refused(given):
    with pytest.raises(click.BadParameter):
        Seconds(0).convert(given, None, None)
