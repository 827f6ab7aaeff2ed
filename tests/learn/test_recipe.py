import pytest

from lcbench.errors import LcbenchError
from lcbench.learn.recipe import recipe_for as recipe
from small_splits import splits

DATA = splits()


def test_what_is_given_is_kept_and_the_rest_chosen():
    chosen = recipe(DATA, data="clouds", loss="svm", margin=3.0, words=None)
    assert (chosen.loss, chosen.margin, chosen.scaling) == ("svm", 3.0, "standard")
    assert recipe(DATA, data="clouds", epochs=2, batch=50).iterations == 5
    assert recipe(DATA, data="clouds", epochs=2, batch=50).sampling == "shuffle"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lr": 1.0}, "no setting 'lr': did you mean 'learning_rate'"),
        ({"momentun": 0.5}, "no setting 'momentun': did you mean 'momentum'"),
        ({"zzz": 1}, "no setting 'zzz': there are data, "),
        ({"solver": "lbfgs", "momentum": 0.5}, "momentum: a setting of the sgd solver"),
        ({"solver": "lbfgs", "batch": 5}, "batch: L-BFGS takes all rows"),
        ({"iterations": 5, "epochs": 2}, "iterations and epochs both say how long"),
        ({"decay": 0.5}, "decay: of the step schedule"),
        ({"words": 5}, "words: there are no visual words"),
        ({"loss": "softmax", "margin": 2.0}, "margin: a setting of the svm loss"),
        ({"loss": "hinge"}, "no such training: .*'hinge'"),
        ({"reg": float("inf")}, "no such training"),
        ({"learning_rate": -1.0}, "no such training"),
    ],
)
def test_what_has_no_meaning_is_one_line(settings, words):
    with pytest.raises(LcbenchError, match=words) as caught:
        recipe(DATA, data="clouds", **settings)
    assert "\n" not in str(caught.value)
