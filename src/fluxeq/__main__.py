"""The command ``fluxeq``, also ``python -m fluxeq``. Other modules are imported under error and signal handling."""

import atexit
import gc

from fluxeq.cli.exit_codes import exit_on_error
from fluxeq.system.environment import prepare


def main() -> None:
    """Run a command; see ``cli.exit_codes`` for exit codes."""
    prepare()
    atexit.register(gc.freeze)  # no last collection of garbage, a fifth of the time of a short command
    with exit_on_error():
        from fluxeq.cli.commands import app

        app(exit_on_error=False, print_error=False, result_action="return_value")


if __name__ == "__main__":
    main()
