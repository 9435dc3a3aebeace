"""Imports all command modules, which registers their commands with the app."""

from fluxeq.cli import doctor, exchange, learning, sampling, studies
from fluxeq.cli.app import app

__all__ = ["app", "doctor", "exchange", "learning", "sampling", "studies"]
