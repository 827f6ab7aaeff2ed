"""Download of a CIFAR-10 archive, and its conversion to the HDF5 file.

urllib3 retries a request that the server refuses temporarily. This module adds resumption: an interrupted download
continues where it stopped.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from time import sleep
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from lcbench import units
from lcbench.datasets import store
from lcbench.datasets.archives import Archive, ArchiveError, read_archive
from lcbench.datasets.cifar10 import CIFAR10, Dataset, Layout
from lcbench.errors import LcbenchError, one_line
from lcbench.progress import NoteCallback, ProgressCallback, delayed, no_progress

_CONNECT_TIMEOUT_S = 10
_READ_TIMEOUT_S = 30
_LONGEST_PAUSE_S = 10
_ADVICE = "give another address with --url, or a local archive with --file"
_PROXY_ADVICE = "correct or unset HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, or list the host in NO_PROXY"


def fetch_dataset(
    destination: Path,
    *,
    url: str | None = None,
    file: Path | None = None,
    layout: Layout = "binary",
    note: NoteCallback,
    progress: ProgressCallback = no_progress,
    dataset: Dataset = CIFAR10,
) -> Archive:
    """Download an archive, verify it, write it to `destination` as HDF5, and return it.

    The archive is the local `file` or folder, or is downloaded from `url`, or from the official site in the given
    layout. A downloaded archive is stored in the folder of `destination` and removed after use, and also if it is not a
    valid one, so that the next call starts from the beginning. Raise LcbenchError and leaves `destination` unchanged.
    """
    if file is not None:
        try:
            archive = _read(file, note, dataset)
        except ArchiveError as error:
            raise LcbenchError(f"{error}; give another archive, or leave out --file to download one") from error
        store.write(destination, archive, file.resolve().name, dataset)
        return archive

    url = _archive_url(url, layout, dataset)
    note(f"fetching {_without_credentials(url)}")
    partial = PartialDownload(destination.parent, url)
    fetch_archive(url, partial, note, progress, most=_most_bytes(dataset))
    try:
        archive = _read(partial.path, note, dataset)
    except ArchiveError as error:
        partial.discard()
        raise LcbenchError(
            f"{error}; it came from {_without_credentials(url)} and was removed: try again, or {_ADVICE}"
        ) from error
    store.write(destination, archive, _without_credentials(url), dataset)
    partial.discard()
    return archive


def _read(path: Path, note: NoteCallback, dataset: Dataset) -> Archive:
    note(f"reading and verifying {path}")
    archive = read_archive(path, dataset)
    if not archive.official:
        note("it is a repacked archive or a folder: not the official file, but every batch in it is the official one")
    return archive


def _archive_url(url: str | None, layout: Layout, dataset: Dataset) -> str:
    official = dataset.archives[layout].url
    if url is None:
        return official
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise LcbenchError(f"--url {url} is not an address: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise LcbenchError(f"--url {url} is not an http:// or https:// address; a local archive goes with --file")
    return url + PurePosixPath(urlsplit(official).path).name if url.endswith("/") else url


def _most_bytes(dataset: Dataset) -> int:
    """Return the largest size of an archive that is downloaded: its images, unpacked, and a quarter of that."""
    return dataset.nbytes * 5 // 4 + (1 << 20)


@contextmanager
def alone(folder: Path, note: NoteCallback) -> Iterator[None]:
    """Let one process at a time into the block for `folder`, which is created. `note` is called before a wait.

    The lock is that of the operating system on the folder, so that it ends with the process. Where folders have no
    locks, such as on some network file systems, the block is entered at once.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror or error
        raise LcbenchError(f"cannot write to the folder {folder}: {reason}; LCBENCH_DATA names another one") from error
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # Windows, or a folder that may not be listed
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(f"another download to {folder} is running: waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)


def fetch_archive(
    url: str,
    partial: PartialDownload,
    note: NoteCallback,
    progress: ProgressCallback,
    tries: int = 6,
    most: int = sys.maxsize,
) -> None:
    """Download `url` to ``partial.path`` without a check of the content.

    A later call continues the download. most: bytes above which the file is not stored. Raise LcbenchError if the
    server cannot be reached or refuses, if the file is too large, or if the connection breaks `tries` times. Ctrl-C
    keeps the partial file and calls `note`.
    """
    try:
        version = partial.version()
        if version is None or version.url != _without_credentials(url):
            partial.discard()
        partial.path.parent.mkdir(parents=True, exist_ok=True)
        with _session() as session:
            for left in reversed(range(tries)):
                if partial.complete():
                    return
                try:
                    with _request(session, url, partial) as response:
                        _receive(response, partial, progress, most)
                    return
                except urllib3.exceptions.HTTPError as error:
                    if not left:
                        raise LcbenchError(
                            f"the connection to {_host(url)} broke {tries} times ({_root_cause(error)}); "
                            f"{partial.summary()}; or {_ADVICE}"
                        ) from error
                    here = units.size(partial.size())
                    note(f"the connection broke at {here} ({_root_cause(error)}); trying again")
                    sleep(min(tries - left, _LONGEST_PAUSE_S))
    except KeyboardInterrupt:
        note(partial.summary())
        raise
    except OSError as error:
        raise LcbenchError(f"cannot write {error.filename or partial.path}: {error.strerror or error}") from error


@dataclass(frozen=True)
class RemoteVersion:
    """Version of the file on the server, so that a changed file is not appended to a part of the old one.

    validator: ETag or Last-Modified as the server sent it, empty if it sent neither. size: bytes, if known.
    """

    url: str
    validator: str
    size: int | None


class PartialDownload:
    """Received part of an archive, ``<name>.part``, and the version that it belongs to, ``<name>.part.json``.

    Both files may be removed: a user's own archive is called ``<name>``.
    """

    def __init__(self, folder: Path, url: str) -> None:
        parts = urlsplit(url)
        name = re.sub(r"[^\w.+-]", "_", PurePosixPath(unquote(parts.path)).name).lstrip(".") or "archive"
        self.path = folder / f"{name}.part"
        self._version_file = folder / f"{name}.part.json"

    def size(self) -> int:
        """Return the number of bytes received."""
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self) -> RemoteVersion | None:
        """Return the version that the part belongs to, None if unknown, so that the download cannot be continued."""
        try:
            return RemoteVersion(**json.loads(self._version_file.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def complete(self) -> bool:
        """Return whether the whole file was received."""
        version = self.version()
        return version is not None and version.size == self.size() > 0

    def start(self, version: RemoteVersion) -> None:
        """Replace the part by an empty one of `version`."""
        self.path.write_bytes(b"")
        self._version_file.write_text(json.dumps(asdict(version)), "utf-8")

    def discard(self) -> None:
        """Remove both files."""
        for path in (self.path, self._version_file):
            path.unlink(missing_ok=True)

    def summary(self) -> str:
        """Return one line on what was received and how to continue."""
        if not self.size():
            return "nothing was received yet"
        return f"{units.size(self.size())} are kept in {self.path}: run the same command again to continue"


def _request(session: requests.Session, url: str, partial: PartialDownload) -> requests.Response:
    """Return a response whose body is to be appended to the part. The part is emptied if the body is the whole file."""
    version, here = partial.version(), partial.size()
    if version and here:
        # With If-Range, the server sends the rest of the same file, or the whole of a changed one.
        condition = {"If-Range": version.validator} if version.validator else {}
        response = _get(session, url, {"Range": f"bytes={here}-", **condition})
        if response.status_code == 206 and _range(response) in ((here, version.size), (here, None)):
            return response
        if response.status_code in (206, 416):  # the rest of another file, or nothing left to send
            response.close()
            response = _get(session, url, {})
    else:
        response = _get(session, url, {})
    if response.status_code != 200:
        response.close()
        reason = "".join(character if character.isprintable() else "?" for character in response.reason or "")[:60]
        through = f" through {_proxy(url)}" if _proxy(url) else ""
        raise LcbenchError(f"{_without_credentials(url)} answers {response.status_code} {reason}{through}; {_ADVICE}")
    size = response.headers.get("Content-Length", "")
    partial.start(RemoteVersion(_without_credentials(url), _validator(response), int(size) if size.isdigit() else None))
    return response


def _receive(response: requests.Response, partial: PartialDownload, progress: ProgressCallback, most: int) -> None:
    version, here = partial.version(), partial.size()
    size = version.size if version and version.size else 0
    _require_size(size, partial, response, most)
    total, resumed = f" {units.size(size)}" if size else "", f", continuing at {units.size(here)}" if here else ""
    progress(f"downloading{total}{resumed}")
    report = delayed(progress)
    with partial.path.open("ab") as part:
        # Not decoded: some servers declare .gz as the encoding of the transfer.
        for piece in response.raw.stream(1 << 16, decode_content=False):
            here += len(piece)
            _require_size(here, partial, response, most)
            part.write(piece)
            part.flush()  # what a killed download has received is kept
            if size:
                report("downloading, KiB", -(-here // 1024), -(-size // 1024))
    if here == size:
        progress(f"downloaded {units.size(here)}")


def _require_size(size: int, partial: PartialDownload, response: requests.Response, most: int) -> None:
    if size > most:
        partial.discard()
        raise LcbenchError(
            f"{_without_credentials(response.url)} sends more than {units.size(most)}: it is not this archive; "
            f"{_ADVICE}"
        )


def _session() -> requests.Session:
    retries = urllib3.Retry(
        total=3,
        backoff_factor=0.3,
        status_forcelist=(429, 500, 502, 503, 504),
        raise_on_status=False,
        respect_retry_after_header=False,  # the header may ask for hours
    )
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=retries))
    session.mount("https://", HTTPAdapter(max_retries=retries))
    return session


def _get(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    headers = {"Accept-Encoding": "identity", **headers}
    try:
        return session.get(url, headers=headers, stream=True, timeout=(_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S))
    except requests.exceptions.ProxyError as error:
        raise LcbenchError(
            f"cannot reach {_host(url)} through {_proxy(url)}: {_root_cause(error)}; {_PROXY_ADVICE}"
        ) from error
    except requests.exceptions.InvalidProxyURL as error:
        raise LcbenchError(f"{_proxy(url)} is no address of a proxy; {_PROXY_ADVICE}") from error
    except requests.exceptions.SSLError as error:
        raise LcbenchError(
            f"cannot trust {_host(url)}: {_root_cause(error)}; {_certificates()}, or {_ADVICE}"
        ) from error
    except (requests.RequestException, ValueError) as error:
        raise LcbenchError(f"cannot reach {_host(url)}: {_root_cause(error)}; {_ADVICE}") from error
    except OSError as error:  # of a file of certificates that does not exist
        raise LcbenchError(f"cannot reach {_host(url)}: {one_line(error)}; {_certificates()}") from error


def _proxy(url: str) -> str:
    """Return what to call the proxy for `url`, with its address without password; empty if there is none."""
    address = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    return f"the proxy {address.rpartition('@')[2].rpartition('//')[2]}" if address else ""


def _certificates() -> str:
    """Return which variable names the file of trusted certificates, and what to do about it."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if value := os.environ.get(name):
            return f"{name} names {value}: correct it or unset it"
    return "REQUESTS_CA_BUNDLE can name a file of certificates to trust"


def _range(response: requests.Response) -> tuple[int, int | None] | None:
    """Return the first byte and the total size from ``Content-Range: bytes 100-199/200``."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if not match:
        return None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _validator(response: requests.Response) -> str:
    """Return the value for If-Range: a strong ETag (RFC 9110, 13.1.5), otherwise the date."""
    etag: str = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return etag
    date: str = response.headers.get("Last-Modified", "")
    return date


def _without_credentials(url: str) -> str:
    """Return the address without user name, password and query, for messages and files."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _root_cause(error: BaseException) -> str:
    """Return the message at the root of a chain of exceptions, such as "Connection refused"."""
    message = ""
    last = error
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            message = cause.strerror
        elif isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError):
            message = "no answer before the timeout"
        elif isinstance(cause, urllib3.exceptions.IncompleteRead):
            message = "fewer bytes than announced"
        last = cause
        cause = cause.__cause__ or cause.__context__
    return message or f"{type(last).__name__}: {last}".splitlines()[0]
