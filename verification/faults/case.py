"""A case: commands in a folder of their own, and what must be true afterwards."""

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
    """What a case has to do with: an empty folder, inputs, and a server that starts commands."""

    folder: Path
    inputs: Inputs
    server: Server
    environment: Mapping[str, str]
    slack: float = 1.0
    """How much longer than usual commands may be silent, on a busy machine."""
    last: Outcome | None = field(default=None, init=False)
    """How the last command went."""
    _left: set[str] = field(default_factory=set, init=False)
    """What lay around before it."""

    def within(self, name: str) -> Self:
        """The same in a new folder inside."""
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
        """What was against the law, in a command and in what it left."""
        yield from offences(outcome, self.slack)
        if outcome.sent is None or outcome.code >= 0:
            yield from (line for line in leftovers(self.folder) if line not in self._left)


@dataclass(frozen=True)
class Case(ABC):
    """One case; plain data."""

    words: tuple[str, ...]

    @abstractmethod
    def play(self, stage: Stage) -> Iterator[str]:
        """What went wrong, a line each."""

    @property
    def detail(self) -> str:
        """What is done to the command; empty if it is only its words."""
        return ""

    def prepare(self, stage: Stage) -> None:
        """Put what it reads into its folder."""
        stage.put(*self.needs)

    @property
    def needs(self) -> set[str]:
        """Inputs to be copied into its folder."""
        return named(self.words)

    def __str__(self) -> str:
        line = f"fluxeq {shlex.join(short(word) for word in self.words)}"
        return f"{line}   # {self.detail}" if self.detail else line


class Results:
    """What undisturbed commands give: how they go and what is in the folder afterwards, each found once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._found: dict[str, tuple[Outcome, Contents]] = {}

    def of(self, words: tuple[str, ...], stage: Stage, prepare: Callable[[Stage], None]) -> tuple[Outcome, Contents]:
        """How a command goes in an empty folder after ``prepare``, and what it leaves there."""
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
    """A word that may be long, for people."""
    return word if len(word) <= 60 else f"{word[:20]}...({len(word)} characters)"
