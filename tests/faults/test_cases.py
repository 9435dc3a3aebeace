"""A few cases of every kind; ``python -m verification.faults`` runs thousands of them."""

from itertools import islice

import pytest

from verification.faults import arguments
from verification.faults.kinds import KINDS
from verification.faults.trial import opened

SLACK = 6.0  # machines that run tests are busy
N_CASES = {"arguments": 40, "damage": 16, "chains": 10, "couplings": 12, "studies": 8, "ensembles": 10, "models": 8}
N_CASES |= {"runners": 2, "environments": 3, "streams": 3, "disks": 2, "couples": 2, "signals": 4}

SLOW = {"reproduce", "report"}
"""Commands that take seconds, left to the long run."""


@pytest.fixture(scope="module")
def trial():
    with opened(SLACK) as trial:
        yield trial


def test_every_command_has_a_base():
    assert sorted(arguments.BASES) == sorted(arguments.commands())
    for command, given in arguments.BASES.items():
        assert set(given) <= set(arguments.options(command))


@pytest.mark.parametrize("kind", KINDS)
def test_cases_are_the_same_for_the_same_seed(kind):
    cases, _ = KINDS[kind]
    one, two, other = (list(map(str, islice(cases(seed), 30))) for seed in (1, 1, 2))
    assert one == two != other


@pytest.mark.parametrize("kind", KINDS)
def test_survives(trial, kind):
    cases, _ = KINDS[kind]
    quick = ((i, case) for i, case in enumerate(cases(0)) if not set(case.words[:1]) & SLOW)
    tried = list(trial.try_all(kind, islice(quick, N_CASES[kind]), n_jobs=2))
    assert len(tried) == N_CASES[kind]
    wrong = [f"{one.case}: {line}" for one in tried for line in one.offences]
    assert not wrong, "\n".join(wrong)
