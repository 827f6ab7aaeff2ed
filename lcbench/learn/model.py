"""A trained model: weights, what they are applied to, how they came about. Its file is written and read here only."""

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
    """How training went.

    losses (S,) float64: of each step. steps (K,) int64: after which the rest was looked at, 0 first;
    train_accuracy (on a thousand rows), validation_accuracy, and seconds spent in steps until then: (K,) float64.
    """

    losses: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    steps: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    train_accuracy: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    validation_accuracy: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    seconds: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class Model:
    """W (D + 1, C): the weights to use, bias last; they are applied to rows as `scaling` leaves them.

    step, last_W, velocity: where the solver was, to go on from. fingerprint: of the data. threads: that computed.
    accuracy: by split, of W, on all rows of it; empty until training has ended. feature_names: of the columns of X,
    where they have names.
    """

    recipe: Recipe
    W: NDArray[Any]
    scaling: Scaling
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int] | None
    fingerprint: str
    threads: int
    curves: Curves
    status: Status
    step: int
    last_W: NDArray[Any]
    velocity: NDArray[Any] | None
    accuracy: dict[str, float]
    feature_names: tuple[str, ...] = ()


def write(path: Path, model: Model) -> None:
    """Writes the model to `path`, whole or not at all. Raises LcbenchError where it cannot be written."""
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
    """The model in `path`. Raises LcbenchError where there is none, or it is damaged or of a newer format."""
    with _opened(path) as file:
        attributes = file.attrs
        status = attributes["status"]
        if status not in get_args(Status):
            raise ValueError(f"its status is {status!r}")
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
            raise ValueError("its arrays do not fit together")
        return model


def require_free(path: Path) -> None:
    """Raises LcbenchError where a model at `path` would take the place of anything but a finished model."""
    if not path.exists():
        return
    try:
        found = read(path)
    except LcbenchError:
        raise LcbenchError(f"{path} is there and is no model: name another file") from None
    if found.status == "unfinished":
        raise LcbenchError(
            f"{path} is a training that was broken off: --resume {path} goes on; remove it, or name another file"
        )


def newest() -> Path:
    """The file of the model that was begun last, of those that were given no name. Raises LcbenchError without one."""
    found = sorted(files.models_folder().glob("*.h5"))
    if not found:
        raise LcbenchError(f"no model in {files.models_folder()}: 'lcbench train' makes one, or name a file")
    return found[-1]


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """The file, if it is a model. Whatever is wrong with it becomes one line."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise LcbenchError(f"no model {path}: it {what}; 'lcbench train' makes one")
    if not os.access(path, os.R_OK):
        raise LcbenchError(f"cannot read {path}: permission denied")
    import h5py

    try:
        with h5py.File(path) as file:
            if file.attrs.get("format") != FORMAT:
                raise LcbenchError(f"{path} is an HDF5 file, but no model: 'lcbench train' makes one")
            found = file.attrs["format_version"]
            if found > FORMAT_VERSION:
                raise LcbenchError(f"{path} has format {found}, this lcbench reads up to {FORMAT_VERSION}: upgrade it")
            yield file
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, msgspec.MsgspecError) as error:
        # all of these are ways in which h5py meets damage
        reason = " ".join(str(error).split())
        raise LcbenchError(f"{path} is no model, or damaged: {reason}") from error
