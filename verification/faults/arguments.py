"""Arguments: every option of every command at its extremes, alone and in pairs.

Options are read from the command line's own description, so new ones are covered automatically.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass

from hypothesis import strategies as st

from fluxeq.cli.commands import app
from verification.faults.case import Case, Stage
from verification.faults.contents import contents
from verification.faults.drawn import drawn

TRAIN = {"--task": "regression", "--architecture": "EQ", "--data": "one.h5", "--validation": "two.h5"}
PHI4 = {"--eta": "4.01", "--lam": "1", "--mu": "1.5"}
BASES: dict[str, dict[str, str | None]] = {
    "sample": {
        "--shape": "2x2",
        **PHI4,
        "--configurations": "10",
        "--output": "e.h5",
    },
    "measure": {"ENSEMBLE": "one.h5"},
    "worms": {"ENSEMBLE": "wide.h5", "--number": "0,1", "--output": "w.h5"},
    "train": {**TRAIN, "--recipe": "recipe.json", "--config": "small.json", "--output": "m"},
    "evaluate": {"MODEL": "models/EQ-000.safetensors", "--data": "two.h5"},
    "predict": {"MODEL": "models/EQ-000.safetensors", "--data": "one.h5", "--output": "p.csv"},
    "search": {
        **TRAIN,
        "--recipe": "recipe.json",
        "--space": "space.json",
        "--trials": "1",
        "--repeats": "1",
        "--seed": "1",
        "--storage": "j.log",
        "--output": "s",
    },
    "reproduce": {"STUDY": "tiny.toml", "--output": "whole"},
    "status": {"RUN": "whole"},
    "figure": {"RUN-OR-TABLES": "whole", "NAME": "fig3"},
    "report": {"RUN": "whole"},
    "doctor": {},
    "curves": {"MODEL": "models/EQ-000.safetensors", "--output": "c.png"},
    "data": {"STUDY": "tiny.toml", "--output": "whole"},
    "benchmark": {"FUNCTION": "mine:predict", "STUDY": "tiny.toml", "--task": "regression", "--output": "whole"},
    "import": {"FILE": "arrays.npz", **PHI4, "--output": "i.h5"},
    "export": {"ENSEMBLE": "one.h5", "--output": "x.npz"},
}
"""A cheap command line for every command: values by option or positional argument."""
NUMBERS = (
    *("", "0", "-0", "-1", "1", "2", "3", "0.5", "1e3", "1_000", "+7", " 5", "0x10", "1000000", f"{10**18}"),
    *(f"{10**30}", f"-{10**30}", "1e308", "-1e308", "1e-308", "1e999", "nan", "inf", "-inf"),
)
TEXTS = (
    *("nonsense", "é", "∞", "٣", "\uff15", "\udcff", "😀", "a b", "a\nb", "\t", "%s{}", "--", "-"),
    *("x" * 300, "y" * 100_000),
)
LISTS = (
    *(",", "0,0", "0,1,", "5,1", "0,1000000", "1,-1", "0;1", "2x", "2x2x2", "1x1", "0x2", "3x5", "2x2x2x2x2"),
    "1000000x1000000",
)
NAMES = (
    *("regression", "detection", "counting", "EQ", "ST", "FL", "cpu", "cuda", "tpu", "local", "dask", "quick"),
    *("fig1", "search", "n=0.1", "n=0", "n=", "phi2=nan", "phi2=1e-30", "tcp://127.0.0.1:1"),
    *("journal:///dev/full", "sqlite:///x", "postgresql://127.0.0.1:1/x"),
)
PLACES = (
    *(".", "/", "folder", "folder/", "nowhere/a/b", "locked/file", "secret", "dangling", "loop", "pipe", "link"),
    *("/dev/null", "/dev/full", "/dev/zero", "/dev/stdin", "/proc/x", "/proc/self/mem", "one.h5", "one.h5/x"),
    *("text", "empty", "worms.h5", "cube.h5", "wide.h5", "recipe.json", "space.json", "journal.log", "whole"),
    *("begun", "flat/FL-000.safetensors"),
)
VALUES = (*NUMBERS, *TEXTS, *LISTS, *NAMES, *PLACES)
PRINTABLE = st.characters(codec="utf-8", exclude_characters="\0")
"""The characters of an argument, without surrogates."""
LONGEST = 6.0
"""Seconds after which a command that found no error, and works, is stopped."""


@dataclass(frozen=True)
class Argument(Case):
    """A command with odd arguments."""

    def play(self, stage: Stage) -> Iterator[str]:
        """It obeys the rules, and an error changes nothing."""
        stage.put(*self.needs)
        odd_places(stage)
        before = contents(stage.folder)
        outcome = stage.run(self.words, longest=LONGEST)
        yield from stage.judged(outcome)
        if outcome.code == 2:
            after = contents(stage.folder)
            yield from (f"changed {name}" for name in sorted(before) if after.get(name) != before[name])


def odd_places(stage: Stage) -> None:
    """Files and folders of unexpected kinds: unreadable ones, dangling links, a pipe."""
    here = stage.folder
    (here / "folder").mkdir()
    (here / "locked").mkdir()
    (here / "locked").chmod(0o555)
    (here / "secret").touch(0o000)
    (here / "dangling").symlink_to("nowhere/at/all")
    (here / "loop").symlink_to("loop")
    (here / "link").symlink_to("behind-link")
    os.mkfifo(here / "pipe")


def options(command: str) -> dict[str, tuple[str, ...]]:
    """The options and positional arguments of a command, by name, with values to try; a flag has none."""
    found = app[command].assemble_argument_collection()
    return {argument.name: values(str(argument.hint)) for argument in found}


def values(hint: str) -> tuple[str, ...]:
    """Values to try for an option of some type; more if anything is allowed."""
    if "bool" in hint:
        return ()
    if "int" in hint or "float" in hint:
        return (*NUMBERS, *TEXTS, ".", "one.h5", "2x2", "0,1")
    return (*NUMBERS[:4], *TEXTS, *PLACES) if "Path" in hint else VALUES


def commands() -> list[str]:
    """All commands."""
    return [name for name in app if not name.startswith("-")]


def line(command: str, given: dict[str, str | None]) -> tuple[str, ...]:
    """The arguments of a command: positional ones first, flags without a value."""
    places = [value for name, value in given.items() if not name.startswith("-") and value is not None]
    named = [word for name, value in given.items() if name.startswith("-") for word in (name, value)]
    return (command, *places, *(word for word in named if word is not None))


def singles(command: str) -> Iterator[Argument]:
    """Every option: omitted, without its value, twice, and with every value."""
    base = BASES[command]
    for name, tried in options(command).items():
        left = {other: value for other, value in base.items() if other != name}
        yield Argument(line(command, left))
        if name.startswith("-"):
            yield Argument((*line(command, left), name))
            yield Argument((*line(command, left), name, name))
            yield from (Argument((*line(command, left), f"{name}={value}")) for value in ("", "1", "-1", "no"))
        if not tried:
            continue
        yield Argument((*line(command, base), *((name,) if name.startswith("-") else ()), base.get(name) or "1"))
        yield from (Argument(line(command, {**base, name: value})) for value in tried)


def pairs(seed: int) -> Iterator[Argument]:
    """Two options of a command with odd values, or arbitrary ones from Hypothesis, without end."""
    anything = st.one_of(st.integers().map(str), st.floats().map(repr), st.text(PRINTABLE, max_size=20))
    value = st.one_of(st.sampled_from(VALUES), st.sampled_from(VALUES), anything)

    def changed(command: str) -> st.SearchStrategy[Argument]:
        names = st.sampled_from([name for name, tried in options(command).items() if tried])
        changes = st.dictionaries(names, value, min_size=2, max_size=2)
        return changes.map(lambda given: Argument(line(command, {**BASES[command], **given})))

    several = [command for command in commands() if len(options(command)) > 2]
    yield from drawn(st.sampled_from(several).flatmap(changed), seed)


def cases(seed: int) -> Iterator[Argument]:
    """Every value of every option, in random order; then pairs."""
    rng = random.Random(seed)
    found = [case for command in commands() for case in singles(command)]
    found += [Argument(words) for words in ((), ("--help",), ("-h",), ("--version",), ("",), ("--",), ("é",))]
    found += [Argument((command, "--help")) for command in commands()]
    rng.shuffle(found)
    yield from found
    yield from pairs(seed)
