"""Where a search keeps its trials, a journal file on one machine or PostgreSQL across machines, and who works on them.

SQLite and journals on network disks are known to fail with several writers, so SQLite is refused. The trial of a worker
that was killed fails, and its setting is tried again: with PostgreSQL as soon as its heartbeat, which Optuna keeps, has
been missing for a while; with a journal when a worker begins alone, as the locks of all workers beside it say.
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
"""Seconds between two heartbeats of a trial; a worker that is silent for twice as long counts as killed."""
MOST_WORKERS = 64
"""At one journal."""
MOST_RETRIES = 3
"""Of a setting whose workers are killed, say by its memory."""
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
            return RDBStorage(url, heartbeat_interval=heartbeat, heartbeat_stale_trial_callback=_try_again)
    finally:
        engine.dispose()


@contextmanager
def at_work(study: optuna.Study, storage: BaseStorage) -> Iterator[None]:
    """While the block runs, this process is a worker of the study; whatever killed ones left is taken up before it."""
    if isinstance(storage, RDBStorage):
        yield
    elif isinstance(storage, Journal):
        with ExitStack() as held:
            if _is_alone(storage.path, held):
                fail_stale(study)
            yield
    else:  # in the memory of this process
        fail_stale(study)
        yield


def _is_alone(journal: Path, held: ExitStack) -> bool:
    """Take the first place among the workers at a journal that nobody holds; whether nobody holds any other."""
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
    raise InputError(f"storage {journal}: {MOST_WORKERS} workers are at it already; use PostgreSQL for more")


def fail_stale(study: optuna.Study) -> None:
    """Let all trials that run fail, and their settings be tried again."""
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
        _try_again(study, trial)


def is_taken_for_dead(error: ValueError) -> bool:
    """Whether a worker could not end its trial, since it was silent for so long that it counts as killed."""
    return str(error) == f"Cannot tell a {TrialState.FAIL.name} trial."


def _try_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Put the setting of a trial into the queue, unless it had not chosen all of it."""
    if "config" not in trial.user_attrs:
        trial.params, trial.distributions = {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # for some years now
        RetryHeartbeatStaleTrialCallback(MOST_RETRIES)(study, trial)
