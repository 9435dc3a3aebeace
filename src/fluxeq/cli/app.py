"""The command line and what its commands share. Heavy modules are imported inside the commands: help answers at once.

How a command ends is in ``exit_codes``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
from cyclopts import Group, Parameter

from fluxeq import __version__

app = cyclopts.App(
    name="fluxeq",
    version=__version__,
    help="Sample lattice field theory in its flux representation, and measure what network symmetries are worth on it.",
    default_parameter=Parameter(negative=""),
    suppress_keyboard_interrupt=False,  # a signal ends every command in the same way
)

app.register_install_completion_command(add_to_startup=False)
ENSEMBLES, NETWORKS, STUDIES, SETUP = map(Group.create_ordered, ("Ensembles", "Networks", "Studies", "Set-up"))
"""Commands in the order of the work."""

Many = Annotated[list[Path], Parameter(consume_multiple=True)]
TaskName = Annotated[str, Parameter(metavar="NAME", help="regression, detection, counting, or package.module:NAME.")]
ArchitectureName = Annotated[str, Parameter(metavar="NAME", help="EQ, ST, FL, or package.module:Class.")]
Coupling = Annotated[str | None, Parameter(metavar="NUMBER", allow_leading_hyphen=True)]
"""A number, which may be negative, or a range."""


@Parameter(name="*")  # options of their own
@dataclass(frozen=True)
class TheoryOptions:
    """A theory by its couplings."""

    eta: Coupling = None
    """2 d + m^2 of the theory phi4, in lattice units."""
    lam: Coupling = None
    """Quartic coupling of phi4; 0 is the free field."""
    mu: Coupling = None
    """Chemical potential of phi4."""
    theory: str | None = None
    """phi4, unless given: a theory by its name, or as package.module:Class."""
    couplings: str | None = None
    """All couplings of the theory, as in beta=0.8,mu=0.1; for phi4 in place of --eta, --lam and --mu."""


PHI4 = TheoryOptions()
Device = Literal["cpu", "cuda"]
