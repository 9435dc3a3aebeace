"""Fixtures shared by all tests."""

import os
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest

import synthetic_run

COMPILES_FAST = "--xla_backend_optimization_level=1 --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", f"--xla_cpu_multi_thread_eigen=false {COMPILES_FAST}")  # before JAX is imported

SLOW = [
    "analysis/test_measurements.py",
    "cli",
    "faults",
    "nets/test_activations.py",
    "report/test_browser.py",
    "report/test_figures.py",
    "runs/test_jobs.py",
    "runs/test_reproduce.py",
    "runs/test_training.py",
    "sampling/test_chains.py",
    "sampling/test_gpu.py",
    "searching/test_search.py",
    "searching/test_journal.py",
    "searching/test_sharing.py",
    "searching/test_storage.py",
    "system/test_environment.py",
    "test_public.py",
    "test_exact.py",
    "test_verification.py",
    "training/test_batched.py",
    "training/test_checkpoints.py",
    "training/test_compiled.py",
    "training/test_fit.py",
    "workflow/test_cluster.py",
]
"""Tests that start processes or servers, compile much, or sample long."""
SLOW_TESTS = [
    "test_a_claim_fails_where_the_paper_is_wrong",
    "test_a_file_is_what_is_made_in_memory",
    "test_any_number_of_chains",
    "test_any_value_anywhere_gives_a_plan_or_one_line",
    "test_every_byte_counts",
    "test_feature_maps_move_with_the_lattice",
    "test_files_are_equal_for_equal_numbers",
    "test_gradients_against_differences",
    "test_gradients_on_sites",
    "test_networks_in_memory",
    "test_one_that_diverges_leaves_the_others_alone",
    "test_steps_of_the_head_balance",
    "test_textbook",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests."""
    here = Path(__file__).parent
    for item in items:
        name = getattr(item, "originalname", item.name)
        if name in SLOW_TESTS or any(item.path.is_relative_to(here / path) for path in SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests leave nothing in the user's cache of compiled functions; the processes of pytest-xdist share one."""
    own = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUXEQ_CACHE", str((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "compiled"))
        yield


@pytest.fixture(scope="session")
def made_up_tables() -> synthetic_run.Tables:
    """The tables of a synthetic run in which every claim holds; not to be changed."""
    return synthetic_run.tables()


@pytest.fixture
def tables(made_up_tables: synthetic_run.Tables) -> synthetic_run.Tables:
    """A copy of these tables that may be changed."""
    return deepcopy(made_up_tables)


@pytest.fixture(scope="session")
def made_up_run(made_up_tables: synthetic_run.Tables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that run; only figures may be written into it."""
    return made_up_tables.write(tmp_path_factory.mktemp("runs") / "made-up")
