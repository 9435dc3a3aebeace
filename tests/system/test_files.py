"""Atomic file writes, fingerprints and seeds."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import full_disks
from fluxeq.errors import InputError
from fluxeq.system.files import (
    atomic_write,
    derived_seed,
    digest,
    locked,
    read_json,
    remove,
    remove_temporary_of,
    require_writable,
    write_json,
    write_text,
)


def test_a_file_appears_as_a_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "a.csv"
    with atomic_write(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".csv"
        temporary.write_text("1")
        assert not path.exists()
    assert path.read_text() == "1"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with atomic_write(path) as temporary:
            temporary.write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_synced_before_it_gets_its_name(tmp_path, monkeypatch):
    path, seen = tmp_path / "a.txt", []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append((os.fstat(descriptor).st_size, path.exists())))
    write_text(path, "12345")
    assert seen == [(5, False)]


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    """Also for a chain of links, into another folder, or if the file does not exist yet."""
    (tmp_path / "there").mkdir()
    file, link, another = tmp_path / "there" / "a.txt", tmp_path / "link", tmp_path / "another.txt"
    link.symlink_to(another)
    another.symlink_to(file)
    for text in ("new", "newer"):
        require_writable(link)
        write_text(link, text)
        assert link.is_symlink()
        assert another.is_symlink()
        assert file.read_text() == link.read_text() == text
    assert list(file.parent.iterdir()) == [file]


def test_what_is_no_file_is_not_replaced(tmp_path):
    """Root would replace /dev/null; a pipe stands for it here."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="is not a file; choose another place"):
        require_writable(pipe)
    with pytest.raises(InputError, match="is not a file; choose another place"):
        write_text(pipe, "1")
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize(
    "name", [".hidden", "no suffix", "a" * 245 + ".csv", "a\nb.txt", "\udcff.h5", "ü" * 100 + ".csv"]
)
def test_any_name_that_the_disk_takes(tmp_path, name):
    require_writable(tmp_path / name)
    write_text(tmp_path / name, "1")
    assert (tmp_path / name).read_text() == "1"


def test_the_mode_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "1")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_folder_that_vanishes(tmp_path):
    """The error names the requested file, not its temporary name."""

    def vanish():
        with atomic_write(tmp_path / "a" / "b.txt") as temporary:
            temporary.write_text("1")
            shutil.rmtree(tmp_path / "a")

    with pytest.raises(FileNotFoundError) as failed:
        vanish()
    assert failed.value.filename == str(tmp_path / "a" / "b.txt")


@full_disks.needed
def test_a_full_disk(tmp_path):
    """The old content is kept, no temporary file is left, and there is an OSError that names the file."""
    with full_disks.of(tmp_path / "disk", "64k") as disk:
        write_text(disk / "a.txt", "old")
        for write in (write_text, write_json):
            with pytest.raises(OSError, match="No space left") as failed:
                write(disk / "a.txt", "1" * 10**5)
            assert failed.value.filename == str(disk / "a.txt")
            assert (disk / "a.txt").read_text() == "old"
            assert list(disk.iterdir()) == [disk / "a.txt"]


LIMITED = """
import resource, sys
from pathlib import Path
from fluxeq.system.files import write_text
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
write_text(Path(sys.argv[1]), "1" * 10**5)
"""


def test_the_largest_file_that_a_process_may_write(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path / "a.txt"], capture_output=True, text=True, check=False
    )
    assert f"File too large: '{tmp_path / 'a.txt'}'" in done.stderr
    assert (tmp_path / "a.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_json(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": [1, None, "ü"]})
    assert read_json(path) == {"a": [1, None, "ü"]}
    assert path.read_bytes().endswith(b"\n")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": [1, None, "ü"]}
    with pytest.raises(InputError, match=r"b\.json: no such file"):
        read_json(tmp_path / "b.json")
    for path in (tmp_path, Path("/dev/zero")):  # the latter never ends
        with pytest.raises(InputError, match="is not a file"):
            read_json(path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[" * 10**5, b"1" * 10**4, b'{"a": 1}\x00', b"\xef\xbb\xbf{}"]
)
def test_not_json(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.json: not a JSON file") as failed:
        read_json(tmp_path / "a.json")
    assert len(str(failed.value)) < 400


def test_digest():
    content = {"a": 1, "b": [1.5, None]}
    assert digest(content) == digest({"b": [1.5, None], "a": 1}) == digest({"a": 1, "b": (1.5, None)})
    others = [{"a": 2, "b": [1.5, None]}, {"a": 1, "b": [None, 1.5]}, {"a": 1}, {"a": "1", "b": [1.5, None]}]
    assert len({digest(content), *map(digest, others)}) == 5
    assert digest({}) == "44136fa355b3678a"  # in all existing runs: changing it makes all of them unfinished


def test_derived_seed():
    parts = [(1,), (2,), (1, "a"), (1, "b"), ("1",), (1, "a", 0), ("a", 1), ("1a",), (1, "a0")]
    assert len({derived_seed(*some) for some in parts}) == len(parts)
    assert derived_seed(1, "a") == derived_seed(1, "a")
    assert all(0 <= derived_seed(i) < 2**48 for i in range(100))


def test_remove(tmp_path):
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    for name in ("folder", "file", "nothing"):
        remove(tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_locks(tmp_path):
    """They are released at the end of the block."""
    path = tmp_path / "a.lock"
    with locked(path) as first, locked(path, wait=False) as second:
        assert (first, second) == (True, False)
    with locked(path, wait=False) as got:
        assert got


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def refuse(file, kind):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(InputError, match="does not support locks"), locked(tmp_path / "a.lock"):
        pass


def test_require_writable(tmp_path):
    require_writable(tmp_path / "a" / "b" / "c.h5")
    assert not any(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    require_writable(tmp_path / "file")
    with pytest.raises(InputError, match="is a folder; name a file in it"):
        require_writable(tmp_path)
    with pytest.raises(InputError, match="is not a writable folder; choose another place"):
        require_writable(tmp_path / "file" / "c.h5")
    for path in (tmp_path / ("a" * 300), tmp_path / "new" / ("a" * 300)):
        with pytest.raises(InputError, match="too long; choose"):
            require_writable(path)


def test_a_read_only_file(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("1")
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path / "a")  # root may write anywhere
    with pytest.raises(InputError, match="is read-only; make it writable, or choose another place"):
        require_writable(tmp_path / "a")


def test_a_read_only_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(InputError, match="is not a writable folder"):
        require_writable(tmp_path / "c.h5")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("mu1.h5", "mu1.05.h5"),
        (f"{'long-' * 12}-mu0.91.h5", f"{'long-' * 12}-mu0.95.h5"),
    ],
    ids=["dot", "long"],
)
def test_what_is_being_written_beside_is_left_alone(tmp_path, name, other):
    """Two processes, each removing temporary files of its own output, while the other has just started."""
    with atomic_write(tmp_path / other) as temporary:
        temporary.write_bytes(b"half")
        remove_temporary_of(tmp_path / name)
        assert temporary.exists()
        remove_temporary_of(tmp_path / other)
        assert not temporary.exists()
        temporary.write_bytes(b"whole")
    assert (tmp_path / other).read_bytes() == b"whole"
