"""Training loop: from the initial weights, or from a checkpoint, to a trained model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.examples import Examples, LabelledSplits, load_splits
from lcbench.datasets.preprocessing import fit_scaling
from lcbench.errors import LcbenchError, WrongResultError
from lcbench.learn.evaluation import accuracy, predict
from lcbench.learn.model import Curves, Model, Status
from lcbench.learn.objective import Objective
from lcbench.learn.recipe import Recipe, copied_itemsize
from lcbench.learn.solvers import SOLVERS, Position, first_weights, one_blas_thread, warm_up
from lcbench.losses.implementation import Implementation
from lcbench.progress import NoteCallback, ProgressCallback, delayed, no_note, no_progress
from lcbench.usercode.discovery import is_user_code

EVALUATED_TRAINING_ROWS = 1000
"""Number of training rows on which the training accuracy is evaluated during training."""

SECONDS_BETWEEN_CHECKPOINTS = 5.0


def splits_of(
    recipe: Recipe,
    progress: ProgressCallback = no_progress,
    stream: bool | None = False,
    note: NoteCallback = no_note,
) -> LabelledSplits:
    """Return the data of a recipe. Raise LcbenchError if it is missing or unfit.

    stream, progress, note: as in `lcbench.datasets.examples.load_splits`.
    """
    return load_splits(
        recipe.data, recipe.features, label=recipe.label, words=recipe.words, seed=recipe.seed, stream=stream,
        copied_itemsize=copied_itemsize(recipe), progress=progress, note=note,
    )  # fmt: skip


def train(
    splits: LabelledSplits,
    recipe: Recipe,
    *,
    resume: Model | None = None,
    fingerprint: str | None = None,
    implementation: Implementation | None = None,
    checkpoint: Callable[[Model], None] = lambda model: None,
    progress: ProgressCallback = no_progress,
) -> Model:
    """Train a model on `splits` and return it.

    resume: unfinished model to continue. fingerprint: of `splits`, if it is known already. implementation: that of the
    recipe, if it is loaded already. checkpoint: callback for the unfinished model, called after the first steps and
    every few seconds. progress: callback for the steps, with the accuracies, and for long passes over the data before
    and after them.
    Raise LcbenchError if `resume` was trained on other data, and WrongResultError if user code computes a wrong loss or
    gradient of the first rows.
    """
    # Weights that overflow are reported as divergence instead of by many warnings.
    with np.errstate(all="ignore"):
        run = _Run(splits, recipe, resume, fingerprint or splits.fingerprint(delayed(progress)), checkpoint, progress)
        if run.model.status == "unfinished":
            run.solve(implementation)
        return run.finished_model()


def accuracies(model: Model, splits: LabelledSplits, progress: ProgressCallback = no_progress) -> dict[str, float]:
    """Return the accuracy of the model on all rows of each split. progress: callback for the predicted rows."""
    parts: dict[str, Examples] = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {
        name: accuracy(predict(model.W, model.scaling, part.X, name, progress), part.y)
        for name, part in parts.items()
        if len(part)
    }


def grows(losses: NDArray[np.float64]) -> bool:
    """Return whether the losses (S,) of a training grow from each quarter of the steps to the next, and at least twice.

    Losses that are noisy, or that jump at first and stay there, do not grow in this sense.
    """
    if len(losses) < 4:
        return False
    quarters = [float(np.median(part)) for part in np.array_split(losses, 4)]
    return quarters == sorted(set(quarters)) and quarters[-1] > 2 * max(quarters[0], float(losses[0]))


class _Run:
    """State of one training."""

    def __init__(
        self,
        splits: LabelledSplits,
        recipe: Recipe,
        resume: Model | None,
        fingerprint: str,
        checkpoint: Callable[[Model], None],
        progress: ProgressCallback,
    ) -> None:
        self.splits, self.checkpoint, self.progress = splits, checkpoint, progress
        if resume is None:
            from lcbench.losses import jit  # imports Numba, which takes too long before an error message

            shape = (splits.train.X.shape[1] + 1, len(splits.class_names))
            W = first_weights(recipe, shape)
            scaled = fit_scaling(recipe.scaling, splits.train.X, delayed(progress))
            resume = Model(
                recipe, W, scaled, splits.class_names, splits.image_shape, fingerprint, jit.thread_count(), Curves(),
                "unfinished", 0, W, None, {}, splits.feature_names,
            )  # fmt: skip
        elif resume.fingerprint != fingerprint:
            raise LcbenchError(f"the model was trained on different data from this {splits.source}: train a new one")
        if recipe.patience and not len(splits.validation):
            raise LcbenchError(f"{splits.source} has no validation rows for early stopping: leave patience out")
        self.model = resume
        rows = len(splits.train)
        evaluated = np.random.default_rng([recipe.seed, 5]).permutation(rows)[:EVALUATED_TRAINING_ROWS]
        self.evaluated_train = Examples(splits.train.X[evaluated], splits.train.y[evaluated])
        self.seconds = float(resume.curves.seconds[-1]) if resume.curves.seconds.size else 0.0
        self.last_checkpoint = self.began = perf_counter()

    def solve(self, implementation: Implementation | None) -> None:
        """Run the solver, from the state of the model, until it ends."""
        model = self.model
        restarts = model.recipe.solver == "lbfgs"
        start = Position(0 if restarts else model.step, model.last_W, np.empty(0), model.velocity)
        if restarts or not model.curves.steps.size:
            start = replace(start, W=first_weights(model.recipe, model.W.shape))
            self.model = replace(model, curves=Curves(), step=0)
            self._advance(start)
            self._evaluate()
            self.last_checkpoint = -inf  # a mistake is found in the first steps, so the first checkpoint is after them
        objective = Objective(model.recipe, self.splits.train, model.scaling, implementation)
        warm_up(objective, start)
        if is_user_code(model.recipe.implementation) and (wrong := objective.mismatch(start.W)):
            raise WrongResultError(f"{model.recipe.implementation} is wrong on the first rows of the data: {wrong}")
        self.began = perf_counter()
        try:
            SOLVERS[model.recipe.solver](objective, start, self._report)
        except (KeyboardInterrupt, LcbenchError):
            if self.model.step > start.step:
                self.checkpoint(self.model)
            raise

    def finished_model(self) -> Model:
        """Return the model with its final status and its accuracy on every split."""
        model = self.model
        status: Status = "finished" if model.status == "unfinished" else model.status
        # With early stopping, the weights are those of the best evaluation, before the loss grew.
        if status == "finished" and not model.recipe.patience and grows(model.curves.losses):
            status = "diverged"
        return replace(model, status=status, accuracy=accuracies(model, self.splits, delayed(self.progress)))

    def _report(self, position: Position) -> bool:
        """Record a position of the solver; return whether it is to continue."""
        self.seconds += perf_counter() - self.began
        self._advance(position)
        if position.evaluate:
            self._evaluate()
        if not (np.isfinite(position.losses).all() and np.isfinite(position.W).all()):
            self.model = replace(self.model, status="diverged")
        elif self._patience_exhausted():
            self.model = replace(self.model, status="stopped early")
        elif perf_counter() - self.last_checkpoint > SECONDS_BETWEEN_CHECKPOINTS:
            self.checkpoint(self.model)
            self.last_checkpoint = perf_counter()
        self.began = perf_counter()
        return self.model.status == "unfinished"

    def _advance(self, position: Position) -> None:
        model = self.model
        self.model = replace(
            model,
            curves=replace(model.curves, losses=np.append(model.curves.losses, position.losses)),
            # With early stopping, W holds the best weights that were evaluated.
            W=model.W if model.recipe.patience else position.W,
            step=position.step,
            last_W=position.W,
            velocity=position.velocity,
        )

    def _evaluate(self) -> None:
        """Evaluate the accuracies of the last weights and append them to the curves."""
        model, before = self.model, self.model.curves
        with one_blas_thread():
            train, validation = (
                accuracy(predict(model.last_W, model.scaling, part.X), part.y)
                for part in (self.evaluated_train, self.splits.validation)
            )
        curves = replace(
            before,
            steps=np.append(before.steps, model.step),
            train_accuracy=np.append(before.train_accuracy, train),
            validation_accuracy=np.append(before.validation_accuracy, validation),
            seconds=np.append(before.seconds, self.seconds),
        )
        best = not before.steps.size or validation > before.validation_accuracy.max()
        self.model = replace(model, curves=curves, W=model.last_W if best or not model.recipe.patience else model.W)
        loss = f"loss {curves.losses[-1]:.4g}, " if curves.losses.size else ""
        on_validation = f", validation {100 * validation:.1f} %" if len(self.splits.validation) else ""
        self.progress(f"step {model.step:,}: {loss}train {100 * train:.1f} %{on_validation}")
        self.progress("steps", model.step, model.recipe.iterations)

    def _patience_exhausted(self) -> bool:
        accuracies, patience = self.model.curves.validation_accuracy, self.model.recipe.patience
        return bool(patience and len(accuracies) - 1 - int(np.argmax(accuracies)) >= patience)
