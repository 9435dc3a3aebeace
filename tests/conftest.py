"""Fixtures shared by all tests."""

from copy import deepcopy
from pathlib import Path

import pytest

import synthetic_run


@pytest.fixture(scope="session")
def made_up_tables() -> synthetic_run.Tables:
    """The tables of a made-up run in which every claim holds; not to be changed."""
    return synthetic_run.tables()


@pytest.fixture
def tables(made_up_tables: synthetic_run.Tables) -> synthetic_run.Tables:
    """A copy of these tables, to change at will."""
    return deepcopy(made_up_tables)


@pytest.fixture(scope="session")
def made_up_run(made_up_tables: synthetic_run.Tables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that run; not to be changed, other than by writing figures into it."""
    return made_up_tables.write(tmp_path_factory.mktemp("runs") / "made-up")
