"""fluxeq: lattice field theory in its flux representation, and what network symmetries are worth on it."""
