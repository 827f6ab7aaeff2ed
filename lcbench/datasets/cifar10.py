"""CIFAR-10: addresses, layouts and checksums of the official archives and of their content.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Layout = Literal["binary", "python"]
"""Official archives, which hold the same images: six files of fixed-size records, or six Python pickles."""

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class Batch:
    """File that holds a part of a split.

    name: member name in the python archive; the binary archive adds ".bin". sha256: checksum of the records in the
    binary layout: label, then pixels, one byte each.
    """

    name: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class OfficialArchive:
    """Archive on the official site. size: bytes."""

    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Dataset:
    """Data set in CIFAR-10's two layouts, identified by its checksums.

    pixels: number of values of an image: red, green and blue plane, each row by row. content: sha256 of the raw uint8
    bytes of "train/images", "train/labels", "test/images" and "test/labels".
    """

    name: str
    class_names: tuple[str, ...]
    pixels: int
    batches: Mapping[Split, tuple[Batch, ...]]
    archives: Mapping[Layout, OfficialArchive]
    content: Mapping[str, str]

    def rows(self, split: Split) -> int:
        """Return the number of images of a split."""
        return sum(batch.rows for batch in self.batches[split])

    @property
    def nbytes(self) -> int:
        """Bytes of all images and labels."""
        return sum(self.rows(split) for split in SPLITS) * (1 + self.pixels)


CIFAR10 = Dataset(
    name="CIFAR-10",
    class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    pixels=3 * 32 * 32,
    batches={
        "train": (
            Batch("data_batch_1", 10_000, "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
            Batch("data_batch_2", 10_000, "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
            Batch("data_batch_3", 10_000, "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
            Batch("data_batch_4", 10_000, "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
            Batch("data_batch_5", 10_000, "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
        ),
        "test": (Batch("test_batch", 10_000, "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),),
    },
    archives={
        "binary": OfficialArchive(
            url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            size=170_052_171,
            sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
        "python": OfficialArchive(
            url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            size=170_498_071,
            sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        ),
    },
    content={
        "train/images": "9d5c2eddadb0deff02c14c350c0385aab7b1d5ff1edfeb4997c8dc8644960111",
        "train/labels": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
        "test/images": "177777c33ba79825320efa646ad04a94bdc3c80e4ebe3bd21724f8cdfd4b9d56",
        "test/labels": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
    },
)
