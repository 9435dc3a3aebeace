"""Figure 4: test loss of the regression as a function of the lattice size, over all mu of the test."""

from fluxeq.report.figures.comparison import comparison

FIGURE = comparison(
    "fig4",
    "regression",
    "shape",
    {"loss": "test loss (mean squared error\nof $n$ and $|\\phi|^2$, lattice units)"},
    "Figure 4. Test loss as a function of lattice size. If a stride does not divide an extent, the last window wraps "
    "around.",
    "EQ is about three orders of magnitude more accurate than ST on every lattice.",
    height=2.8,
)
