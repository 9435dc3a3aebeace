"""Figure 5b: final feature maps of the best networks that detect worms, on the configuration of figure 5a.

For the first family of each architecture and protocol: the channel with the largest response, then others by their
largest value, each with its own colour scale; violations of flux conservation are marked. The value at a site depends
on the sites in the direction of larger t and x within the receptive field, so a response to a violation appears at its
site, or below and to the left of it. The receptive field of one site is outlined, that with the value farthest from the
median of its channel. A map that is coarser than the lattice after strides is drawn in blocks of sites; the table lists
the first site of each block.
"""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure as Picture
from matplotlib.patches import Rectangle

from fluxeq.analysis.architectures import pools_feature_maps
from fluxeq.analysis.tables import Results
from fluxeq.report.figures import fig5a, lattices
from fluxeq.report.figures.figure import Figure
from fluxeq.report.figures.layers import receptive_field_of
from fluxeq.study.family import PROTOCOLS
from fluxeq.study.study import Study

MOST = 3
"""Number of channels shown per family."""
SEEN: dict[str, Any] = {"edgecolor": "#009E73", "linewidth": 1.8, "linestyle": (0, (3, 1.5)), "zorder": 4}
INSIDE = 0.06
"""Outline of a receptive field, and its inset in lattice units, so that the lattice boundary does not hide it."""


def shows(study: Study) -> bool:
    """Whether there is such a configuration, and a family that pools feature maps."""
    families = study.tasks[fig5a.SECTION].families.values() if fig5a.shows(study) else ()
    return any(pools_feature_maps(family.architecture) and not family.augmentation for family in families)


def numbers(run: Path) -> pd.DataFrame:
    """One row per channel and site, then the sites that violate flux conservation, with their divergence."""
    results = Results(run)
    maps = results.measurement("feature_maps", fig5a.SECTION)
    first = [
        results.of(protocol).families(fig5a.SECTION, architecture, augmentation=False)[:1]
        for protocol in PROTOCOLS
        for architecture in maps["architecture"].unique()
    ]
    maps = maps[maps["family"].isin([name for names in first for name in names])].drop(columns=["task", "architecture"])
    fields = {name: receptive_field_of(results, fig5a.SECTION, name) for name in maps["family"].unique()}
    maps = maps.assign(receptive_field=maps["family"].map(fields))
    shown = [_strongest(channels) for _, channels in maps.groupby("family", sort=False)]
    sites = fig5a.numbers(run)[["t", "x", "divergence"]]
    table = pd.concat([*shown, sites[sites["divergence"] != 0]], ignore_index=True)
    return table.astype({"channel": "Int64", "selected": "boolean", "divergence": "Int64", "receptive_field": "Int64"})


def draw(numbers: pd.DataFrame) -> Picture:
    """Draw one row per family and one column per channel, with a colour scale for each panel."""
    maps, violations = numbers.dropna(subset="channel"), numbers.dropna(subset="divergence")
    families = list(maps["family"].unique())
    columns = int(maps.groupby("family")["channel"].nunique().max())
    figure = Picture(figsize=(2.6 * columns, 2.4 * len(families)), layout="constrained")
    grid = figure.subplots(len(families), columns, squeeze=False)
    for panels, family in zip(grid, families, strict=True):
        _draw_row(panels, family, maps[maps["family"] == family], violations)
    return figure


def _strongest(channels: pd.DataFrame) -> pd.DataFrame:
    """The rows of the selected channel, then those of the channels with the next largest values."""
    peak = channels.groupby("channel")["value"].max().sort_values(ascending=False, kind="stable")
    selected = list(channels.loc[channels["selected"], "channel"].unique())
    order = selected + [channel for channel in peak.index if channel not in selected]
    kept = channels[channels["channel"].isin(order[:MOST])]
    return kept.sort_values("channel", key=lambda column: column.map(order.index), kind="stable")


def _draw_row(panels: np.ndarray, family: str, maps: pd.DataFrame, violations: pd.DataFrame) -> None:
    channels = list(maps["channel"].unique())
    for axes, channel in zip(panels, channels, strict=False):
        rows = maps[maps["channel"] == channel]
        axes.figure.colorbar(_draw_map(axes, rows), ax=axes, shrink=0.85)
        _outline(axes, rows)
        lattices.mark_violations(axes, violations, rings=True)
        strongest = ", strongest" if rows["selected"].any() else ""
        axes.set_title(f"channel {channel}{strongest}")
    panels[0].set_ylabel(f"{family}\ntime $t$")
    for axes in panels[len(channels) :]:
        axes.set_axis_off()


def _draw_map(axes: Axes, rows: pd.DataFrame) -> QuadMesh:
    """Draw the map of one channel in blocks."""
    table = rows.pivot(index="t", columns="x", values="value")
    edges = [_edges(places.to_numpy()) for places in (table.columns, table.index)]
    axes.grid(False)
    axes.set(aspect="equal", xlabel=r"space $x$", ylabel=r"time $t$")
    return axes.pcolormesh(*edges, table.to_numpy(), edgecolor="0.8", linewidth=0.3, cmap="Greys")


def _outline(axes: Axes, rows: pd.DataFrame) -> None:
    """Outline the receptive field of the site with the value farthest from the median, with periodic images."""
    limits = axes.get_xlim(), axes.get_ylim()
    farthest = rows.loc[(rows["value"] - rows["value"].median()).abs().idxmax()]
    extent = farthest["receptive_field"]
    if pd.notna(extent):
        images, size = [(0, -round(high - low)) for low, high in limits], extent - 2 * INSIDE
        for x, t in itertools.product(*images):
            corner = farthest["x"] + x - 0.5 + INSIDE, farthest["t"] + t - 0.5 + INSIDE
            axes.add_patch(Rectangle(corner, size, size, fill=False, **SEEN))
    axes.set(xlim=limits[0], ylim=limits[1])


def _edges(first: np.ndarray) -> np.ndarray:
    """The edges of blocks with the first sites ``first``."""
    width = first[1] - first[0] if len(first) > 1 else 1
    return np.append(first, first[-1] + width) - 0.5


def alt_text(numbers: pd.DataFrame) -> str:
    """The positions of the violations and of the largest value of each family's strongest channel, in words."""
    ends = numbers.dropna(subset="divergence")
    parts = [f"divergence {row.divergence:+.0f} at t = {row.t}, x = {row.x}" for row in ends.itertuples()]
    for family, of in numbers.dropna(subset="channel").groupby("family", sort=False):
        largest = of[of["channel"] == of["channel"].iloc[0]].sort_values("value").iloc[-1]
        place = f"t = {largest['t']}, x = {largest['x']}"
        parts.append(f"{family}, channel {largest['channel']}: largest value {largest['value']:.2g} at {place}")
    return f"{'; '.join(parts)}."


FIGURE = Figure(
    "fig5b",
    "Figure 5b. Feature maps of the best EQ and ST detectors on the configuration of figure 5a, each with its own "
    "colour scale. Kernels extend upwards and to the right from their site, so a response to a violation (ring) "
    "appears at its site, or below and to the left of it. Dashed: receptive field of the site whose value is farthest "
    "from the median of the map.",
    "The networks react to one of the two violations only.",
    shows,
    numbers,
    draw,
    alt_text,
)
