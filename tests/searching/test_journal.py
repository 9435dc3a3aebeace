"""A journal survives full disks, killed writers and partial records of other programs; other files are not touched."""

import itertools
import os
import subprocess
import sys
import time
from contextlib import suppress

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend
from optuna.trial import create_trial

import full_disks
from damage import damages
from fluxeq.errors import InputError
from fluxeq.searching.journal import Journal


def values(path):
    """The values of the stored trials, also as read by Optuna itself."""
    found = [trial.value for trial in optuna.load_study(storage=Journal(path), study_name="s").trials]
    plain = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    assert found == [trial.value for trial in optuna.load_study(storage=plain, study_name="s").trials]
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The lines of a journal with five trials."""
    path = tmp_path_factory.mktemp("journal") / "j.log"
    study = optuna.create_study(storage=Journal(path), study_name="s")
    for i in range(5):
        study.add_trial(create_trial(value=float(i), user_attrs={"config": {"kernel": i}}))
    return path.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("n_bytes", [1, 5, 11, 50])
@pytest.mark.parametrize("zeros", [0, 100], ids=["", "zeros"])
def test_half_a_record_at_the_end_is_dropped(whole, tmp_path, caplog, n_bytes, zeros):
    """Zeros occur after a power failure. It is reported once, in one line."""
    path = tmp_path / "j.log"
    path.write_bytes(b"".join(whole) + whole[-1][:n_bytes] + bytes(zeros))
    assert values(path) == [0, 1, 2, 3, 4]
    assert path.read_bytes() == b"".join(whole)
    assert caplog.messages == [f"{path}: line 7: dropped a truncated record, possibly from a full disk"]


def test_records_behind_half_a_record_are_kept(whole, tmp_path, caplog):
    """At their positions, which other processes remember."""
    path, half = tmp_path / "j.log", whole[2][:40]
    path.write_bytes(b"".join([*whole[:3], half, *whole[3:]]))
    with pytest.raises(ValueError, match=r"Extra data|Expecting"):
        optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    assert values(path) == [0, 1, 2, 3, 4]
    assert path.read_bytes() == b"".join([*whole[:3], b" " * len(half), *whole[3:]])
    assert caplog.messages == [f"{path}: line 4: dropped a truncated record, possibly from a full disk"]


def test_half_a_record_is_dropped_before_more_is_appended(whole, tmp_path):
    """Also if it appears while other processes are working, which continue."""
    path = tmp_path / "j.log"
    path.write_bytes(b"".join(whole))
    one, two = (optuna.load_study(storage=Journal(path), study_name="s") for _ in range(2))
    with path.open("ab") as file:
        file.write(whole[-1][:30])
    one.add_trial(create_trial(value=5.0))
    two.add_trial(create_trial(value=6.0))
    assert [trial.value for trial in one.trials] == [trial.value for trial in two.trials] == [0, 1, 2, 3, 4, 5, 6]
    assert values(path) == [0, 1, 2, 3, 4, 5, 6]


OTHERS = {
    "text": b"hello",
    "line": b"hello\n",
    "json": b'{"a": 1}\n',
    "list": b"[1]\n",
    "no end": b'{"a": 1}',
    "deep": b"[" * 10**5 + b"\n",
    "long": b'{"op_code":' + b" " * 2**21,
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
def test_a_file_of_something_else_is_left_alone(tmp_path, content):
    path = tmp_path / "j.log"
    path.write_bytes(content)
    with pytest.raises(
        InputError, match=r"j\.log: line 1 is not a record of a search .*; restore the file, or choose"
    ) as failed:
        Journal(path)
    assert "\n" not in str(failed.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", bytes(1000)], ids=["empty", "zeros"])
def test_an_empty_file_is_an_empty_journal(tmp_path, content):
    path = tmp_path / "j.log"
    path.write_bytes(content)
    optuna.create_study(storage=Journal(path), study_name="s")
    assert values(path) == []


def test_any_other_damage_is_said_and_left_as_it_is(whole, tmp_path):
    """Records have no checksum: changed values go unnoticed, but any other damage gives a one-line error."""
    path, content = tmp_path / "j.log", b"".join(whole)
    middle = len(b"".join(whole[:3])) + 20
    path.write_bytes(content[:middle] + bytes(8) + content[middle + 8 :])
    with pytest.raises(InputError, match=r"j\.log: line 4 is not a record of a search"):
        Journal(path)
    for changed in damages(content):
        path.unlink()
        path.write_bytes(changed)
        with suppress(InputError):
            Journal(path).get_all_studies()


def add_without_end(study):
    for i in itertools.count():
        study.add_trial(create_trial(value=float(i), user_attrs={"text": "a" * 1000}))


@full_disks.needed
def test_a_full_disk(tmp_path):
    """A record is stored completely or not at all; with free space the search continues."""
    with full_disks.of(tmp_path / "disk", "32k") as disk:
        study = optuna.create_study(storage=Journal(disk / "j.log"), study_name="s")
        with pytest.raises(OSError, match="No space left on device"):
            add_without_end(study)
        n = len(study.trials)
        assert (disk / "j.log").read_bytes().endswith(b"\n")
        full_disks.resize(disk, "64k")
        assert values(disk / "j.log") == list(range(n))
        study = optuna.load_study(storage=Journal(disk / "j.log"), study_name="s")
        study.add_trial(create_trial(value=float(n)))
        assert values(disk / "j.log") == list(range(n + 1))


def test_a_lock_that_a_killed_process_was_releasing_is_removed(whole, tmp_path):
    """Optuna renames the link before it removes it. Locks of other journals are kept."""
    path = tmp_path / "trials[1].log"
    path.write_bytes(b"".join(whole))
    left, other = f"{path}.lock7f.rename", tmp_path / "trials1.log.lock7f.rename"
    for link in (left, other):
        os.symlink(path, link)
    assert values(path) == [0, 1, 2, 3, 4]
    assert {found.name for found in tmp_path.iterdir()} == {path.name, other.name}


def test_the_lock_of_a_killed_process_is_not_waited_for(whole, tmp_path):
    """Optuna itself waits for half a minute, without a message."""
    path = tmp_path / "j.log"
    path.write_bytes(b"".join(whole))
    os.symlink(path, f"{path}.lock")
    begun = time.monotonic()
    assert values(path) == [0, 1, 2, 3, 4]
    assert time.monotonic() - begun < 25
    assert sorted(file.name for file in tmp_path.iterdir()) == ["j.log"]


WRITER = """
import sys, time
from pathlib import Path
import optuna
from fluxeq.searching.journal import Journal

optuna.logging.disable_default_handler()
study = optuna.load_study(storage=Journal(Path(sys.argv[1])), study_name="s")
for i in range(40):
    study.add_trial(optuna.trial.create_trial(value=float(i)))
    if sys.argv[2] == "0" and i % 10 == 5:
        with open(sys.argv[1], "ab") as file:  # as if it were killed: without the lock's end, so at a random moment
            study._storage._backend._lock.acquire()
            file.write(b'{"op_code":4,"worker')
            file.flush()
            study._storage._backend._lock.release()
"""


def test_several_processes_at_once_one_of_which_leaves_half_records(tmp_path):
    path = tmp_path / "j.log"
    optuna.create_study(storage=Journal(path), study_name="s")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, str(i)], stderr=subprocess.PIPE, text=True)
        for i in range(3)
    ]
    said = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 3, said
    assert sum(text.count("dropped a truncated record") for text in said) == 4, said
    assert sorted(values(path)) == sorted(list(range(40)) * 3)
