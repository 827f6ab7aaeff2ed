"""Trained model: its weights, scaling and training history, and reading and writing of the model file (HDF5)."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from lcbench import files
from lcbench.datasets.preprocessing import Scaling
from lcbench.errors import LcbenchError
from lcbench.learn.recipe import Recipe

if TYPE_CHECKING:
    import h5py

FORMAT = "lcbench model"
FORMAT_VERSION = 1

Status = Literal["unfinished", "finished", "stopped early", "diverged"]


@dataclass(frozen=True)
class Curves:
    """History of a training."""

    losses: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Loss of each step, (S,)."""
    steps: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Steps after which the accuracies were evaluated, (K,), starting with 0."""
    train_accuracy: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Accuracy on a sample of 1,000 training rows, (K,)."""
    validation_accuracy: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Accuracy on the validation rows, (K,)."""
    seconds: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Time spent in steps up to each evaluation, (K,)."""


@dataclass(frozen=True)
class Model:
    """Model, trained or still in training."""

    recipe: Recipe
    W: NDArray[Any]
    """Weights to predict with, (D + 1, C), with the bias in the last row. They apply to scaled rows."""
    scaling: Scaling
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int] | None
    fingerprint: str
    """Fingerprint of the data."""
    threads: int
    """Number of threads used in training."""
    curves: Curves
    status: Status
    step: int
    """Step of the solver, from which training resumes with `last_W` and `velocity`."""
    last_W: NDArray[Any]
    """Last weights of the solver, (D + 1, C). With early stopping, W may be earlier weights."""
    velocity: NDArray[Any] | None
    """Velocity of SGD, (D + 1, C)."""
    accuracy: dict[str, float]
    """Accuracy of W by split, on all rows; empty until training has ended."""
    feature_names: tuple[str, ...] = ()
    """Names of the columns of X, if they have names."""


def write(path: Path, model: Model) -> None:
    """Write the model to `path`, whole or not at all. Raise LcbenchError if it cannot be written."""
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs.update(
            {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "recipe": msgspec.json.encode(model.recipe).decode(),
                "status": model.status,
                "step": model.step,
                "fingerprint": model.fingerprint,
                "threads": model.threads,
                "image_shape": model.image_shape or (),
            }
        )
        for name in ("class_names", "feature_names"):
            file.create_dataset(name, data=list(getattr(model, name)), dtype=h5py.string_dtype())
        arrays = {"W": model.W, "last_W": model.last_W, "velocity": model.velocity}
        arrays |= {f"scaling/{name}": array for name, array in vars(model.scaling).items()}
        arrays |= {f"curves/{name}": array for name, array in vars(model.curves).items()}
        for name, array in arrays.items():
            if array is not None:
                file.create_dataset(name, data=array, fletcher32=array.size > 0, chunks=array.size > 0 or None)
        file.create_group("accuracy").attrs.update(model.accuracy)
    files.write_file(path, content.getbuffer(), "; --output names another file")


def read(path: Path) -> Model:
    """Return the model in `path`. Raise LcbenchError if the file is missing, damaged or of a newer format."""
    with _open(path) as file:
        attributes = file.attrs
        status = attributes["status"]
        if status not in get_args(Status):
            raise ValueError(f"the status is {status!r}")
        image_shape = tuple(int(size) for size in attributes["image_shape"])
        model = Model(
            recipe=msgspec.json.decode(attributes["recipe"], type=Recipe),
            W=file["W"][()],
            scaling=Scaling(**{name: array[()] for name, array in file["scaling"].items()}),
            class_names=tuple(file["class_names"].asstr()[()]),
            feature_names=tuple(file["feature_names"].asstr()[()]),
            image_shape=image_shape if len(image_shape) == 3 else None,
            fingerprint=attributes["fingerprint"],
            threads=int(attributes["threads"]),
            curves=Curves(**{name: array[()] for name, array in file["curves"].items()}),
            status=status,
            step=int(attributes["step"]),
            last_W=file["last_W"][()],
            velocity=file["velocity"][()] if "velocity" in file else None,
            accuracy={name: float(value) for name, value in file["accuracy"].attrs.items()},
        )
        D, C = model.W.shape
        if model.last_W.shape != (D, C) or model.scaling.mean.shape != (D - 1,) or len(model.class_names) != C:
            raise ValueError("the shapes of its arrays do not match")
        return model


def require_free(path: Path) -> None:
    """Raise LcbenchError if `path` exists and is not a finished model, which may be overwritten."""
    if not path.exists():
        return
    try:
        found = read(path)
    except LcbenchError:
        raise LcbenchError(f"{path} exists and is not a model: name another file") from None
    if found.status == "unfinished":
        raise LcbenchError(
            f"{path} is an interrupted training: --resume {path} continues it; remove it, or name another file"
        )


def newest() -> Path:
    """Return the newest model file that lcbench named itself. Raise LcbenchError if there is none."""
    found = sorted(files.models_folder().glob("*.h5"))
    if not found:
        raise LcbenchError(f"no model in {files.models_folder()}: 'lcbench train' makes one, or name a file")
    return found[-1]


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    """Open the model file. Every failure is raised as an LcbenchError with one line."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise LcbenchError(f"no model {path}: it {what}; 'lcbench train' makes one")
    if not os.access(path, os.R_OK):
        raise LcbenchError(f"cannot read {path}: permission denied")
    import h5py

    try:
        with h5py.File(path) as file:
            if file.attrs.get("format") != FORMAT:
                raise LcbenchError(f"{path} is an HDF5 file, but not a model: 'lcbench train' makes one")
            found = file.attrs["format_version"]
            if found > FORMAT_VERSION:
                raise LcbenchError(f"{path} has format {found}, this lcbench reads up to {FORMAT_VERSION}: upgrade it")
            yield file
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, msgspec.MsgspecError) as error:
        # h5py raises all of these for damaged files.
        reason = " ".join(str(error).split())
        raise LcbenchError(f"{path} is not a model, or damaged: {reason}") from error
