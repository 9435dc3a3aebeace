"""Figure 6a: detection of an open worm as a function of mu, on the training lattice, over all eta of the test."""

from fluxeq.report.figures.comparison import comparison

FIGURE = comparison(
    "fig6a",
    "detection",
    "mu",
    {"loss": "test loss\n(cross-entropy)", "accuracy": "test accuracy"},
    "Figure 6a. Detection of open worms: test loss and accuracy as functions of mu, on the training lattice.",
    "Loss and accuracy depend little on mu; FL is worse than EQ, ST is very close to it.",
)
