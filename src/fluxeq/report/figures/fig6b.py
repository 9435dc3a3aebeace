"""Figure 6b: detection of an open worm as a function of the lattice size, over all eta and mu of the test."""

from fluxeq.report.figures.comparison import comparison

FIGURE = comparison(
    "fig6b",
    "detection",
    "shape",
    {"loss": "test loss\n(cross-entropy)", "accuracy": "test accuracy"},
    "Figure 6b. Detection of open worms: test loss and accuracy as functions of lattice size.",
    "Larger lattices reduce the accuracy.",
)
