"""The order of the work, so that an unfinished run says as much as it can."""

from enum import Enum


class Weight(float, Enum):
    """Of the jobs that could begin, the heaviest does.

    The claims of a run are judged on the networks of the largest training sets; of the others small ones come first,
    which cost least, and of equal ones those with augmentation, which take longest and would keep the end waiting.
    References, which one claim needs, come last.
    Otherwise sections have the order of the study file: one that costs much for little belongs at its end.
    """

    SCORES = 1e15
    DATA = 1e14
    SEARCH = 1e13
    LARGEST = 1e12
    TRAINING = 0.0
    REFERENCE = -1e12
