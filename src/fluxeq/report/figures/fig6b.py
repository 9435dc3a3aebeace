"""Figure 6b: detection of an open worm against the size of the lattice, over all eta and mu of the test."""

from fluxeq.report.figures.comparison import comparison

FIGURE = comparison(
    "fig6b",
    "detection",
    "shape",
    {"loss": "test loss\n(cross-entropy)", "accuracy": "test accuracy"},
    "Figure 6b. Detection of open worms: test loss and accuracy against lattice size.",
    "Larger lattices lower the precision.",
)
