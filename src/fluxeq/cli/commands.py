"""All commands, in the order of the work; importing them puts them into the app."""

from fluxeq.cli import doctor, exchange, learning, sampling, studies
from fluxeq.cli.app import app

__all__ = ["app", "doctor", "exchange", "learning", "sampling", "studies"]
