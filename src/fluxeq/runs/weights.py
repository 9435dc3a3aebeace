"""The order of jobs, chosen so that an unfinished run is as informative as possible."""

from enum import Enum


class Weight(float, Enum):
    """Of the jobs that are ready, the heaviest starts first.

    Claims are judged on the networks of the largest training sets, which therefore come first. The other sizes follow
    by increasing cost; at equal size, trainings with augmentation come first, since they take longest. References,
    needed by one claim only, come last.
    Otherwise sections have the order of the study file: an expensive section of little value belongs at its end.
    """

    SCORES = 1e15
    DATA = 1e14
    SEARCH = 1e13
    LARGEST = 1e12
    TRAINING = 0.0
    REFERENCE = -1e12
