import hashlib
import json

import pytest

from lcbench.datasets import store
from lcbench.datasets.download import Partial, fetch_archive, obtain
from lcbench.errors import LcbenchError
from lcbench.progress import no_progress
from small_cifar10 import SMALL, Site, binary_members, names, pack, python_members, serve

CONTENT = pack(binary_members())
HALF = len(CONTENT) // 2


@pytest.fixture(autouse=True)
def straight_to_loopback_without_waiting(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the tries of urllib3
    monkeypatch.setattr("lcbench.datasets.download.sleep", lambda seconds: None)


class Lines(list):
    def __call__(self, line):
        assert "\n" not in line
        self.append(line)


@pytest.fixture
def lines():
    return Lines()


def fetch(site, folder, report=lambda line: None, progress=no_progress, tries=3):
    partial = Partial(folder, site.url)
    fetch_archive(site.url, partial, report, progress, tries)
    return partial.path


def refusal(site, folder, **options):
    with pytest.raises(LcbenchError) as caught:
        fetch(site, folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_download_reports_its_progress(tmp_path, monkeypatch):
    monkeypatch.setattr("lcbench.progress.MIN_STAGE_S", -1.0)
    seen = []
    with serve(Site(CONTENT)) as site:
        archive = fetch(site, tmp_path / "data", progress=lambda *given: seen.append(given))
    assert archive.read_bytes() == CONTENT
    megabytes, kilobytes = f"{len(CONTENT) / 1e6:.1f} MB", -(-len(CONTENT) // 1000)
    assert (seen[0], seen[-1]) == ((f"downloading {megabytes}",), (f"downloaded {megabytes}",))
    assert seen[-2] == ("downloading, kB", kilobytes, kilobytes, "")


def test_a_broken_connection_goes_on_where_it_stopped(tmp_path, lines):
    with serve(Site(CONTENT, breaks=[HALF, 1000])) as site:
        archive = fetch(site, tmp_path, lines)
    assert archive.read_bytes() == CONTENT
    assert site.asked == [None, f"bytes={HALF}-", f"bytes={HALF + 1000}-"]
    assert site.sent == len(CONTENT)
    assert "less arrived than was announced" in lines[0]
    assert "trying again" in lines[0]


def test_the_next_call_goes_on_where_the_last_one_stopped(tmp_path):
    with serve(Site(CONTENT, breaks=[HALF])) as site:
        said = refusal(site, tmp_path, tries=1)
        assert f"kept in {tmp_path / 'small.tar.gz.part'}: the same command goes on from there" in said
        assert "--url" in said
        assert "--file" in said
        assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert site.asked == [None, f"bytes={HALF}-"]


def test_a_server_without_ranges_sends_the_whole_again(tmp_path):
    with serve(Site(CONTENT, breaks=[HALF], ranges=False)) as site:
        assert fetch(site, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("etag", ["", 'W/"1"'])
def test_a_server_without_a_strong_etag_still_sends_the_rest(tmp_path, etag):
    with serve(Site(CONTENT, breaks=[HALF], etag=etag)) as site:
        assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert site.sent == len(CONTENT)


@pytest.mark.parametrize(("etag", "old"), [('"2"', bytes(len(CONTENT))), ("", bytes(len(CONTENT) + 1))])
def test_a_file_that_changed_meanwhile_is_fetched_whole(tmp_path, etag, old):
    with serve(Site(old, etag=etag, breaks=[HALF])) as site:
        refusal(site, tmp_path, tries=1)
        site.content, site.etag = CONTENT, etag and '"3"'
        assert fetch(site, tmp_path).read_bytes() == CONTENT


def test_another_address_does_not_go_on_from_this_ones_part(tmp_path):
    with serve(Site(b"other" * HALF, breaks=[HALF])) as site:
        refusal(site, tmp_path, tries=1)
    with serve(Site(CONTENT)) as mirror:
        assert fetch(mirror, tmp_path).read_bytes() == CONTENT
        assert mirror.asked == [None]


def test_a_part_that_is_whole_is_not_asked_for_again(tmp_path):
    with serve(Site(CONTENT)) as site:
        fetch(site, tmp_path)
        assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert len(site.asked) == 1


def test_a_part_longer_than_the_file_is_fetched_whole(tmp_path):
    with serve(Site(CONTENT)) as site:
        partial = Partial(tmp_path, site.url)
        fetch(site, tmp_path)
        partial.path.write_bytes(CONTENT + b"x")
        assert fetch(site, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("version", ["", "[]", "{}", '{"url": 1}', "\x00"])
def test_a_part_of_unknown_version_is_not_gone_on_from(tmp_path, version):
    with serve(Site(CONTENT)) as site:
        partial = Partial(tmp_path, site.url)
        partial.path.write_bytes(b"unknown")
        (tmp_path / "small.tar.gz.part.json").write_text(version)
        assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert site.asked == [None]


def test_a_connection_that_always_breaks_ends_in_one_line(tmp_path, lines):
    with serve(Site(CONTENT, ranges=False, breaks=[100] * 9)) as site:
        said = refusal(site, tmp_path, report=lines, tries=3)
    assert "broke 3 times (less arrived than was announced)" in said
    assert len(lines) == 2


@pytest.mark.parametrize(("status", "asked"), [(404, 1), (403, 1), (503, 4)])
def test_a_refusal_is_one_line_and_only_a_busy_server_is_asked_again(tmp_path, status, asked):
    with serve(Site(CONTENT, status=status)) as site:
        said = refusal(site, tmp_path)
    assert f"{site.url} answers {status} " in said
    assert "--url" in said
    assert "--file" in said
    assert len(site.asked) == asked
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http://127.0.0.1:1/a.tar.gz", "cannot reach 127.0.0.1:1: Connection refused"),
        ("http://no-such-host.invalid/a.tar.gz", "cannot reach no-such-host.invalid: "),
        ("http://user:secret@127.0.0.1:1/a.tar.gz?token=secret", "cannot reach 127.0.0.1:1: "),
    ],
)
def test_no_network_is_one_line_without_secrets(tmp_path, url, what):
    said = refusal(Site(b"", url=url), tmp_path)
    assert said.startswith(what)
    assert "--file" in said
    assert "secret" not in said


def test_ctrl_c_keeps_what_is_here_and_says_so(tmp_path, lines, monkeypatch):
    def interrupt(stage, kilobytes=0, total=0, detail=""):
        if 1000 * kilobytes > HALF:
            raise KeyboardInterrupt

    monkeypatch.setattr("lcbench.progress.MIN_STAGE_S", -1.0)

    with serve(Site(CONTENT)) as site:
        with pytest.raises(KeyboardInterrupt):
            fetch(site, tmp_path, lines, interrupt)
        assert lines[-1].endswith("the same command goes on from there")
        assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert site.asked[1].startswith("bytes=")
    assert names(tmp_path) == ["small.tar.gz.part", "small.tar.gz.part.json"]


def test_a_folder_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "data").write_text("")
    with serve(Site(CONTENT)) as site:
        assert "cannot write" in refusal(site, tmp_path / "data")


def test_awkward_addresses_stay_in_the_folder(tmp_path):
    for path in ("..", "%2e%2e%2f%2e%2e%2fetc", "%00", "", "a b.tar.gz?x=../y"):
        partial = Partial(tmp_path, f"http://127.0.0.1/{path}")
        assert partial.path.resolve().parent == tmp_path.resolve()
        assert "\x00" not in partial.path.name


# from an archive to the HDF5 file


def put(destination, report=lambda line: None, **source):
    return obtain(destination, report=report, dataset=SMALL, **source)


def assert_is_small(destination):
    for name, expected in SMALL.content.items():
        split, kind = name.split("/")
        images, labels = store.read_split(destination, split, dataset=SMALL)
        assert hashlib.sha256(images if kind == "images" else labels).hexdigest() == expected


@pytest.mark.parametrize("layout", ["binary", "python"])
def test_an_archive_becomes_the_file_and_nothing_else_is_left(tmp_path, lines, layout):
    destination = tmp_path / "data" / "cifar10.h5"
    with serve(Site(CONTENT if layout == "binary" else pack(python_members()))) as site:
        archive = put(destination, lines, url=site.url)
    assert archive.layout == layout
    assert not any("repacked" in line for line in lines)
    assert_is_small(destination)
    assert store.origin(destination, SMALL).source == site.url
    assert names(destination.parent) == ["cifar10.h5"]


def test_a_repacked_archive_says_so(tmp_path, lines):
    with serve(Site(pack({**binary_members(), "extra": b""}))) as site:
        put(tmp_path / "cifar10.h5", lines, url=site.url)
    assert any("repacked archive" in line for line in lines)
    assert_is_small(tmp_path / "cifar10.h5")


def test_a_folder_as_address_holds_the_archive_of_the_layout(tmp_path):
    with serve(Site(pack(python_members()))) as site:
        put(tmp_path / "cifar10.h5", url=site.url.removesuffix("small.tar.gz"), layout="python")
    assert store.origin(tmp_path / "cifar10.h5", SMALL).source.endswith("/small-python.tar.gz")


def test_passwords_in_an_address_are_not_kept(tmp_path, lines):
    with serve(Site(CONTENT)) as site:
        put(tmp_path / "cifar10.h5", lines, url=site.url.replace("http://", "http://me:pa55word@") + "?token=pa55word")
    assert store.origin(tmp_path / "cifar10.h5", SMALL).source == site.url
    assert "pa55word" not in json.dumps(lines)


FLIPPED = CONTENT[:HALF] + bytes([CONTENT[HALF] ^ 1]) + CONTENT[HALF + 1 :]


@pytest.mark.parametrize("content", [CONTENT[:HALF], FLIPPED, b"<html>Sign in</html>", b""])
def test_a_bad_archive_leaves_nothing_and_the_older_file_as_it_was(tmp_path, content):
    destination = tmp_path / "cifar10.h5"
    destination.write_bytes(b"older")
    with serve(Site(content)) as site:
        with pytest.raises(LcbenchError, match=f"came from {site.url} and was removed"):
            put(destination, url=site.url)
        assert names(tmp_path) == ["cifar10.h5"]
        assert destination.read_bytes() == b"older"
        site.content = CONTENT
        put(destination, url=site.url)
    assert_is_small(destination)


def test_a_local_archive_is_read_and_never_removed(tmp_path):
    archive, destination = tmp_path / "mine.tar.gz", tmp_path / "data" / "cifar10.h5"
    archive.write_bytes(FLIPPED)
    with pytest.raises(LcbenchError, match=r"mine\.tar\.gz is damaged.*leave out --file"):
        put(destination, file=archive)
    archive.write_bytes(CONTENT)
    put(destination, file=archive)
    assert_is_small(destination)
    assert store.origin(destination, SMALL).source == "mine.tar.gz"
    assert archive.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "url", ["ftp://host/a.tar.gz", "/home/me/a.tar.gz", "file:///a.tar.gz", "http://", "http://[x"]
)
def test_what_is_no_web_address_is_refused(tmp_path, url):
    with pytest.raises(LcbenchError, match=r"--url .* is not an"):
        put(tmp_path / "cifar10.h5", url=url)
