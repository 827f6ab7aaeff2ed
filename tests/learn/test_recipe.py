"""Recipes: defaults by kind of data, and refused settings."""

import pytest

from lcbench.errors import LcbenchError
from lcbench.learn.recipe import recipe_for
from small_splits import splits

DATA = splits()


def test_given_settings_are_kept_and_the_others_get_defaults():
    recipe = recipe_for(DATA, data="clouds", loss="svm", margin=3.0, words=None)
    assert (recipe.loss, recipe.margin, recipe.scaling) == ("svm", 3.0, "standard")


def test_epochs_set_iterations_and_shuffling():
    recipe = recipe_for(DATA, data="clouds", epochs=2, batch=50)
    assert recipe.iterations == 5
    assert recipe.sampling == "shuffle"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 1.0}, "no setting 'lr': did you mean 'learning_rate'"),
        ({"momentun": 0.5}, "no setting 'momentun': did you mean 'momentum'"),
        ({"zzz": 1}, "no setting 'zzz': available are data, "),
        ({"solver": "lbfgs", "momentum": 0.5}, "momentum: a setting of the sgd solver"),
        ({"solver": "lbfgs", "batch": 5}, "batch: L-BFGS takes all rows"),
        ({"iterations": 5, "epochs": 2}, "iterations and epochs both set the number of steps"),
        ({"decay": 0.5}, "decay: a setting of the step schedule"),
        ({"data": "synthetic", "label": "x"}, "label: a column of a file, and synthetic has none"),
        ({"momentum": float("nan")}, "momentum must be at least 0"),
        ({"iterations": 10**18}, "iterations must be at most 1,000,000,000"),
        ({"seed": 2**90}, "seed must be at most 4,294,967,295"),
        ({"implementation": ""}, "implementation is empty"),
        ({"batch": 10**9}, "batch: 1,000,000,000 rows, of 120 training rows in clouds; choose fewer"),
        ({"words": 5}, "words: the features have no visual words"),
        ({"loss": "softmax", "margin": 2.0}, "margin: a setting of the svm loss"),
        ({"loss": "hinge"}, "invalid training settings: .*'hinge'"),
        ({"reg": float("inf")}, "invalid training settings"),
        ({"learning_rate": -1.0}, "invalid training settings"),
    ],
)
def test_settings_without_effect_or_out_of_range_are_one_line_errors(settings, message):
    with pytest.raises(LcbenchError, match=message) as caught:
        recipe_for(DATA, **({"data": "clouds"} | settings))
    assert "\n" not in str(caught.value)
