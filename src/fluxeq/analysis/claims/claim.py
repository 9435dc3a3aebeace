"""Claims, their registry, and their judgement on a run, in the order of the paper.

    loss of a family     = median over its instances of the mean loss over all targets and configurations of the tests
    accuracy of a family = likewise
    [a ... b]            = 95 % of the bootstrap over instances

Each claim is judged twice, for families with fixed layers and for those found by searches. It holds if the whole
interval satisfies the threshold, does not hold if the whole interval violates it, and is undecided otherwise.

A claim is an instance of ``Claim`` registered by its id in ``fluxeq.claims``. Every threshold is a constant of its
module, fixed beforehand, with its reason; none is a setting. Verified on a synthetic run on which all claims hold, and
for each claim on runs that violate it, leave it undecided, or lack its data.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from fluxeq.analysis.claims.bound import Bound, all_hold, undecided
from fluxeq.analysis.tables import Results
from fluxeq.errors import InputError
from fluxeq.registry import Registry
from fluxeq.study.family import PROTOCOLS
from fluxeq.system.files import write_json

Word = Literal["holds", "does not hold", "undecided", "not run"]
WORDS: tuple[Word, ...] = get_args(Word)
_IN_WORDS: dict[bool | None, Word] = {True: "holds", False: "does not hold", None: "undecided"}


class Verdict(NamedTuple):
    """The measurement in words, and whether the claim holds; None if undecided."""

    measured: str
    holds: bool | None
    bounds: Sequence[Bound] = ()
    """The numbers and their required ranges."""


def verdict(measured: str, bounds: Sequence[Bound]) -> Verdict:
    """The verdict of a claim that requires all bounds; reports undecided ones. Raises InputError if there are none."""
    if not bounds:
        raise InputError(f"{measured}: nothing to compare")
    holds = all_hold(bounds)
    return Verdict(f"{measured}; {undecided(bounds)}" if holds is None else measured, holds, bounds)


@dataclass(frozen=True)
class Claim:
    """A statement, such as one of the paper, and how it is judged."""

    id: str
    statement: str
    paper: str
    """The paper's number or words."""
    judge: Callable[[Results], Verdict]
    """Judges the results of one protocol. Raises InputError if the run lacks the data."""
    section: str = ""
    """The section of the study concerned; empty for all."""
    quantity: str = ""
    """Description of its numbers."""


@dataclass(frozen=True)
class Judgement:
    """The result of a claim on a run under one protocol: an entry of ``claims.json``."""

    id: str
    protocol: str
    statement: str
    paper: str
    measured: str
    """The numbers of this run, or those missing."""
    verdict: Word


def _require_claim(name: str, found: Any) -> Claim:
    if not isinstance(found, Claim):
        raise InputError(f"claim {name!r}: must be an instance of fluxeq.analysis.claims.Claim")
    if ":" not in name and found.id != name:
        raise InputError(f"claim {name!r}: its id is {found.id!r}; the names must agree")
    return found


_PAPER = (*(f"R{i}" for i in range(1, 7)), *(f"D{i}" for i in range(1, 5)), "C1", "C2", "S1")
CLAIMS: Registry[Claim] = Registry("claim", "claims", _require_claim, *_PAPER)
"""All claims by id, those of the paper first."""


def judge(run: Path) -> list[Judgement]:
    """All claims in order, each under both protocols; claims without data in the run are "not run"."""
    results = Results(run)
    of = {protocol: results.of(protocol) for protocol in PROTOCOLS}
    return [judged(CLAIMS[name], of[protocol]) for name in CLAIMS for protocol in PROTOCOLS]


def judged(claim: Claim, results: Results) -> Judgement:
    """Judge one claim on the results of one protocol."""
    word: Word
    try:
        if claim.section and not results.families(claim.section):
            raise InputError(f"study.toml: the {claim.section} has no families of the protocol {results.protocol!r}")
        measured, holds, _ = claim.judge(results)
        word = _IN_WORDS[None if holds is None else bool(holds)]
    except InputError as error:
        measured, word = f"not run: {error}".replace(f"{results.run}/", ""), "not run"
    return Judgement(claim.id, str(results.protocol), claim.statement, claim.paper, measured, word)


def numbers_of(claim: Claim, results: Results) -> Sequence[Bound]:
    """The numbers on which a claim is judged under one protocol; empty if the run lacks them."""
    try:
        return claim.judge(results).bounds
    except InputError:
        return ()


def write_claims(run: Path) -> list[Judgement]:
    """Judge all claims and write them to ``claims.json`` of the run."""
    found = judge(run)
    write_json(run / "claims.json", [asdict(judgement) for judgement in found])
    return found
