"""Long statistical checks that the sampler is exact; ``python -m verification`` runs them all."""
