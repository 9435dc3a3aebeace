"""Files that are whole or not there, fingerprints and seeds."""

import errno
import fcntl
import os

import pytest

from fluxeq.errors import InputError
from fluxeq.files import (
    derived_seed,
    digest,
    locked,
    read_json,
    remove,
    require_writable,
    whole,
    write_json,
    write_text,
)


def test_a_file_appears_as_a_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "a.csv"
    with whole(path) as temporary:
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
        with whole(path) as temporary:
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
    path.write_text("{")
    with pytest.raises(InputError, match=r"a\.json: not a JSON file"):
        read_json(path)


def test_digest():
    content = {"a": 1, "b": [1.5, None]}
    assert digest(content) == digest({"b": [1.5, None], "a": 1}) == digest({"a": 1, "b": (1.5, None)})
    others = [{"a": 2, "b": [1.5, None]}, {"a": 1, "b": [None, 1.5]}, {"a": 1}, {"a": "1", "b": [1.5, None]}]
    assert len({digest(content), *map(digest, others)}) == 5
    assert digest({}) == "44136fa355b3678a"  # of all runs that were ever made: changing it makes them all unfinished


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


@pytest.mark.parametrize(("held", "asked", "free"), [(0, 0, False), (1, 0, False), (0, 1, False), (1, 1, True)])
def test_locks(tmp_path, held, asked, free):
    """Shared ones exclude only exclusive ones, and all end with their block."""
    path = tmp_path / "a.lock"
    with locked(path, shared=bool(held)), locked(path, shared=bool(asked), wait=False) as got:
        assert got == free
    with locked(path, wait=False) as got:
        assert got


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def refuse(file, kind):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(InputError, match="keeps no locks"), locked(tmp_path / "a.lock"):
        pass


def test_require_writable(tmp_path):
    require_writable(tmp_path / "a" / "b" / "c.h5")
    assert not any(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    require_writable(tmp_path / "file")
    with pytest.raises(InputError, match="is a folder; name a file in it"):
        require_writable(tmp_path)
    with pytest.raises(InputError, match="is not a folder that can be written to; choose another place"):
        require_writable(tmp_path / "file" / "c.h5")


def test_a_read_only_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(InputError, match="is not a folder that can be written to"):
        require_writable(tmp_path / "c.h5")
