"""Figure 7b: counting as a function of the lattice size, over all couplings and numbers of worms of the test."""

from fluxeq.report.figures.comparison import comparison

FIGURE = comparison(
    "fig7b",
    "counting",
    "shape",
    {"loss": "test loss\n(squared error of the number)", "accuracy": "test accuracy"},
    "Figure 7b. Counting open worms: test loss and accuracy as functions of lattice size.",
    "EQ is far better than ST; all its instances count without errors.",
)
