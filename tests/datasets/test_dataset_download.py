import hashlib
import json

import pytest

from lcbench import units
from lcbench.datasets import store
from lcbench.datasets.download import PartialDownload, fetch_archive, fetch_dataset
from lcbench.errors import LcbenchError
from lcbench.progress import no_progress
from small_cifar10 import SMALL, Site, binary_members, names, pack, python_members, serve

CONTENT = pack(binary_members())
HALF = len(CONTENT) // 2


@pytest.fixture(autouse=True)
def no_proxy_and_no_waiting(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the retries of urllib3
    monkeypatch.setattr("lcbench.datasets.download.sleep", lambda seconds: None)


class Lines(list):
    def __call__(self, line):
        assert "\n" not in line
        self.append(line)


@pytest.fixture
def lines():
    return Lines()


def fetch(site, folder, note=lambda line: None, progress=no_progress, tries=3):
    partial = PartialDownload(folder, site.url)
    fetch_archive(site.url, partial, note, progress, tries)
    return partial.path


def fetch_error(site, folder, **options):
    with pytest.raises(LcbenchError) as caught:
        fetch(site, folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_download_reports_its_progress(tmp_path, monkeypatch):
    monkeypatch.setattr("lcbench.progress.MIN_STAGE_S", -1.0)
    calls = []
    with serve(Site(CONTENT)) as site:
        archive = fetch(site, tmp_path / "data", progress=lambda *arguments: calls.append(arguments))
    assert archive.read_bytes() == CONTENT
    size, blocks = units.size(len(CONTENT)), -(-len(CONTENT) // 1024)
    assert (calls[0], calls[-1]) == ((f"downloading {size}",), (f"downloaded {size}",))
    assert calls[-2] == ("downloading, KiB", blocks, blocks, "")


def test_a_broken_connection_is_resumed(tmp_path, lines):
    with serve(Site(CONTENT, breaks=[HALF, 1000])) as site:
        archive = fetch(site, tmp_path, lines)
    assert archive.read_bytes() == CONTENT
    assert site.requests == [None, f"bytes={HALF}-", f"bytes={HALF + 1000}-"]
    assert site.sent == len(CONTENT)
    assert "fewer bytes than announced" in lines[0]
    assert "trying again" in lines[0]


def test_the_next_call_resumes_the_download(tmp_path):
    with serve(Site(CONTENT, breaks=[HALF])) as site:
        message = fetch_error(site, tmp_path, tries=1)
        assert f"kept in {tmp_path / 'small.tar.gz.part'}: run the same command again to continue" in message
        assert "--url" in message
        assert "--file" in message
        assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert site.requests == [None, f"bytes={HALF}-"]


def test_a_server_without_ranges_sends_the_whole_file_again(tmp_path):
    with serve(Site(CONTENT, breaks=[HALF], ranges=False)) as site:
        assert fetch(site, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("etag", ["", 'W/"1"'])
def test_a_server_without_a_strong_etag_sends_the_rest(tmp_path, etag):
    with serve(Site(CONTENT, breaks=[HALF], etag=etag)) as site:
        assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert site.sent == len(CONTENT)


@pytest.mark.parametrize(("etag", "old"), [('"2"', bytes(len(CONTENT))), ("", bytes(len(CONTENT) + 1))])
def test_a_file_that_changed_meanwhile_is_fetched_whole(tmp_path, etag, old):
    with serve(Site(old, etag=etag, breaks=[HALF])) as site:
        fetch_error(site, tmp_path, tries=1)
        site.content, site.etag = CONTENT, etag and '"3"'
        assert fetch(site, tmp_path).read_bytes() == CONTENT


def test_a_part_from_another_address_is_not_resumed(tmp_path):
    with serve(Site(b"other" * HALF, breaks=[HALF])) as site:
        fetch_error(site, tmp_path, tries=1)
    with serve(Site(CONTENT)) as mirror:
        assert fetch(mirror, tmp_path).read_bytes() == CONTENT
        assert mirror.requests == [None]


def test_a_complete_part_is_not_requested_again(tmp_path):
    with serve(Site(CONTENT)) as site:
        fetch(site, tmp_path)
        assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert len(site.requests) == 1


def test_a_part_longer_than_the_file_is_replaced(tmp_path):
    with serve(Site(CONTENT)) as site:
        partial = PartialDownload(tmp_path, site.url)
        fetch(site, tmp_path)
        partial.path.write_bytes(CONTENT + b"x")
        assert fetch(site, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("version", ["", "[]", "{}", '{"url": 1}', "\x00"])
def test_a_part_of_unknown_version_is_not_resumed(tmp_path, version):
    with serve(Site(CONTENT)) as site:
        partial = PartialDownload(tmp_path, site.url)
        partial.path.write_bytes(b"unknown")
        (tmp_path / "small.tar.gz.part.json").write_text(version)
        assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert site.requests == [None]


def test_a_connection_that_always_breaks_is_a_one_line_error(tmp_path, lines):
    with serve(Site(CONTENT, ranges=False, breaks=[100] * 9)) as site:
        message = fetch_error(site, tmp_path, note=lines, tries=3)
    assert "broke 3 times (fewer bytes than announced)" in message
    assert len(lines) == 2


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 4)])
def test_only_a_busy_server_is_asked_again(tmp_path, status, requests):
    with serve(Site(CONTENT, status=status)) as site:
        message = fetch_error(site, tmp_path)
    assert f"{site.url} answers {status} " in message
    assert "--url" in message
    assert "--file" in message
    assert len(site.requests) == requests
    assert names(tmp_path) == []


def test_the_reason_of_a_server_is_short_and_printable(tmp_path):
    with serve(Site(CONTENT, status=404, reason="\x1b[2J" + "no " * 2000)) as site:
        message = fetch_error(site, tmp_path)
    assert message.isprintable()
    assert len(message) < 300


@pytest.mark.parametrize("length", [True, False])
def test_a_server_that_sends_too_much_is_stopped(tmp_path, length):
    with serve(Site(bytes(3_000_000), length=length)) as site:
        with pytest.raises(LcbenchError, match=f"{site.url} sends more than .* MiB: it is not this archive; .*--file"):
            fetch_small(tmp_path / "cifar10.h5", url=site.url)
        assert names(tmp_path) == []


@pytest.mark.parametrize("proxy", ["http://me:secret@127.0.0.1:1", "127.0.0.1:1"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_is_named(tmp_path, monkeypatch, proxy, scheme):
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv(f"{scheme}_proxy", proxy)
    message = fetch_error(Site(b"", url=f"{scheme}://example.invalid/a.tar.gz"), tmp_path)
    assert message.startswith("cannot reach example.invalid through the proxy 127.0.0.1:1: ")
    assert "HTTPS_PROXY" in message
    assert "secret" not in message


def test_the_answer_of_a_proxy_is_not_blamed_on_the_server(tmp_path, monkeypatch):
    with serve(Site(CONTENT, status=407)) as proxy:
        monkeypatch.delenv("NO_PROXY")
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/small.tar.gz"))
        message = fetch_error(Site(b"", url="http://example.invalid/a.tar.gz"), tmp_path)
    assert "answers 407 Proxy Authentication Required through the proxy 127.0.0.1:" in message


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_bad_file_of_certificates_is_named_with_its_variable(tmp_path, monkeypatch, variable, content):
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(variable, str(bundle))
    message = fetch_error(Site(b"", url="https://127.0.0.1:1/a.tar.gz"), tmp_path / "data")
    if content is None:
        assert f"{variable} names {bundle}: correct it or unset it" in message
    assert "cannot write" not in message


@pytest.mark.parametrize(
    ("url", "start"),
    [
        ("http://127.0.0.1:1/a.tar.gz", "cannot reach 127.0.0.1:1: Connection refused"),
        ("http://no-such-host.invalid/a.tar.gz", "cannot reach no-such-host.invalid: "),
        ("http://user:secret@127.0.0.1:1/a.tar.gz?token=secret", "cannot reach 127.0.0.1:1: "),
    ],
)
def test_network_errors_are_one_line_without_secrets(tmp_path, url, start):
    message = fetch_error(Site(b"", url=url), tmp_path)
    assert message.startswith(start)
    assert "--file" in message
    assert "secret" not in message


def test_ctrl_c_keeps_the_part_and_says_so(tmp_path, lines, monkeypatch):
    def interrupt(stage, kilobytes=0, total=0, detail=""):
        if 1000 * kilobytes > HALF:
            raise KeyboardInterrupt

    monkeypatch.setattr("lcbench.progress.MIN_STAGE_S", -1.0)

    with serve(Site(CONTENT)) as site:
        with pytest.raises(KeyboardInterrupt):
            fetch(site, tmp_path, lines, interrupt)
        assert lines[-1].endswith("run the same command again to continue")
        assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert site.requests[1].startswith("bytes=")
    assert names(tmp_path) == ["small.tar.gz.part", "small.tar.gz.part.json"]


def test_a_file_in_place_of_the_folder_is_a_one_line_error(tmp_path):
    (tmp_path / "data").write_text("")
    with serve(Site(CONTENT)) as site:
        assert "cannot write" in fetch_error(site, tmp_path / "data")


def test_parts_of_unusual_addresses_stay_in_the_folder(tmp_path):
    for path in ("..", "%2e%2e%2f%2e%2e%2fetc", "%00", "", "a b.tar.gz?x=../y"):
        partial = PartialDownload(tmp_path, f"http://127.0.0.1/{path}")
        assert partial.path.resolve().parent == tmp_path.resolve()
        assert "\x00" not in partial.path.name


# From the archive to the HDF5 file


def fetch_small(destination, note=lambda line: None, **source):
    return fetch_dataset(destination, note=note, dataset=SMALL, **source)


def assert_is_small(destination):
    for name, expected in SMALL.content.items():
        split, kind = name.split("/")
        images, labels = store.read_split(destination, split, dataset=SMALL)
        assert hashlib.sha256(images if kind == "images" else labels).hexdigest() == expected


@pytest.mark.parametrize("layout", ["binary", "python"])
def test_an_archive_is_converted_and_removed(tmp_path, lines, layout):
    destination = tmp_path / "data" / "cifar10.h5"
    with serve(Site(CONTENT if layout == "binary" else pack(python_members()))) as site:
        archive = fetch_small(destination, lines, url=site.url)
    assert archive.layout == layout
    assert not any("repacked" in line for line in lines)
    assert_is_small(destination)
    assert store.origin(destination, SMALL).source == site.url
    assert names(destination.parent) == ["cifar10.h5"]


def test_a_repacked_archive_is_noted(tmp_path, lines):
    with serve(Site(pack({**binary_members(), "extra": b""}))) as site:
        fetch_small(tmp_path / "cifar10.h5", lines, url=site.url)
    assert any("repacked archive" in line for line in lines)
    assert_is_small(tmp_path / "cifar10.h5")


def test_a_folder_address_is_completed_by_the_archive_name(tmp_path):
    with serve(Site(pack(python_members()))) as site:
        fetch_small(tmp_path / "cifar10.h5", url=site.url.removesuffix("small.tar.gz"), layout="python")
    assert store.origin(tmp_path / "cifar10.h5", SMALL).source.endswith("/small-python.tar.gz")


def test_passwords_in_an_address_are_not_stored(tmp_path, lines):
    with serve(Site(CONTENT)) as site:
        fetch_small(
            tmp_path / "cifar10.h5", lines, url=site.url.replace("http://", "http://me:pa55word@") + "?token=pa55word"
        )
    assert store.origin(tmp_path / "cifar10.h5", SMALL).source == site.url
    assert "pa55word" not in json.dumps(lines)


FLIPPED = CONTENT[:HALF] + bytes([CONTENT[HALF] ^ 1]) + CONTENT[HALF + 1 :]


@pytest.mark.parametrize("content", [CONTENT[:HALF], FLIPPED, b"<html>Sign in</html>", b""])
def test_a_bad_archive_is_removed_and_the_old_file_kept(tmp_path, content):
    destination = tmp_path / "cifar10.h5"
    destination.write_bytes(b"older")
    with serve(Site(content)) as site:
        with pytest.raises(LcbenchError, match=f"came from {site.url} and was removed"):
            fetch_small(destination, url=site.url)
        assert names(tmp_path) == ["cifar10.h5"]
        assert destination.read_bytes() == b"older"
        site.content = CONTENT
        fetch_small(destination, url=site.url)
    assert_is_small(destination)


def test_a_folder_is_a_local_archive(tmp_path, lines):
    destination, folder = tmp_path / "data" / "cifar10.h5", tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name, content in binary_members().items():
        (tmp_path / name).write_bytes(content)
    fetch_small(destination, lines, file=folder)
    assert_is_small(destination)
    assert store.origin(destination, SMALL).source == "cifar-10-batches-bin"


def test_a_local_archive_is_never_removed(tmp_path):
    archive, destination = tmp_path / "mine.tar.gz", tmp_path / "data" / "cifar10.h5"
    archive.write_bytes(FLIPPED)
    with pytest.raises(LcbenchError, match=r"mine\.tar\.gz is damaged.*leave out --file"):
        fetch_small(destination, file=archive)
    archive.write_bytes(CONTENT)
    fetch_small(destination, file=archive)
    assert_is_small(destination)
    assert store.origin(destination, SMALL).source == "mine.tar.gz"
    assert archive.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "url", ["ftp://host/a.tar.gz", "/home/me/a.tar.gz", "file:///a.tar.gz", "http://", "http://[x"]
)
def test_invalid_addresses_are_rejected(tmp_path, url):
    with pytest.raises(LcbenchError, match=r"--url .* is not an"):
        fetch_small(tmp_path / "cifar10.h5", url=url)
