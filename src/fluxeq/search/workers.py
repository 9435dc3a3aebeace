"""How a worker that was killed is told from one that is busy.

On one machine every worker holds a lock on a file beside the journal; the kernel frees it however the worker ends, so
that neither clocks nor process numbers matter. Across machines the storage keeps a heartbeat for every trial that runs.
A trial is signed as soon as it is there; one that stays unsigned, or that no worker is left to sign, was killed in
between.
"""

import fcntl
import secrets
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from fluxeq.search.journal import Journal

SIGNED = "worker"
"""The attribute of a trial that names its worker."""
UNSIGNED = 60.0
"""Seconds after which a trial that nobody has signed is nobody's."""


class Workers(ABC):
    """The workers of a study as one of them sees the others."""

    def __init__(self) -> None:
        self.name = secrets.token_hex(8)
        self._unsigned: dict[int, float] = {}

    @contextmanager
    def working(self) -> Iterator[None]:
        """While the block runs, this worker counts as alive; nothing to do where its trials say so."""
        yield

    @contextmanager
    def training(self, trial: optuna.Trial) -> Iterator[None]:
        """Sign a trial; while the block runs, others leave it alone."""
        trial.set_user_attr(SIGNED, self.name)
        yield

    @abstractmethod
    def _bury_signed(self, study: optuna.Study) -> None:
        """Mark the signed trials whose worker is gone as failed."""

    def bury(self, study: optuna.Study) -> None:
        """Mark the trials of killed workers as failed; not to be called while training."""
        self._bury_signed(study)
        unsigned = [trial for trial in running(study) if SIGNED not in trial.user_attrs]
        now = time.monotonic()
        self._unsigned = {trial.number: self._unsigned.get(trial.number, now) for trial in unsigned}
        patience = 0.0 if unsigned and self._others_are_gone() else UNSIGNED
        for trial in unsigned:
            if now - self._unsigned[trial.number] >= patience:
                fail(study, trial)

    def _others_are_gone(self) -> bool:
        """Whether there is surely no other worker."""
        return False


class Alone(Workers):
    """A study in the memory of this process, where whatever runs without it was left unfinished."""

    def _bury_signed(self, study: optuna.Study) -> None:
        for trial in running(study):
            fail(study, trial)


class OneMachine(Workers):
    """Workers that share a journal file, each with a lock on a file of its own beside it."""

    def __init__(self, journal: Path) -> None:
        super().__init__()
        self._journal = journal

    @contextmanager
    def working(self) -> Iterator[None]:
        """Hold the lock."""
        path = self._lock_file(self.name)
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def _bury_signed(self, study: optuna.Study) -> None:
        for trial in running(study):
            if SIGNED in trial.user_attrs and not self._is_alive(trial.user_attrs[SIGNED]):
                fail(study, trial)

    def _is_alive(self, name: str) -> bool:
        """Whether a worker holds its lock; what a killed one left behind is removed."""
        path = self._lock_file(name)
        if name == self.name:
            return False  # this worker is not training, or it could not ask
        alive = _is_held(path)
        if not alive:
            path.unlink(missing_ok=True)
        return alive

    def _others_are_gone(self) -> bool:
        # A worker asks for trials only once it holds the lock, so a file that nobody holds is of no harm.
        own = self._lock_file(self.name)
        beside = (path for path in own.parent.iterdir() if path.name.startswith(self._lock_file("").name))
        return not any(_is_held(path) for path in beside if path != own)

    def _lock_file(self, name: str) -> Path:
        return self._journal.with_name(f"{self._journal.name}.worker-{name}")


def _is_held(path: Path) -> bool:
    """Whether a process holds the lock of a file; not if it is not there."""
    with suppress(FileNotFoundError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class ManyMachines(Workers):
    """Workers that share a database with a heartbeat."""

    def __init__(self, storage: optuna.storages.RDBStorage) -> None:
        super().__init__()
        self._storage = storage

    @contextmanager
    def training(self, trial: optuna.Trial) -> Iterator[None]:
        """Let the heart of the trial beat from a thread of its own, and sign it."""
        self._storage.record_heartbeat(trial._trial_id)
        trial.set_user_attr(SIGNED, self.name)
        ended = threading.Event()
        heart = threading.Thread(target=self._beat, args=(trial._trial_id, ended), daemon=True)
        heart.start()
        try:
            yield
        finally:
            ended.set()
            heart.join()

    def _beat(self, trial_id: int, ended: threading.Event) -> None:
        while not ended.wait(self._storage.get_heartbeat_interval()):
            try:
                self._storage.record_heartbeat(trial_id)
            except StorageInternalError:
                continue  # the server may come back; if it does not, the training's own writes say so

    def _bury_signed(self, study: optuna.Study) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            optuna.storages.fail_stale_trials(study)


def workers_of(storage: optuna.storages.BaseStorage) -> Workers:
    """The workers that can share a storage."""
    if isinstance(storage, Journal):
        return OneMachine(storage.path)
    return ManyMachines(storage) if isinstance(storage, optuna.storages.RDBStorage) else Alone()


def running(study: optuna.Study) -> list[FrozenTrial]:
    """All trials that run, or seem to."""
    return study.get_trials(deepcopy=False, states=[TrialState.RUNNING])


def fail(study: optuna.Study, trial: FrozenTrial) -> None:
    """Mark a trial as failed, unless somebody else has or it has ended after all."""
    with suppress(UpdateFinishedTrialError):
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
