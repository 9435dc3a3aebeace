"""What the name of an architecture says; those of fluxeq are not looked up, since that takes seconds."""

OWN = {"EQ": ("blocks",), "ST": ("blocks",), "FL": ("blocks", "shape"), "": ()}
"""Fields of configs; the empty name is that of a function."""


def is_bound(architecture: str) -> bool:
    """Whether its networks take no lattice but that of their training."""
    return "shape" in _fields(architecture)


def pools_feature_maps(architecture: str) -> bool:
    """Whether its networks pool what blocks of convolutions made; flattened feature maps have no meaning each."""
    return "blocks" in _fields(architecture) and not is_bound(architecture)


def _fields(architecture: str) -> tuple[str, ...]:
    if architecture in OWN:
        return OWN[architecture]
    from fluxeq.nets.architecture import ARCHITECTURES

    return tuple(ARCHITECTURES[architecture].model_fields)
