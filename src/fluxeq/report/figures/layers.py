"""The layers of a network in words, for figure 1, and its receptive field, from the study and its searches."""

from collections.abc import Iterator
from typing import Any

from fluxeq.analysis.tables import Results
from fluxeq.errors import InputError
from fluxeq.study.family import file_stem, searched_network

NEXT = " > "
"""Separator of layers."""


def layers_of(results: Results, section: str, family: str) -> str:
    """The layers of the first instance of a family in order; empty if its network is unknown."""
    return NEXT.join(_layers(_network(results, section, family)))


def receptive_field_of(results: Results, section: str, family: str) -> int | None:
    """Linear size of the receptive field of the feature maps of a family; None unless known for all instances."""
    from fluxeq.nets.network import receptive_field

    settings, blocks = results.section(section), getattr(_network(results, section, family), "blocks", None)
    n_networks = len(settings.families[family].networks) or settings.searches
    return receptive_field(blocks) if blocks and n_networks == 1 else None


def _network(results: Results, section: str, family: str) -> Any:
    """The config of the first instance of a family; None if unknown."""
    from fluxeq.nets.architecture import configured

    try:
        settings = results.section(section)
        if (about := settings.families.get(family)) is None:
            return None
        best = results.run / "searches" / f"{section}-{file_stem(about.architecture)}" / "best.json"
        network = about.networks[0] if about.networks else searched_network(best)
        return configured(about.architecture, network.config, settings.shape)
    except InputError:
        return None


def _layers(network: Any) -> Iterator[str]:
    for block in getattr(network, "blocks", ()):
        stride = f"stride {block.stride}" if block.stride > 1 else ""
        pooled = f"pool {block.pooling}x{block.pooling}" if block.pooling > 1 else ""
        own = f" {stride}" if stride and not pooled else ""
        yield f"conv {block.kernel}x{block.kernel}, {block.channels}{own}"
        if pooled:
            yield f"{pooled} {stride}".rstrip()
    dense = [f"dense {width}" for width in getattr(network, "dense", ())]
    if hasattr(network, "global_pooling"):
        over_sites = f"{network.global_pooling} of sites" if network.global_pooling else "pool all sites"
        local = not dense and network.readout != "pooled"
        yield from ["readout", over_sites] if local else [over_sites, *dense, "readout"]
    elif hasattr(network, "shape"):
        yield from ["flatten all sites", *dense, "readout"]
