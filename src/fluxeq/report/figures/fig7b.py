"""Figure 7b: counting open worms against the size of the lattice, over all couplings and numbers of the test."""

from fluxeq.report.figures.comparison import comparison

FIGURE = comparison(
    "fig7b",
    "counting",
    "shape",
    {"loss": "test loss\n(squared error of the number)", "accuracy": "test accuracy"},
    "Figure 7b. Counting open worms: test loss and accuracy against lattice size.",
    "EQ is far better than ST; all of its instances count without an error.",
)
