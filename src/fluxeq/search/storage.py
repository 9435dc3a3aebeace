"""Where a search keeps its trials: a journal file on one machine, PostgreSQL across machines.

SQLite and journals on network disks are known to fail with several writers, so SQLite is refused.
"""

import warnings
from pathlib import Path

from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from fluxeq.errors import InputError
from fluxeq.search.journal import Journal
from fluxeq.system.files import require_writable

HEARTBEAT = 60
"""Seconds between two heartbeats of a trial; a worker that is silent for twice as long counts as killed."""


DRIVER = "postgresql+psycopg:"
"""What ``postgresql:`` stands for, whatever SQLAlchemy's default is."""
MAKING_TABLES = 0x666C7578
"""The lock that a worker holds in the database while it opens it."""


def open_storage(url: str, heartbeat: int = HEARTBEAT) -> BaseStorage:
    """The storage at ``journal:///path`` (or a plain path), or at a ``postgresql://`` address.

    ``heartbeat``, in seconds, is for a database. Raises InputError for any other address, a file that is no journal, or
    if no server answers.
    """
    if heartbeat < 1:
        raise InputError(f"heartbeat = {heartbeat}: at least 1 second is needed")
    if url.startswith("postgresql"):
        return _database(url, heartbeat)
    scheme, separator, path = url.partition("://")
    if separator and scheme != "journal":
        raise InputError(f"storage {url!r}: use journal:///PATH on one machine or postgresql://... across machines")
    journal = Path(path if separator else url)
    require_writable(journal)
    journal.parent.mkdir(parents=True, exist_ok=True)
    return Journal(journal)


def _database(url: str, heartbeat: int) -> RDBStorage:
    """A PostgreSQL storage that notices workers that went silent."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # the heartbeat, for some years now
        try:
            return _connected(url.replace("postgresql:", DRIVER, 1), heartbeat)
        except (ImportError, SQLAlchemyError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"storage: PostgreSQL does not answer ({reason}); is the server up, a driver installed "
                "(pip install 'fluxeq[postgres]')?"
            ) from None


def _connected(url: str, heartbeat: int) -> RDBStorage:
    """A storage; workers that begin together on an empty database make its tables one after another."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection, connection.begin():  # the lock ends with the transaction
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MAKING_TABLES})
            return RDBStorage(url, heartbeat_interval=heartbeat)
    finally:
        engine.dispose()
