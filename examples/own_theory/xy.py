"""The XY model (spins of unit length) in its flux representation, a theory that is not part of fluxeq.

    Z = integral over all angles of  exp(beta sum over links of cos(theta_x - theta_y - i mu in time))

Expanded in hops, a link has the weight (beta/2)^(a+b) / (a! b!), times e^(mu (a-b)) in time; a site has W = 1.
"""

from dataclasses import dataclass

import numpy as np

from fluxeq.theory import FluxTheory


@dataclass(frozen=True)
class XY(FluxTheory):
    """Inverse temperature beta and chemical potential mu."""

    beta: float
    mu: float = 0.0

    def log_site_weight(self, f: np.ndarray) -> np.ndarray:
        """ln W = 0, since the field has a fixed modulus."""
        return np.zeros(np.shape(f))

    def hop_weights(self, d: int) -> np.ndarray:
        """beta / 2, times e^mu and e^-mu in time."""
        h = np.full(2 * d, self.beta / 2)
        h[[0, d]] *= np.exp([self.mu, -self.mu])
        return h
