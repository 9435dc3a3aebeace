"""Properties of architectures by name; those of fluxeq are hard-coded, since importing them takes seconds."""

OWN = {"EQ": ("blocks",), "ST": ("blocks",), "FL": ("blocks", "shape"), "": ()}
"""Fields of the configs; the empty name stands for an external function."""


def is_bound(architecture: str) -> bool:
    """Whether its networks work on their training lattice only."""
    return "shape" in _fields(architecture)


def pools_feature_maps(architecture: str) -> bool:
    """Whether its networks pool feature maps of convolutions; flattened feature maps have no individual meaning."""
    return "blocks" in _fields(architecture) and not is_bound(architecture)


def _fields(architecture: str) -> tuple[str, ...]:
    if architecture in OWN:
        return OWN[architecture]
    from fluxeq.nets.architecture import ARCHITECTURES

    return tuple(ARCHITECTURES[architecture].model_fields)
