"""Figure 7a: counting as a function of the number of open worms, on the training lattice, over all couplings."""

from fluxeq.report.figures.comparison import comparison

FIGURE = comparison(
    "fig7a",
    "counting",
    "n_worms",
    {"loss": "test loss\n(squared error of the number)", "accuracy": "test accuracy"},
    "Figure 7a. Counting open worms: test loss and accuracy as functions of their number, on the training lattice.",
    "EQ does well for every number of worms; ST and FL fail at small numbers.",
)
