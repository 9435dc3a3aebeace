"""Errors that the user is told of, each in one line: the value, the rule and the way out."""

import os.path
import traceback


def as_fault(error: BaseException) -> str:
    """What is said of an exception that nobody has foreseen: in one line, with its place."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"a fault of fluxeq: {error!r} in {os.path.basename(where.filename)}:{where.lineno}; please report it"


class InputError(ValueError):
    """Something the caller gave cannot be used; the message is one line that says why and what would do."""


class StabilityError(InputError):
    """The free theory has no ground state: the integral over the field diverges."""


class FluxOverflowError(InputError):
    """A flux does not fit into the int8 of a stored configuration; the message names the link, or the couplings."""


class DivergedError(InputError):
    """A training whose loss was never finite."""


class GoalMissedError(RuntimeError):
    """An error that was to be reached is not, with as many configurations as were allowed; what was made is kept."""


class ClusterLostError(RuntimeError):
    """The machines that did the work have gone; what they finished is kept, and the same call goes on with the rest."""


class JobError(RuntimeError):
    """A job of a study failed by a fault of ours; the message is one line, and what was finished is kept."""


class WorkerLostError(RuntimeError):
    """A process that did some of the work was killed; what it finished is kept, and the same call goes on."""
