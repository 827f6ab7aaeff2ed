"""The rows, as far as they need no download."""

import dataclasses

import msgspec
import pytest

from lcbench.datasets.examples import synthetic_images
from lcbench.errors import LcbenchError
from lcbench.losses import catalog
from lcbench.reproduction import figures, rows
from lcbench.reproduction.context import Context

ON_CIFAR10 = {
    "softmax-sanity-loss", "svm-protocol", "svm-hyperparameters", "gradient-check-kinks", "templates", "random-search",
    "feature-pipeline",
}  # fmt: skip
OFFLINE = [row for row in figures.published_rows() if row not in ON_CIFAR10]


@pytest.fixture(autouse=True)
def no_cifar10(monkeypatch, tmp_path):
    monkeypatch.setenv("LCBENCH_DATA", str(tmp_path))


@pytest.fixture(scope="module")
def context():
    return Context(catalog.load("numpy"))


@pytest.mark.parametrize("row", OFFLINE)
@pytest.mark.parametrize("implementation", ["numpy", "numba-parallel", "naive"])
def test_a_row_is_reproduced_without_a_download(row, implementation):
    outcome = rows.reproduce(figures.published_rows()[row], Context(catalog.load(implementation)))
    assert outcome.verdict == "passes", [number for number in outcome.numbers if not number.met]


@pytest.mark.parametrize("row", sorted(ON_CIFAR10))
def test_without_cifar10_a_row_is_skipped_with_the_download_command(row, context):
    outcome = rows.reproduce(figures.published_rows()[row], context)
    assert outcome.verdict == "skipped"
    assert "'lcbench download' fetches it" in outcome.skipped
    assert not outcome.numbers


def with_wrong_first_number(value):
    """Replace the first number by one far outside the limits of any rule."""
    return [with_wrong_first_number(value[0]), *value[1:]] if isinstance(value, list) else value + 1.5 + abs(value)


@pytest.mark.parametrize("row", OFFLINE)
def test_a_wrong_figure_makes_a_row_fail(row, context):
    row_as_published = figures.published_rows()[row]
    for name, figure in row_as_published.figures.items():
        given = figure.expected if figure.expected is not None else figure.published
        if given is None or figure.rule.startswith("at "):
            continue
        wrong = msgspec.structs.replace(figure, expected=with_wrong_first_number(given))
        changed = msgspec.structs.replace(row_as_published, figures={**row_as_published.figures, name: wrong})
        outcome = rows.reproduce(changed, context)
        assert outcome.verdict == "fails"
        assert [number.name.partition(" 0")[0] for number in outcome.numbers if not number.met] == [name]


def test_a_wrong_loss_makes_rows_fail(context):
    def half(W, X, y, reg):
        loss, dW = context.implementation.functions["softmax"](W, X, y, reg)
        return loss, dW / 2

    wrong = dataclasses.replace(context.implementation, functions={"softmax": half})
    for row in (
        "softmax-of-123",
        "lr-0.1-first",
        "four-feature-training",
        "two-classes-logistic",
        "backprop-of-softmax",
    ):
        assert rows.reproduce(figures.published_rows()[row], Context(wrong)).verdict == "fails"
    assert "no svm loss" in rows.reproduce(figures.published_rows()["hinge-example"], Context(wrong)).skipped


def test_selected_rows_are_in_the_order_of_the_documents():
    assert [row.id for row in figures.select_rows(["quadratic", "softmax-of-123"])] == ["softmax-of-123", "quadratic"]
    assert [row.id for row in figures.select_rows([])] == list(figures.published_rows())


def test_an_unknown_row_is_an_error_with_a_suggestion():
    with pytest.raises(LcbenchError, match="did you mean 'quadratic'"):
        figures.select_rows(["quadratik"])
    with pytest.raises(LcbenchError, match="'lcbench reproduce --list'"):
        figures.select_rows(["%%%"])


@pytest.fixture(scope="module")
def context_with_images():
    context = Context(catalog.load("numpy"))
    context.cifar10 = synthetic_images(600)
    return context


def small(row, **inputs):
    """Return the row with smaller inputs."""
    return msgspec.structs.replace(
        figures.published_rows()[row], inputs={**figures.published_rows()[row].inputs, **inputs}
    )


def measured_numbers(row, context):
    outcome = rows.reproduce(row, context)
    return {number.name: number.measured for number in outcome.numbers}, outcome


def test_the_loss_at_zero_weights_is_the_logarithm_of_the_number_of_classes(context_with_images):
    measured, outcome = measured_numbers(small("softmax-sanity-loss", images=50, draws=2), context_with_images)
    assert outcome.verdict == "passes"
    assert measured["loss, of each 0"] != measured["loss, of each 1"]


def test_templates_are_images(context_with_images, monkeypatch):
    protocol = {**figures.published_rows()["svm-protocol"].inputs, "iterations": 30, "learning rate": 1e-6}
    monkeypatch.setattr(context_with_images, "inputs", lambda row: protocol)
    measured, outcome = measured_numbers(figures.published_rows()["templates"], context_with_images)
    assert measured["finite templates"] == 10
    assert outcome.models["svm"].image_shape == (3, 32, 32)
    assert outcome.models["svm"].class_names == context_with_images.cifar10.class_names


def test_random_search_and_descent_start_at_the_same_weights(context_with_images):
    measured, outcome = measured_numbers(
        small("random-search", **{"tries": 40, "images a try": 100}), context_with_images
    )
    assert measured["loss, descent"] < measured["loss, random search"]
    tries, descent = (outcome.models[name].curves for name in ("tries", "descent"))
    assert len(tries.losses) == len(descent.losses) == 40
    assert tries.validation_accuracy[0] == descent.validation_accuracy[0]


def test_kinks_are_fewer_at_the_larger_margin(context_with_images):
    measured, outcome = measured_numbers(small("gradient-check-kinks", images=300, coordinates=8), context_with_images)
    assert outcome.verdict == "passes"
    assert measured["kinks, margin 1"] > measured["kinks, margin 100"] == 0
