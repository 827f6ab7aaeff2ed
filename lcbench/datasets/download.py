"""Brings a CIFAR-10 archive here, however often the connection breaks, and turns it into the HDF5 file.

urllib3 repeats a request that is refused for a moment. What it lacks is added here: a download that was broken off goes
on where it stopped.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from time import sleep
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from lcbench.datasets import store
from lcbench.datasets.archives import Archive, ArchiveError, read_archive
from lcbench.datasets.cifar10 import CIFAR10, Dataset, Layout
from lcbench.errors import LcbenchError
from lcbench.progress import NoteCallback, ProgressCallback, delayed, no_progress

_CONNECT_SECONDS = 10
_SILENCE_SECONDS = 30
_RECEIVE_BYTES = 1 << 16
_LONGEST_PAUSE_SECONDS = 10
_ADVICE = "name another address with --url, or a local archive with --file"


def obtain(
    destination: Path,
    *,
    url: str | None = None,
    file: Path | None = None,
    layout: Layout = "binary",
    report: NoteCallback,
    progress: ProgressCallback = no_progress,
    dataset: Dataset = CIFAR10,
) -> Archive:
    """Gets an archive, verifies it and writes it to `destination` as HDF5.

    The archive is `file`, or is fetched from `url`, or from its home in the given layout. A fetched one lies beside
    `destination` and is removed when it has served, or when it is not what it should be, so that the next call starts
    afresh. Raises LcbenchError, with `destination` as it was before.
    """
    if file is not None:
        try:
            archive = _read(file, report, dataset)
        except ArchiveError as error:
            raise LcbenchError(f"{error}; name another archive, or leave out --file to fetch one") from error
        store.write(destination, archive, file.name, dataset)
        return archive

    url = _archive_url(url, layout, dataset)
    report(f"fetching {_public(url)}")
    partial = Partial(destination.parent, url)
    fetch_archive(url, partial, report, progress)
    try:
        archive = _read(partial.path, report, dataset)
    except ArchiveError as error:
        partial.discard()
        raise LcbenchError(f"{error}; it came from {_public(url)} and was removed: try again, or {_ADVICE}") from error
    store.write(destination, archive, _public(url), dataset)
    partial.discard()
    return archive


def _read(path: Path, report: NoteCallback, dataset: Dataset) -> Archive:
    report(f"reading and verifying {path}")
    archive = read_archive(path, dataset)
    if not archive.official:
        report("it is a repacked archive: not the official file, but each batch in it is the official one")
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


def fetch_archive(url: str, partial: Partial, report: NoteCallback, progress: ProgressCallback, tries: int = 6) -> None:
    """Download `url` to ``partial.path``; its content is not looked at.

    A later call goes on from what has arrived. Raises LcbenchError where the server cannot be reached or refuses, or
    the connection broke `tries` times. Ctrl-C keeps what is there and says so.
    """
    try:
        version = partial.version()
        if version is None or version.url != _public(url):
            partial.discard()
        partial.path.parent.mkdir(parents=True, exist_ok=True)
        with _session() as session:
            for left in reversed(range(tries)):
                if partial.complete():
                    return
                try:
                    with _request(session, url, partial) as response:
                        _receive(response, partial, progress)
                    return
                except urllib3.exceptions.HTTPError as error:
                    if not left:
                        raise LcbenchError(
                            f"the connection to {_host(url)} broke {tries} times ({_innermost(error)}); "
                            f"{partial.kept()}; or {_ADVICE}"
                        ) from error
                    here = partial.size() / 1e6
                    report(f"the connection broke at {here:.1f} MB ({_innermost(error)}); trying again")
                    sleep(min(tries - left, _LONGEST_PAUSE_SECONDS))
    except KeyboardInterrupt:
        report(partial.kept())
        raise
    except OSError as error:
        raise LcbenchError(f"cannot write {error.filename or partial.path}: {error.strerror or error}") from error


@dataclass(frozen=True)
class Version:
    """Which file a server was sending, so that a changed one is not appended to the old.

    validator: its ETag or Last-Modified, as the server put it; empty where it gave neither. size: bytes, if known.
    """

    url: str
    validator: str
    size: int | None


class Partial:
    """What of an archive is here: ``<name>.part``, and beside it the version that it is a part of.

    A user's own archive that lies under the name ``<name>`` is neither, so both may be removed.
    """

    def __init__(self, folder: Path, url: str) -> None:
        parts = urlsplit(url)
        name = re.sub(r"[^\w.+-]", "_", PurePosixPath(unquote(parts.path)).name).lstrip(".") or "archive"
        self.path = folder / f"{name}.part"
        self._version_file = folder / f"{name}.part.json"

    def size(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self) -> Version | None:
        """What this is a part of; None where that is not known, so that there is nothing to go on from."""
        try:
            return Version(**json.loads(self._version_file.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def complete(self) -> bool:
        """All of it is here."""
        version = self.version()
        return version is not None and version.size == self.size() > 0

    def start(self, version: Version) -> None:
        """Begins an empty part of `version`."""
        self.path.write_bytes(b"")
        self._version_file.write_text(json.dumps(asdict(version)))

    def discard(self) -> None:
        """Removes all of it."""
        for path in (self.path, self._version_file):
            path.unlink(missing_ok=True)

    def kept(self) -> str:
        """One line on what is kept."""
        if not self.size():
            return "nothing has arrived yet"
        return f"{self.size() / 1e6:.1f} MB are kept in {self.path}: the same command goes on from there"


def _request(session: requests.Session, url: str, partial: Partial) -> requests.Response:
    """The response whose body is to be appended to the part, which is emptied where that is the whole file."""
    version, here = partial.version(), partial.size()
    if version and here:
        # With If-Range a server sends the rest of the file that we have begun, or the whole of a changed one.
        condition = {"If-Range": version.validator} if version.validator else {}
        response = _get(session, url, {"Range": f"bytes={here}-", **condition})
        if response.status_code == 206 and _range(response) in ((here, version.size), (here, None)):
            return response
        if response.status_code in (206, 416):  # the rest of another file, or of one that has no more
            response.close()
            response = _get(session, url, {})
    else:
        response = _get(session, url, {})
    if response.status_code != 200:
        response.close()
        raise LcbenchError(f"{_public(url)} answers {response.status_code} {response.reason}; {_ADVICE}")
    size = response.headers.get("Content-Length", "")
    partial.start(Version(_public(url), _validator(response), int(size) if size.isdigit() else None))
    return response


def _receive(response: requests.Response, partial: Partial, progress: ProgressCallback) -> None:
    version, here = partial.version(), partial.size()
    size = version.size if version and version.size else 0
    whole, rest = f" {size / 1e6:.1f} MB" if size else "", f", from {here / 1e6:.1f} MB on" if here else ""
    progress(f"downloading{whole}{rest}")
    slow = delayed(progress)
    with partial.path.open("ab") as part:
        # The bytes as sent: a server that takes .gz for an encoding of the transfer would have us unpack it.
        for piece in response.raw.stream(_RECEIVE_BYTES, decode_content=False):
            part.write(piece)
            here += len(piece)
            if size:
                slow("downloading, kB", -(-here // 1000), -(-size // 1000))
    if here == size:
        progress(f"downloaded {here / 1e6:.1f} MB")


def _session() -> requests.Session:
    retries = urllib3.Retry(
        total=3,
        backoff_factor=0.3,
        status_forcelist=(429, 500, 502, 503, 504),
        raise_on_status=False,
        respect_retry_after_header=False,  # it may ask for hours
    )
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=retries))
    session.mount("https://", HTTPAdapter(max_retries=retries))
    return session


def _get(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    headers = {"Accept-Encoding": "identity", **headers}
    try:
        return session.get(url, headers=headers, stream=True, timeout=(_CONNECT_SECONDS, _SILENCE_SECONDS))
    except (requests.RequestException, ValueError) as error:
        raise LcbenchError(f"cannot reach {_host(url)}: {_innermost(error)}; {_ADVICE}") from error


def _range(response: requests.Response) -> tuple[int, int | None] | None:
    """First byte and size of the whole, from ``Content-Range: bytes 100-199/200``."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if not match:
        return None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _validator(response: requests.Response) -> str:
    """What If-Range takes: a strong ETag (RFC 9110, 13.1.5), otherwise the date."""
    etag: str = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return etag
    date: str = response.headers.get("Last-Modified", "")
    return date


def _public(url: str) -> str:
    """The address without user name, password and query: what may be printed and stored."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _innermost(error: BaseException) -> str:
    """The operating system's words at the bottom of a chain of errors, such as "Connection refused"."""
    words = ""
    last = error
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            words = cause.strerror
        elif isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError):
            words = "no answer in time"
        elif isinstance(cause, urllib3.exceptions.IncompleteRead):
            words = "less arrived than was announced"
        last = cause
        cause = cause.__cause__ or cause.__context__
    return words or f"{type(last).__name__}: {last}".splitlines()[0]
