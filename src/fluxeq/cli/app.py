"""The command-line app and options shared by commands. Heavy modules are imported inside commands, so help is fast.

Exit codes are defined in ``exit_codes``.
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
    help="Sample a lattice field theory in its flux representation and measure how much symmetric networks gain on it.",
    default_parameter=Parameter(negative=""),
    suppress_keyboard_interrupt=False,  # signals are handled in exit_codes
)

app.register_install_completion_command(add_to_startup=False)
ENSEMBLES, NETWORKS, STUDIES, SETUP = map(Group.create_ordered, ("Ensembles", "Networks", "Studies", "Set-up"))
"""Groups in the order of a typical workflow."""

Many = Annotated[list[Path], Parameter(consume_multiple=True)]
AsJson = Annotated[bool, Parameter(name="--json", help="Print JSON.")]
Observables = Annotated[
    tuple[str, ...],
    Parameter(show_default=False, help="Additional observable: its name or package.module:function; can be repeated."),
]
StudyName = Annotated[str, Parameter(help="quick, laptop, paper, or the path of a TOML file.")]
Run = Annotated[Path, Parameter(help="Folder of the run.")]
AnyRun = Annotated[Path, Parameter(help="Folder of a run.")]
Workers = Annotated[int | None, Parameter(help="Number of worker processes; by default the number of processors.")]
Sections = Annotated[tuple[str, ...], Parameter(show_default=False)]
TaskName = Annotated[str, Parameter(metavar="NAME", help="regression, detection, counting, or package.module:NAME.")]
ArchitectureName = Annotated[str, Parameter(metavar="NAME", help="EQ, ST, FL, or package.module:Class.")]
Json = Annotated[str | None, Parameter(metavar="JSON")]
"""A JSON object, or a file with one."""
RECIPE = "Optimiser settings that differ from those of the original study, as JSON or a file with it."
RecipeJson = Annotated[Json, Parameter(help=RECIPE)]
NewEnsemble = Annotated[Path, Parameter(help="The HDF5 file to write.")]
Coupling = Annotated[str | None, Parameter(metavar="NUMBER", allow_leading_hyphen=True)]
"""A number, possibly negative, or a range."""


@Parameter(name="*")  # each field is an option
@dataclass(frozen=True)
class TheoryOptions:
    """A theory and its couplings."""

    eta: Coupling = None
    """2 d + m^2 for phi4, in lattice units."""
    lam: Coupling = None
    """Quartic coupling of phi4; 0 for the free field."""
    mu: Coupling = None
    """Chemical potential of phi4."""
    theory: str | None = None
    """Name of a theory, or package.module:Class; default phi4."""
    couplings: str | None = None
    """All couplings of the theory, as in beta=0.8,mu=0.1; for phi4 an alternative to --eta, --lam and --mu."""


PHI4 = TheoryOptions()
Device = Literal["cpu", "cuda"]
