"""Where a search keeps its trials: a journal file on one machine, PostgreSQL across machines.

SQLite and journals on network disks are known to fail with several writers, so SQLite is refused.
"""

import warnings
from pathlib import Path

from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import SQLAlchemyError

from fluxeq.errors import InputError
from fluxeq.files import require_writable

HEARTBEAT = 60  # seconds


def open_storage(url: str) -> BaseStorage:
    """The storage at ``journal:///path`` (or a plain path), or at a ``postgresql://`` address.

    Raises InputError for any other address.
    """
    if url.startswith("postgresql"):
        return _database(url)
    scheme, separator, path = url.partition("://")
    if separator and scheme != "journal":
        raise InputError(f"storage {url!r}: use journal:///PATH on one machine or postgresql://... across machines")
    journal = Path(path if separator else url)
    require_writable(journal)
    journal.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(journal)))


def _database(url: str) -> RDBStorage:
    """A PostgreSQL storage in which a trial whose worker went silent is tried again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # the heartbeat, for some years now
        try:
            retry = RetryHeartbeatStaleTrialCallback(max_retry=3)
            return RDBStorage(url, heartbeat_interval=HEARTBEAT, heartbeat_stale_trial_callback=retry)
        except (ImportError, SQLAlchemyError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"storage: PostgreSQL does not answer ({reason}); is the server up, a driver installed?"
            ) from None
