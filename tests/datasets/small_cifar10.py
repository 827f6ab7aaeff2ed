"""Small data set in the layouts of CIFAR-10: archives with 20 rows per batch, checksums, and a loopback server."""

import gzip
import hashlib
import io
import pickle
import re
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from lcbench.datasets.cifar10 import CIFAR10, Batch, Dataset, OfficialArchive

ROWS = 20
PIXELS = CIFAR10.pixels
NAMES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")


def records(name: str) -> np.ndarray:
    """Return a batch in the binary layout: (ROWS, 1 + PIXELS) uint8."""
    rng = np.random.default_rng(NAMES.index(name))
    table = rng.integers(0, 256, (ROWS, 1 + PIXELS), np.uint8)
    table[:, 0] %= 10
    return table


def arrays() -> dict[str, np.ndarray]:
    """Return the arrays that a correct reader returns."""
    train, test = np.concatenate([records(name) for name in NAMES[:5]]), records("test_batch")
    return {
        "train/images": train[:, 1:], "train/labels": train[:, 0],
        "test/images": test[:, 1:], "test/labels": test[:, 0],
    }  # fmt: skip


def binary_members() -> dict[str, bytes]:
    members = {f"cifar-10-batches-bin/{name}.bin": records(name).tobytes() for name in NAMES}
    return members | {"cifar-10-batches-bin/batches.meta.txt": b"airplane\n"}


def python_batch(name: str) -> dict[bytes, object]:
    table = records(name)
    return {
        b"batch_label": name.encode(),
        b"labels": table[:, 0].tolist(),
        b"data": np.ascontiguousarray(table[:, 1:]),
        b"filenames": [b"%05d.png" % row for row in range(ROWS)],
    }


def python_members(protocol: int = 2) -> dict[str, bytes]:
    return {f"cifar-10-batches-py/{name}": pickle.dumps(python_batch(name), protocol) for name in NAMES}


def pack(members: dict[str, bytes]) -> bytes:
    """Return a .tar.gz, with the same bytes in every call."""
    unpacked = io.BytesIO()
    with tarfile.open(fileobj=unpacked, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(unpacked.getvalue(), compresslevel=1, mtime=0)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _dataset() -> Dataset:
    batches = {name: Batch(name, ROWS, _sha256(records(name).tobytes())) for name in NAMES}
    binary, python = pack(binary_members()), pack(python_members())
    return Dataset(
        name="CIFAR-10 in small",
        class_names=CIFAR10.class_names,
        pixels=PIXELS,
        batches={"train": tuple(batches[name] for name in NAMES[:5]), "test": (batches["test_batch"],)},
        archives={
            "binary": OfficialArchive("http://127.0.0.1:1/small-binary.tar.gz", len(binary), _sha256(binary)),
            "python": OfficialArchive("http://127.0.0.1:1/small-python.tar.gz", len(python), _sha256(python)),
        },
        content={name: _sha256(array.tobytes()) for name, array in arrays().items()},
    )


SMALL = _dataset()


@dataclass
class Site:
    """File on a loopback server, the faults of the server, and the requests that it received.

    breaks: number of bytes of the body after which each response in turn closes the connection. stall: number of bytes
    of the body after which nothing is sent until it is set to None. length: whether Content-Length is sent. requests:
    Range header of each request.
    """

    content: bytes
    ranges: bool = True
    etag: str = '"1"'
    status: int = 200
    reason: str | None = None
    length: bool = True
    breaks: list[int] = field(default_factory=list)
    stall: int | None = None
    url: str = ""
    requests: list[str | None] = field(default_factory=list)
    sent: int = 0


@contextmanager
def serve(site: Site) -> Iterator[Site]:
    """Serve `site` at ``site.url`` inside the with block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            site.requests.append(wanted)
            if site.status != 200:
                self.send_error(site.status, site.reason)
                return
            body, status = site.content, 200
            condition = self.headers["If-Range"]
            # RFC 9110, 13.1.5: a weak ETag never fulfils the condition.
            if site.ranges and wanted and (condition is None or condition == site.etag.removeprefix("W/")):
                start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
                if start >= len(site.content):
                    self.send_error(416)
                    return
                body, status = site.content[start:], 206
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{len(site.content) - 1}/{len(site.content)}")
            if site.etag:
                self.send_header("ETag", site.etag)
            if site.length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if site.stall is not None:
                self.wfile.write(body[: site.stall])
                while site.stall is not None:
                    time.sleep(0.01)
                return
            cut = site.breaks.pop(0) if site.breaks else len(body)
            site.sent += len(body[:cut])
            self.wfile.write(body[:cut])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}/small.tar.gz"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


def names(folder: Path) -> list[str]:
    """Return the sorted names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())
