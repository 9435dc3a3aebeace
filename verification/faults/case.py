"""A case: commands in a folder of their own, and what must hold afterwards."""

import hashlib
import shlex
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from verification.faults.commands import Order, Server
from verification.faults.contents import Contents, contents
from verification.faults.inputs import Inputs, named
from verification.faults.law import Outcome, leftovers, offences


@dataclass
class Stage:
    """What a case runs in: an empty folder, inputs, and a server that starts commands."""

    folder: Path
    inputs: Inputs
    server: Server
    environment: Mapping[str, str]
    slack: float = 1.0
    """Factor on the time limits, for a busy machine."""
    last: Outcome | None = field(default=None, init=False)
    """The outcome of the last command."""
    _left: set[str] = field(default_factory=set, init=False)
    """Leftovers in the folder before it."""

    def within(self, name: str) -> Self:
        """The same in a new subfolder."""
        folder = self.folder / name
        folder.mkdir()
        return replace(self, folder=folder)

    def put(self, *names: str) -> None:
        """Copy inputs into the folder."""
        self.inputs.copy(names, self.folder)

    def order(self, words: Iterable[str], **settings: Any) -> Order:
        """An order for a command in the folder, with changes to the environment and other settings."""
        changes: Mapping[str, str | None] = settings.pop("environment", {})
        merged = {**self.environment, **changes}
        environment = {name: value for name, value in merged.items() if value is not None}
        return Order(tuple(words), self.folder, environment, slack=self.slack, **settings)

    def run(self, words: Iterable[str], **settings: Any) -> Outcome:
        """Run a command in the folder."""
        self._left = set(leftovers(self.folder))
        self.last = self.server.run(self.order(words, **settings))
        return self.last

    def judged(self, outcome: Outcome) -> Iterator[str]:
        """Violations of the rules, by a command and by the files it left."""
        yield from offences(outcome, self.slack)
        if outcome.sent is None or outcome.code >= 0:
            yield from (line for line in leftovers(self.folder) if line not in self._left)


@dataclass(frozen=True)
class Case(ABC):
    """One case, as plain data."""

    words: tuple[str, ...]

    @abstractmethod
    def play(self, stage: Stage) -> Iterator[str]:
        """Everything that went wrong, one line each."""

    @property
    def detail(self) -> str:
        """What is done to the command; empty if only its arguments matter."""
        return ""

    def prepare(self, stage: Stage) -> None:
        """Copy the files that it reads into its folder."""
        stage.put(*self.needs)

    @property
    def needs(self) -> set[str]:
        """Inputs to be copied into its folder."""
        return named(self.words)

    def __str__(self) -> str:
        line = f"fluxeq {shlex.join(short(word) for word in self.words)}"
        return f"{line}   # {self.detail}" if self.detail else line


class Results:
    """Results of undisturbed commands: the outcome and the content of the folder, each computed once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._found: dict[str, tuple[Outcome, Contents]] = {}

    def of(self, words: tuple[str, ...], stage: Stage, prepare: Callable[[Stage], None]) -> tuple[Outcome, Contents]:
        """The outcome of a command in an empty folder after ``prepare``, and the content of the folder."""
        key = "\0".join(words)
        with self._lock:
            own = self._locks.setdefault(key, threading.Lock())
        with own:
            if key not in self._found:
                folder = stage.folder.with_name(f"undisturbed-{hashlib.sha256(key.encode()).hexdigest()[:8]}")
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                quiet = replace(stage, folder=folder, slack=30.0)
                prepare(quiet)
                self._found[key] = quiet.run(words, longest=600), contents(folder)
                shutil.rmtree(folder)
        return self._found[key]


UNDISTURBED = Results()


def short(word: str) -> str:
    """A word, shortened for display if it is long."""
    return word if len(word) <= 60 else f"{word[:20]}...({len(word)} characters)"
