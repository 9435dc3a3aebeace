"""Where a search keeps its trials: a journal file on one machine, PostgreSQL across machines.

SQLite and journals on network disks are known to fail with several writers, so SQLite is refused.
"""

from pathlib import Path

from optuna.storages import BaseStorage, JournalStorage, RDBStorage, RetryFailedTrialCallback
from optuna.storages.journal import JournalFileBackend

from fluxeq.errors import InputError
from fluxeq.files import require_writable

HEARTBEAT = 60  # seconds


def open_storage(url: str) -> BaseStorage:
    """The storage at ``journal:///path`` (or a plain path), or at a ``postgresql://`` address.

    Raises InputError for any other address.
    """
    if url.startswith("postgresql"):
        retry = RetryFailedTrialCallback(max_retry=3)
        return RDBStorage(url, heartbeat_interval=HEARTBEAT, failed_trial_callback=retry)
    scheme, separator, path = url.partition("://")
    if separator and scheme != "journal":
        raise InputError(f"storage {url!r}: use journal:///PATH on one machine or postgresql://... across machines")
    journal = Path(path if separator else url)
    require_writable(journal)
    journal.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(journal)))
