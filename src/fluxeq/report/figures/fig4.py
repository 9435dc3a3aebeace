"""Figure 4: test loss of the regression against the size of the lattice, over all mu of the test."""

from fluxeq.report.figures.comparison import comparison

FIGURE = comparison(
    "fig4",
    "regression",
    "shape",
    {"loss": "test loss (mean squared error\nof $n$ and $|\\phi|^2$, lattice units)"},
    "Figure 4. Test loss against lattice size. Where a stride does not divide a lattice, windows overlap around it.",
    "EQ is about three orders of magnitude more accurate than ST on every lattice.",
    height=2.8,
)
