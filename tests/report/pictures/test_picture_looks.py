"""An implementation looks the same everywhere, and like no other."""

from itertools import pairwise

from lcbench.losses.catalog import CATALOG
from lcbench.report.pictures.looks import look, looks


def test_every_implementation_of_the_catalogue_has_a_look_of_its_own():
    looks = [look(name) for name in CATALOG]
    assert len(set(looks)) == len(CATALOG)
    assert all(one.line != "-." for one in looks)


def test_what_computes_on_a_gpu_is_hollow_and_dashed():
    for name, entry in CATALOG.items():
        on_gpu = entry.device == "cuda"
        assert (look(name).filled, look(name).line) == (not on_gpu, "--" if on_gpu else "-")


OWN = [f"sim.py:{name}_softmax_loss" for name in ("quad", "nlogn", "a", "b", "slept")]


def test_what_users_functions_of_one_picture_share_is_nothing_as_far_as_that_goes():
    found = looks(["numpy", *OWN])
    assert found["numpy"] == look("numpy")
    for part in (0, 1, 2):
        assert len({found[name][part] for name in OWN}) == len(OWN)


def test_many_have_each_a_look_of_its_own_whatever_their_order():
    names = [f"{number}.py:loss" for number in range(100)]
    found = looks(names)
    assert len(set(found.values())) == len(names)
    assert found == looks(reversed(names))


def test_more_than_there_are_looks_have_one_too():
    assert len(looks(f"{number}.py:loss" for number in range(400))) == 400


def test_a_users_look_follows_from_its_name_and_is_none_of_the_catalogues():
    names = [f"softmax_{number}.py:loss" for number in range(60)]
    assert [look(name) for name in names] == [look(name) for name in names]
    assert not {look(name).colour for name in names} & {look(name).colour for name in CATALOG}
    assert len({look(name) for name in names}) > 10


def brightness(colour):
    """Relative luminance (WCAG 2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_colours_of_what_is_compared_most_can_be_told_apart_without_hue():
    usual = sorted(brightness(look(name).colour) for name in ("numpy", "numba-parallel", "torch-compile", "sklearn"))
    assert min(high - low for low, high in pairwise(usual)) > 0.04


def test_every_colour_can_be_seen_on_white():
    for name in [*CATALOG, "a.py:f", "b.py:f", "c.py:f", "d.py:f", "e.py:f"]:
        assert (1.05) / (brightness(look(name).colour) + 0.05) > 2, name
