"""Errors reported to the user, each in one line: the value, the rule and the way out."""

import os.path
import traceback


def bug_message(error: BaseException) -> str:
    """The message for an unexpected exception, in one line with its location."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"a bug in fluxeq: {error!r} in {os.path.basename(where.filename)}:{where.lineno}; please report it"


class InputError(ValueError):
    """Invalid input; the message is one line with the reason and the way out."""


class StabilityError(InputError):
    """The free theory has no ground state: the integral over the field diverges."""


class FluxOverflowError(InputError):
    """A flux does not fit into the int8 of a stored configuration; the message names the link, or the couplings."""


class DivergedError(InputError):
    """A training diverged: its loss was never finite."""


class GoalMissedError(RuntimeError):
    """The target error was not reached with the maximum number of configurations; those sampled are kept."""


class ClusterLostError(RuntimeError):
    """The cluster was lost; finished work is kept, and the same call resumes."""


class JobError(RuntimeError):
    """A job of a study failed because of a bug; the message is one line, and finished work is kept."""


class WorkerLostError(RuntimeError):
    """A worker process was killed; finished work is kept, and the same call resumes."""
