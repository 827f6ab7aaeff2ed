import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SMALL_CIFAR10 = Path(__file__).parent.parent / "datasets"
sys.path.insert(0, str(SMALL_CIFAR10))

from commands import TIMEOUT_S, wait_until  # noqa: E402
from lcbench.datasets import store  # noqa: E402
from small_cifar10 import SMALL, Site, binary_members, names, pack, serve  # noqa: E402

CONTENT = pack(binary_members())

LCBENCH_WITH_SMALL_CIFAR10 = """
import small_cifar10
from lcbench.datasets import cifar10
cifar10.CIFAR10 = small_cifar10.SMALL
from lcbench.cli.main import main
main()
"""


def start(folder, *arguments, program=("-m", "lcbench"), **options):
    path = [str(SMALL_CIFAR10), *filter(None, sys.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "LCBENCH_DATA": "data", "NO_PROXY": "*"}
    command = [sys.executable, *program, "download", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes)


def lcbench(folder, *arguments, **options):
    process = start(folder, *arguments, **options)
    process.out, process.err = process.communicate(timeout=TIMEOUT_S)
    return process


def small_lcbench(folder, *arguments):
    return lcbench(folder, *arguments, program=("-c", LCBENCH_WITH_SMALL_CIFAR10))


def assert_one_line(done, *parts):
    assert done.returncode == 2
    assert done.out == ""
    errors = [line for line in done.err.splitlines() if line.lower().startswith("error: ")]
    assert len(errors) == 1
    assert "Traceback" not in done.err
    for part in parts:
        assert part in errors[0]


def test_second_call_downloads_nothing_unless_forced(tmp_path):
    with serve(Site(CONTENT)) as site:
        first = small_lcbench(tmp_path, "--url", site.url, "--verify")
        second = small_lcbench(tmp_path, "--url", site.url)
        assert len(site.requests) == 1
        forced = small_lcbench(tmp_path, "--url", site.url, "--force")
        assert len(site.requests) == 2
    assert (first.returncode, second.returncode, forced.returncode) == (0, 0, 0)
    assert first.out.splitlines() == [
        f"data/cifar10.h5: written from {site.url}",
        "data/cifar10.h5: verified, all images and labels are those of CIFAR-10 in small",
    ]
    assert first.err.splitlines() == [
        f"fetching {site.url}",
        "downloading 361 KiB",
        "downloaded 361 KiB",
        "reading and verifying data/small.tar.gz.part",
    ]
    assert "already exists" in second.out
    assert second.err == ""
    assert names(tmp_path / "data") == ["cifar10.h5"]


def test_local_archive_and_verification(tmp_path):
    (tmp_path / "mine.tar.gz").write_bytes(CONTENT)
    assert small_lcbench(tmp_path, "--file", "mine.tar.gz").returncode == 0
    file = tmp_path / "data" / "cifar10.h5"
    assert small_lcbench(tmp_path, "--verify").returncode == 0
    content = bytearray(file.read_bytes())
    content[content.index(store.read_split(file, "test", dataset=SMALL)[0].tobytes())] ^= 1
    file.write_bytes(content)
    assert_one_line(small_lcbench(tmp_path, "--verify"), "data/cifar10.h5 is damaged", "--force")


def test_verify_alone_downloads_nothing(tmp_path):
    assert_one_line(lcbench(tmp_path, "--verify"), "no data/cifar10.h5: 'lcbench download' fetches it")
    assert names(tmp_path) == []


def test_broken_file_is_one_line_error(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cifar10.h5").write_bytes(b"broken")
    assert_one_line(lcbench(tmp_path), "is not an HDF5 file", "lcbench download --force")


def test_other_archive_is_an_error_that_names_the_member(tmp_path):
    with serve(Site(CONTENT)) as site:
        done = lcbench(tmp_path, "--url", site.url)
    assert_one_line(done, "data_batch_1.bin is not CIFAR-10's", site.url)
    assert names(tmp_path / "data") == []


def test_connection_error_names_url_and_file(tmp_path):
    assert_one_line(lcbench(tmp_path, "--url", "http://127.0.0.1:1/"), "Connection refused", "--url", "--file")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--file", "missing.tar.gz"),
        ("--url", "http://x/", "--file", "."),
        ("--file", ""),
        ("--layout", "matlab"),
    ],
)
def test_wrong_usage_is_exit_code_2(tmp_path, arguments):
    done = lcbench(tmp_path, *arguments)
    assert_one_line(done)


def test_url_and_file_exclude_each_other(tmp_path):
    (tmp_path / "a").touch()
    assert_one_line(lcbench(tmp_path, "--url", "http://127.0.0.1:1/", "--file", "a"), "give one")


def test_download_resumes_after_ctrl_c(tmp_path):
    part = tmp_path / "data" / "small.tar.gz.part"
    with serve(Site(CONTENT, stall=len(CONTENT) // 2)) as site:
        program = ("-c", LCBENCH_WITH_SMALL_CIFAR10)
        process = start(tmp_path, "--url", site.url, program=program)
        wait_until(lambda: part.exists() and part.stat().st_size)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT_S)
        site.stall = None
        assert process.returncode == 130
        assert out == ""
        assert "kept in data/small.tar.gz.part: run the same command again to continue" in err
        assert "Traceback" not in err
        kept = part.stat().st_size
        again = small_lcbench(tmp_path, "--url", site.url)
    assert again.returncode == 0
    assert site.requests == [None, f"bytes={kept}-"]
    assert names(tmp_path / "data") == ["cifar10.h5"]


def test_two_downloads_at_once_are_one(tmp_path):
    part = tmp_path / "data" / "small.tar.gz.part"
    program = ("-c", LCBENCH_WITH_SMALL_CIFAR10)
    with serve(Site(CONTENT, stall=len(CONTENT) // 2)) as site:
        first = start(tmp_path, "--url", site.url, program=program)
        wait_until(lambda: part.exists() and part.stat().st_size)
        second = start(tmp_path, "--url", site.url, program=program)
        assert second.stderr.readline() == "another download to data is running: waiting for it\n"
        site.stall = None
        out = [process.communicate(timeout=TIMEOUT_S)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0)
    assert "written from" in out[0]
    assert "already exists" in out[1]
    assert names(tmp_path / "data") == ["cifar10.h5"]


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "data").touch()
    assert_one_line(lcbench(tmp_path), "cannot write to the folder data: it is a file; LCBENCH_DATA names another one")


def test_an_empty_folder_is_no_archive(tmp_path):
    assert_one_line(lcbench(tmp_path, "--file", "."), "holds no CIFAR-10 batches", "leave out --file")


def test_help_ends_with_two_examples(tmp_path):
    done = lcbench(tmp_path, "--help")
    assert [line.strip() for line in done.out.splitlines()[-2:]] == ["lcbench download", "lcbench download --verify"]
