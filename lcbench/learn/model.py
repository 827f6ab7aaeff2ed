"""Trained model: its weights, scaling and training history, and reading and writing of the model file (HDF5)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from lcbench import files
from lcbench.datasets import hdf5
from lcbench.datasets.preprocessing import Scaling
from lcbench.errors import LcbenchError, one_line
from lcbench.learn.recipe import Recipe
from lcbench.progress import NoteCallback, no_note

if TYPE_CHECKING:
    import h5py

FORMAT = "lcbench model"
FORMAT_VERSION = 1

_ADVICE = "'lcbench train' makes one"

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
    written: str = ""
    """Time at which the file was written, UTC, ISO 8601; empty for a model that was not read from a file."""


def write(path: Path, model: Model, hint: str = "; --output names another file") -> None:
    """Write the model to `path`, whole or not at all. Raise LcbenchError, which ends in `hint`, if that fails."""
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w", libver=("v110", "v110")) as file:  # its metadata has checksums
        hdf5.set_attributes(
            file,
            {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "recipe": msgspec.json.encode(model.recipe).decode(),
                "status": model.status,
                "step": model.step,
                "fingerprint": model.fingerprint,
                "threads": model.threads,
                "image_shape": model.image_shape or (),
                "written": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        )
        for name in ("class_names", "feature_names"):
            file.create_dataset(name, data=hdf5.fixed_text(getattr(model, name)))
        arrays = {"W": model.W, "last_W": model.last_W, "velocity": model.velocity}
        arrays |= {f"scaling/{name}": array for name, array in vars(model.scaling).items()}
        arrays |= {f"curves/{name}": array for name, array in vars(model.curves).items()}
        for name, array in arrays.items():
            if array is not None:
                file.create_dataset(name, data=array, fletcher32=array.size > 0, chunks=array.size > 0 or None)
        file.create_group("accuracy").attrs.update(model.accuracy)
    files.write_file(path, content.getbuffer(), hint)


def read(path: Path) -> Model:
    """Return the model in `path`. Raise LcbenchError if the file is missing, damaged or of a newer format."""
    with _open(path) as file:
        attributes = hdf5.attributes(file)
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
            written=str(attributes.get("written", "")),
        )
        _require_consistent(model)
        return model


def _require_consistent(model: Model) -> None:
    """Raise ValueError if a part of the model has another type or shape than the others need, or is out of range."""

    def require_array(name: str, array: Any, kinds: str, shape: tuple[int, ...]) -> None:
        if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds:
            raise ValueError(f"{name} is {getattr(array, 'dtype', type(array).__name__)}, and must be numbers")
        if array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}, and must have {shape}")

    if model.status not in get_args(Status):
        raise ValueError(f"the status is {model.status!r}")
    if np.ndim(model.W) != 2:
        raise ValueError(f"W has {np.ndim(model.W)} axes, and must have 2")
    D, C = model.W.shape
    for name, W in (("W", model.W), ("last_W", model.last_W), ("velocity", model.velocity)):
        if W is not None:
            require_array(name, W, "f", (D, C))
            if W.dtype not in (np.float32, np.float64):
                raise ValueError(f"{name} is {W.dtype}, and must be float32 or float64")
    for name, array in vars(model.scaling).items():
        require_array(f"scaling/{name}", array, "f", (D - 1,))
        if not np.isfinite(array).all():
            raise ValueError(f"scaling/{name} is not finite")
    if not (model.scaling.deviation > 0).all():
        raise ValueError("scaling/deviation is not positive")
    if len(model.class_names) != C or len(set(model.class_names)) != C:
        raise ValueError(f"it has {len(set(model.class_names))} different names for {C} classes")
    if len(model.feature_names) not in (0, D - 1):
        raise ValueError(f"it has {len(model.feature_names)} names for {D - 1} columns")
    if min(model.image_shape or (1,)) < 1:
        raise ValueError(f"its images have the shape {model.image_shape}")
    curves, looks = model.curves, np.shape(model.curves.steps)[:1]
    require_array("curves/losses", curves.losses, "f", np.shape(curves.losses)[:1])
    require_array("curves/steps", curves.steps, "iu", looks)
    for name in ("train_accuracy", "validation_accuracy", "seconds"):
        require_array(f"curves/{name}", getattr(curves, name), "f", looks)
    if curves.steps.size and (curves.steps[0] < 0 or (np.diff(curves.steps) <= 0).any()):
        raise ValueError("curves/steps does not increase from 0")
    if not 0 <= model.step <= model.recipe.iterations or model.step != len(curves.losses):
        raise ValueError(f"it is at step {model.step}, of {model.recipe.iterations}, with {len(curves.losses)} losses")
    if model.threads < 1:
        raise ValueError(f"it has {model.threads} threads")
    if not all(0 <= value <= 1 or value != value for value in model.accuracy.values()):
        raise ValueError("an accuracy is outside 0 to 1")


def require_free(path: Path, force: bool = False) -> None:
    """Raise LcbenchError if `path` exists and may not be replaced: only a model may be, and only with `force`."""
    if not path.exists():
        return
    try:
        found = read(path)
    except hdf5.DamagedFileError:
        raise LcbenchError(f"{path} exists and is not a model: name another file") from None
    if force:
        return
    if found.status == "unfinished":
        raise LcbenchError(
            f"{path} is an interrupted training: --resume {path} continues it, and --force replaces it; or name "
            "another file"
        )
    raise LcbenchError(f"{path} is a model already: --force replaces it; or name another file")


def newest(note: NoteCallback = no_note) -> Path:
    """Return the newest model file that lcbench named itself and whose training has ended with usable weights.

    note: called with what was passed over. Raise LcbenchError if there is none.
    """
    passed: list[str] = []
    for path in reversed(files.stored(files.models_folder(), ".h5")):
        try:
            status = read(path).status
        except LcbenchError as error:
            passed.append(str(error))
            continue
        if status in ("finished", "stopped early"):
            if passed:
                more = f", and {len(passed) - 1} more" if len(passed) > 1 else ""
                note(f"passed over newer models: {passed[0]}{more}")
            return path
        passed.append(f"{path} is {'an interrupted training' if status == 'unfinished' else 'a diverged training'}")
    only = f" with usable weights ({passed[0]})" if passed else ""
    raise LcbenchError(f"no model in {files.models_folder()}{only}: 'lcbench train' makes one, or name a file")


def best(note: NoteCallback = no_note) -> Path:
    """Return the model with the best validation accuracy among the finished ones on the data of the newest one.

    On ties, it is the newest one. Without a finished model, or without validation rows, it is `newest`. note: called
    with what was passed over.
    """
    last = newest(note)
    chosen, best_accuracy = last, -1.0
    wanted: tuple[str, list[str]] | None = None
    for path in reversed(files.stored(files.models_folder(), ".h5")):
        try:
            model = read(path)
        except LcbenchError:
            continue
        kind = model.recipe.data, [*model.recipe.features]
        wanted = wanted or kind
        accuracy = model.accuracy.get("validation", -1.0) if model.status == "finished" else -1.0
        if kind == wanted and accuracy > best_accuracy:
            chosen, best_accuracy = path, accuracy
    return chosen


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    """Open the model file. Every failure is raised as an LcbenchError with one line."""
    if not path.exists():
        raise LcbenchError(f"no model {path}: it does not exist; {_ADVICE}")
    try:
        with hdf5.open_file(path, _ADVICE) as file:
            hdf5.require_only_own_data(path, file)
            attributes = hdf5.attributes(file)
            if attributes.get("format") != FORMAT:
                raise hdf5.DamagedFileError(f"{path} is an HDF5 file, but not a model: {_ADVICE}")
            found = attributes["format_version"]
            if found > FORMAT_VERSION:
                raise LcbenchError(f"{path} has format {found}, this lcbench reads up to {FORMAT_VERSION}: upgrade it")
            yield file
    except msgspec.MsgspecError as error:
        raise hdf5.DamagedFileError(f"{path} is damaged: {one_line(error)}; {_ADVICE}") from error
