"""Storage of the trials of a search: a journal file on one machine, or PostgreSQL for several; workers of a search.

SQLite and journals on network disks are known to fail with several writers, so SQLite is not supported. The trial of a
killed worker fails, and its setting is tried again: with PostgreSQL as soon as Optuna's heartbeat has been missing for
a while; with a journal when a worker starts and the lock files show no other worker.
"""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from fluxeq.errors import InputError
from fluxeq.searching.journal import Journal
from fluxeq.system.files import locked, require_writable

HEARTBEAT = 60
"""Seconds between heartbeats of a trial; a worker without one for twice as long counts as dead."""
MOST_WORKERS = 64
"""Per journal."""
MOST_RETRIES = 3
"""Retries of a setting whose workers are killed, for example for lack of memory."""
DRIVER = "postgresql+psycopg:"
"""Driver used for ``postgresql:``, independent of SQLAlchemy's default."""
MAKING_TABLES = 0x666C7578
"""Advisory lock in the database, held by a worker while it opens the storage."""


def open_storage(url: str, heartbeat: int = HEARTBEAT) -> BaseStorage:
    """Open the storage at ``journal:///path`` (or a plain path), or at a ``postgresql://`` address.

    ``heartbeat``, in seconds, applies to databases. Raises InputError for any other address, a file that is not a
    journal, or if no server answers.
    """
    if heartbeat < 1:
        raise InputError(f"heartbeat = {heartbeat}: must be at least 1 second")
    if url.startswith("postgresql"):
        return _database(url, heartbeat)
    scheme, separator, path = url.partition("://")
    if separator and scheme != "journal":
        raise InputError(f"storage {url!r}: use journal:///PATH on one machine or postgresql://... for several")
    journal = Path(path if separator else url)
    require_writable(journal)
    journal.parent.mkdir(parents=True, exist_ok=True)
    return Journal(journal)


def _database(url: str, heartbeat: int) -> RDBStorage:
    """A PostgreSQL storage that detects dead workers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # heartbeats have been experimental for years
        try:
            return _connected(url.replace("postgresql:", DRIVER, 1), heartbeat)
        except (ImportError, SQLAlchemyError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"storage: PostgreSQL does not answer ({reason}); check that it is running and a driver is installed "
                "(pip install 'fluxeq[postgres]')"
            ) from None


def _connected(url: str, heartbeat: int) -> RDBStorage:
    """A storage; workers that start together on an empty database create its tables one after another."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection, connection.begin():  # the lock ends with the transaction
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MAKING_TABLES})
            return RDBStorage(url, heartbeat_interval=heartbeat, heartbeat_stale_trial_callback=_try_again)
    finally:
        engine.dispose()


@contextmanager
def registered_worker(study: optuna.Study, storage: BaseStorage) -> Iterator[None]:
    """Register this process as a worker of the study during the block, after recovering trials of killed workers."""
    with ExitStack() as held:
        alone = _is_alone(storage.path, held) if isinstance(storage, Journal) else not isinstance(storage, RDBStorage)
        if alone:  # running trials are those of killed workers
            fail_stale(study)
        yield


def _is_alone(journal: Path, held: ExitStack) -> bool:
    """Lock the first free worker slot of a journal; returns whether all other slots are free."""
    mine, others = False, 0
    for i in range(MOST_WORKERS):
        place = journal.with_name(f"{journal.name}.{i}.lock")
        if mine and not place.exists():
            return not others
        with ExitStack() as asked:
            if not asked.enter_context(locked(place, wait=False)):
                others += 1
            elif not mine:
                held.enter_context(asked.pop_all())
                mine = True
    raise InputError(f"storage {journal}: already has {MOST_WORKERS} workers; use PostgreSQL for more")


def fail_stale(study: optuna.Study) -> None:
    """Mark all running trials as failed, and queue their settings again."""
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
        _try_again(study, trial)


def was_declared_dead(error: ValueError) -> bool:
    """Whether a worker could not finish its trial because it was considered dead."""
    return str(error) == f"Cannot tell a {TrialState.FAIL.name} trial."


def _try_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue the setting of a trial again, unless it was incomplete."""
    if "config" not in trial.user_attrs:
        trial.params, trial.distributions = {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # experimental for years
        RetryHeartbeatStaleTrialCallback(MOST_RETRIES)(study, trial)
