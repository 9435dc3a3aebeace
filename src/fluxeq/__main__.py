"""The command ``fluxeq``, also ``python -m fluxeq``. Other modules are imported under error and signal handling."""

from fluxeq.cli.exit_codes import exit_on_error
from fluxeq.system.environment import prepare


def main() -> None:
    """Run a command; see ``cli.exit_codes`` for exit codes."""
    prepare()
    with exit_on_error():
        from fluxeq.cli.commands import app

        app(exit_on_error=False, print_error=False, result_action="return_value")


if __name__ == "__main__":
    main()
