"""What exceeds this machine is reported beforehand; what may fit is accepted."""

import pytest

from fluxeq.errors import InputError
from fluxeq.system import capacity


def test_memory(monkeypatch):
    capacity.require_memory("a little", 2**20)
    with pytest.raises(InputError, match=r"^too much: more than the .* GiB of memory of this machine; choose fewer$"):
        capacity.require_memory("too much", 10**400)
    monkeypatch.setattr(capacity.os, "sysconf", lambda name: (_ for _ in ()).throw(ValueError), raising=False)
    capacity.require_memory("nobody knows whether too much", 10**400)


def test_disk(tmp_path):
    new = tmp_path / "not" / "there"
    capacity.require_disk("a little", 2**20, new)
    with pytest.raises(InputError, match=rf"^too much: more than the .* GiB of the disk of {tmp_path}; choose fewer$"):
        capacity.require_disk("too much", 10**400, new)
    assert not any(tmp_path.iterdir())


def test_memory_is_released_where_the_library_can(monkeypatch):
    capacity.release_memory()
    monkeypatch.setattr(capacity.ctypes, "pythonapi", object())  # as on Windows or with musl
    capacity.release_memory()
