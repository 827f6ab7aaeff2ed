"""Confusion: the shares of each class, in their cells."""

import numpy as np
from picture_files import model

from lcbench.datasets.examples import Examples, LabelledSplits
from lcbench.learn.evaluation import predict
from lcbench.report.pictures import confusion


def test_each_cell_is_the_share_of_its_class():
    rng = np.random.default_rng(0)
    test = Examples(rng.normal(size=(200, 4)), rng.integers(0, 2, 200))
    given = model(columns=4, image_shape=None)
    figure = confusion.draw(given, LabelledSplits(test, test, test, given.class_names, "t.csv"))
    (axes,) = figure.axes
    shares = np.ma.filled(axes.images[0].get_array(), np.nan)
    predicted = predict(given.W, given.scaling, test.X)
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    for true in range(2):
        for taken in range(3):
            share = np.mean(predicted[test.y == true] == taken)
            assert shares[true, taken] == share
            assert texts.get((taken, true), "0") == f"{100 * share:.0f}"
    assert np.isnan(shares[2]).all()  # the class without a row
    assert f"{100 * np.mean(predicted == test.y):.1f} % right" in figure.get_suptitle()
    assert [label.get_text() for label in axes.get_yticklabels()] == list(given.class_names)
