"""Cases drawn by Hypothesis from a seed."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

BLOCK = 50
"""Cases drawn together; the first ones are the simplest."""
T = TypeVar("T")


def _noting(found: list[T]) -> Callable[[T], None]:
    def note(example: T) -> None:
        found.append(example)

    return note


def drawn(strategy: SearchStrategy[T], seed: int) -> Iterator[T]:
    """Distinct examples of a strategy, without end; the same for the same seed."""
    seen = set()
    for block in count():
        found: list[T] = []
        chosen = settings(
            max_examples=BLOCK,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        note = given(strategy)(_noting(found))
        hypothesis.seed(f"{seed} {block}")(chosen(note))()
        for one in found:
            if repr(one) not in seen:
                seen.add(repr(one))
                yield one
