"""Accepted addresses of storages."""

import optuna
import pytest

from fluxeq.errors import InputError
from fluxeq.searching.storage import open_storage


@pytest.mark.parametrize("url", ["sqlite:///s.db", "mysql://host/db", "redis://host", "://x"])
def test_refused(tmp_path, monkeypatch, url):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="use journal:///PATH on one machine or postgresql"):
        open_storage(url)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("scheme", ["journal://", ""])
def test_a_journal_is_kept_in_a_file(tmp_path, scheme):
    path = tmp_path / "new folder" / "journal.log"
    study = optuna.create_study(storage=open_storage(f"{scheme}{path}"), study_name="s")
    study.add_trial(optuna.trial.create_trial(value=2.0))
    assert path.is_file()
    there = optuna.load_study(storage=open_storage(f"{scheme}{path}"), study_name="s")
    assert [trial.value for trial in there.trials] == [2.0]


def test_no_server_is_one_line():
    """Whether a driver is installed or not: nothing listens on port 1."""
    with pytest.raises(InputError, match="PostgreSQL does not answer") as failed:
        open_storage("postgresql://nobody@127.0.0.1:1/none")
    assert "\n" not in str(failed.value)
