"""The command ``fluxeq``, also as ``python -m fluxeq``. The rest is imported where signals and errors are handled."""

from fluxeq.cli.exit_codes import ended_well
from fluxeq.system.environment import prepare


def main() -> None:
    """Run the command that the command line names; see ``cli.exit_codes`` for the exit codes."""
    prepare()
    with ended_well():
        from fluxeq.cli.commands import app

        app(exit_on_error=False, print_error=False, result_action="return_value")


if __name__ == "__main__":
    main()
