"""The data that a recipe names."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter
from types import FrameType

import numpy as np

from lcbench.datasets.examples import Examples, LabelledSplits, load_splits
from lcbench.datasets.preprocessing import scaling
from lcbench.errors import LcbenchError
from lcbench.learn.evaluation import accuracy, predict
from lcbench.learn.model import Curves, Model, Status
from lcbench.learn.objective import Objective
from lcbench.learn.recipe import Recipe
from lcbench.learn.solvers import SOLVERS, Position, first_weights, one_blas_thread, warm_up
from lcbench.progress import NoteCallback, ProgressCallback, delayed, no_note, no_progress


def splits_of(
    recipe: Recipe,
    progress: ProgressCallback = no_progress,
    stream: bool | None = False,
    note: NoteCallback = no_note,
) -> LabelledSplits:
    """What is trained on by a recipe. Raises LcbenchError where it is missing or unfit.

    stream, progress, note: as `lcbench.datasets.examples.load_splits` takes them.
    """
    return load_splits(
        recipe.data, recipe.features, label=recipe.label, words=recipe.words, seed=recipe.seed, stream=stream,
        progress=progress, note=note,
    )  # fmt: skip


# Code that must not be stopped half-way.

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Within it, Ctrl-C and SIGTERM wait; at its end they do what they would have done.

    While Numba compiles, LLVM calls Python back, and what is raised in there is lost: the signal with it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    before = {number: signal.signal(number, lambda *arguments: came.append(arguments)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0][0])


# Training from the first weights, or from where it was broken off, to a model.

WATCHED_TRAINING_ROWS = 1000
"""On which the training accuracy is looked at meanwhile."""

SECONDS_BETWEEN_CHECKPOINTS = 5.0


def train(
    splits: LabelledSplits,
    recipe: Recipe,
    *,
    resume: Model | None = None,
    fingerprint: str | None = None,
    checkpoint: Callable[[Model], None] = lambda model: None,
    progress: ProgressCallback = no_progress,
) -> Model:
    """Trains by `recipe` on `splits`; goes on from `resume` where one is given.

    fingerprint: of `splits`, where it is known already. checkpoint: is given the unfinished model at the start and
    every few seconds. progress: is told of the steps with the accuracies, and of long passes over the data before and
    after them.
    Raises LcbenchError where `resume` was made from other data.
    """
    # weights that leave the range of their type are told as divergence, once
    with np.errstate(all="ignore"):
        run = _Run(splits, recipe, resume, fingerprint or splits.fingerprint(delayed(progress)), checkpoint, progress)
        if run.model.status == "unfinished":
            run.go()
        return run.finished()


class _Run:
    """One training, from one look to the next."""

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
            from lcbench.losses import jit  # brings Numba, for which no refusal waits

            shape = (splits.train.X.shape[1] + 1, len(splits.class_names))
            W = first_weights(recipe, shape)
            scaled = scaling(recipe.scaling, splits.train.X, delayed(progress))
            resume = Model(
                recipe, W, scaled, splits.class_names, splits.image_shape, fingerprint, jit.thread_count(), Curves(),
                "unfinished", 0, W, None, {}, splits.feature_names,
            )  # fmt: skip
        elif resume.fingerprint != fingerprint:
            raise LcbenchError(f"the model was trained on other data than this {splits.source}: train it anew")
        if recipe.patience and not len(splits.validation):
            raise LcbenchError(f"{splits.source} has no validation rows to stop early by: leave the patience out")
        self.model = resume
        rows = len(splits.train)
        watched = np.random.default_rng([recipe.seed, 5]).permutation(rows)[:WATCHED_TRAINING_ROWS]
        self.watched = Examples(splits.train.X[watched], splits.train.y[watched])
        self.seconds = float(resume.curves.seconds[-1]) if resume.curves.seconds.size else 0.0
        self.last_checkpoint = self.began = perf_counter()

    def go(self) -> None:
        """Runs the solver from where the model is until it ends."""
        model = self.model
        restarts = model.recipe.solver == "lbfgs"
        start = Position(0 if restarts else model.step, model.last_W, np.empty(0), model.velocity)
        if restarts or not model.curves.steps.size:
            start = replace(start, W=first_weights(model.recipe, model.W.shape))
            self.model = replace(model, curves=Curves(), step=0)
            self._advance(start)
            self._look()
            self.checkpoint(self.model)
        objective = Objective(model.recipe, self.splits.train, model.scaling)
        with uninterrupted():
            warm_up(objective, start)
        self.began = perf_counter()
        try:
            SOLVERS[model.recipe.solver](objective, start, self._report)
        except KeyboardInterrupt:
            self.checkpoint(self.model)
            raise

    def _report(self, position: Position) -> bool:
        """Takes in where the solver is; answers whether it shall go on."""
        self.seconds += perf_counter() - self.began
        self._advance(position)
        if position.look:
            self._look()
        if not (np.isfinite(position.losses).all() and np.isfinite(position.W).all()):
            self.model = replace(self.model, status="diverged")
        elif self._waited_in_vain():
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
            # where training may stop early, the weights to use are the best that were looked at
            W=model.W if model.recipe.patience else position.W,
            step=position.step,
            last_W=position.W,
            velocity=position.velocity,
        )

    def _look(self) -> None:
        model, before = self.model, self.model.curves
        with one_blas_thread():
            train, validation = (
                accuracy(predict(model.last_W, model.scaling, part.X), part.y)
                for part in (self.watched, self.splits.validation)
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
        loss = f"loss {curves.losses[-1]:.4g}  " if curves.losses.size else ""
        chosen_by = f"  validation {100 * validation:.1f} %" if len(self.splits.validation) else ""
        detail = f"{loss}train {100 * train:.1f} %{chosen_by}"
        self.progress("steps", model.step, model.recipe.iterations, detail)

    def _waited_in_vain(self) -> bool:
        accuracies, patience = self.model.curves.validation_accuracy, self.model.recipe.patience
        return bool(patience and len(accuracies) - 1 - int(np.argmax(accuracies)) >= patience)

    def finished(self) -> Model:
        """The model as it is at the end, with its accuracy on every split."""
        model = self.model
        status: Status = "finished" if model.status == "unfinished" else model.status
        return replace(model, status=status, accuracy=accuracies(model, self.splits, delayed(self.progress)))


def accuracies(model: Model, splits: LabelledSplits, progress: ProgressCallback = no_progress) -> dict[str, float]:
    """Accuracy of the model on all rows of each split. progress: is told how far each has been predicted."""
    parts: dict[str, Examples] = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {
        name: accuracy(predict(model.W, model.scaling, part.X, name, progress), part.y)
        for name, part in parts.items()
        if len(part)
    }
