"""Environment variables set by notebooks, containers, batch systems and shells. They do not affect commands."""

import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from verification.faults import work
from verification.faults.case import UNDISTURBED, Case, Stage
from verification.faults.contents import contents

Changes = Mapping[str, str | None]
BATCH = {"SLURM_JOB_ID": "17", "SLURM_NTASKS": "4", "SLURM_CPUS_PER_TASK": "1", "SLURM_PROCID": "0"}
BATCH |= {"SLURM_STEP_NODELIST": "node[1-4]", "SLURM_LOCALID": "0", "SLURM_JOB_NUM_NODES": "4", "PBS_JOBID": "17"}
PLACES = ("{here}/nowhere/at/all", "{here}/locked", "{here}/text", "", "relative", "/dev/null", None)
"""Folders that are missing, read-only, files, empty, relative, or not set."""


def _each(name: str, *values: str | None) -> list[Changes]:
    return [{name: value} for value in values]


HARMLESS: tuple[Changes, ...] = (
    *_each("MPLBACKEND", "module://matplotlib_inline.backend_inline", "nonsense", "", "tkagg", "agg"),
    *_each("MPLCONFIGDIR", *PLACES[:-1]),
    *_each("MATPLOTLIBRC", "{here}/nowhere"),
    *_each("NUMBA_DISABLE_JIT", "1", "0", ""),
    *_each("NUMBA_NUM_THREADS", "1", "2"),
    *_each("NUMBA_CACHE_DIR", "{here}/locked", "{here}/nowhere"),
    *_each("NUMBA_OPT", "0"),
    *_each("NUMBA_BOUNDSCHECK", "1"),
    *_each("JAX_ENABLE_X64", "1", "true", "0"),
    *_each("JAX_PLATFORMS", "cpu", ""),
    *_each("JAX_COMPILATION_CACHE_DIR", "{here}/locked"),
    *_each("JAX_DISABLE_JIT", "0"),
    *_each("XLA_FLAGS", "", "--xla_force_host_platform_device_count=4"),
    *_each("XLA_PYTHON_CLIENT_PREALLOCATE", "false"),
    *_each("TF_CPP_MIN_LOG_LEVEL", "0", "3"),
    *_each("CUDA_VISIBLE_DEVICES", "", "-1", "0"),
    *_each("TERM", "dumb", None, "nonsense", "xterm-256color", ""),
    *_each("NO_COLOR", "1", ""),
    *_each("FORCE_COLOR", "1", "3"),
    *_each("COLUMNS", "1", "0", "nonsense", "1000"),
    *_each("LINES", "1"),
    *_each("PYTHONIOENCODING", "ascii", "utf-8", "ascii:backslashreplace", "latin-1"),
    *_each("PYTHONUTF8", "0", "1"),
    *_each("PYTHONOPTIMIZE", "1", "2"),
    *_each("PYTHONDONTWRITEBYTECODE", "1"),
    *_each("PYTHONHASHSEED", "0", "17"),
    *_each("PYTHONUNBUFFERED", "1"),
    *_each("PYTHONNOUSERSITE", "1"),
    *_each("PYTHONSAFEPATH", "1"),
    *_each("PYTHONSTARTUP", "{here}/nowhere.py"),
    *_each("PYTHONWARNINGS", "ignore", "default"),
    *_each("PYTHONDEVMODE", ""),
    *_each("PYTHONPYCACHEPREFIX", "{here}/locked"),
    *_each("LC_ALL", "C", "POSIX", "xx_XX.UTF-8", "C.UTF-8", "tr_TR.UTF-8", ""),
    {"LANG": "tr_TR.UTF-8"},
    {"LANG": None},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    *_each("OMP_NUM_THREADS", "", "2", "64"),
    *_each("OPENBLAS_NUM_THREADS", "", "2"),
    *_each("MKL_NUM_THREADS", "1"),
    *_each("NPROC", "1", ""),
    *_each("HOME", *PLACES),
    *_each("XDG_CACHE_HOME", *PLACES),
    *_each("XDG_CONFIG_HOME", "{here}/locked"),
    *_each("FLUXEQ_CACHE", *PLACES),
    *_each("TMPDIR", *PLACES),
    *_each("PWD", "/nowhere", None),
    *_each("USER", None, ""),
    *_each("CI", "true"),
    *_each("TZ", "nonsense", "Asia/Tokyo"),
    *_each("DISPLAY", ":99", ""),
    *_each("COVERAGE_PROCESS_START", "{here}/nowhere"),
    *_each("KMP_AFFINITY", "compact"),
    *_each("LD_PRELOAD", ""),
    *_each("JPY_PARENT_PID", "1"),
    *_each("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "1s"),
    BATCH,
    {
        "LANG": None,
        "HOME": None,
        "TERM": None,
        "FLUXEQ_CACHE": None,
        "OMP_NUM_THREADS": None,
        "OPENBLAS_NUM_THREADS": None,
    },
)
"""With these a command must succeed, with the same result."""
ASKING: tuple[Changes, ...] = (
    *_each("JAX_PLATFORMS", "cuda", "tpu", "nonsense", "cuda,cpu", "cpu,"),
    *_each("JAX_PLATFORM_NAME", "gpu", "cpu"),
    *_each("JAX_ENABLE_X64", "nonsense"),
    *_each("JAX_DEBUG_NANS", "1"),
    *_each("XLA_FLAGS", "--nonsense", "nonsense", "--xla_cpu_enable_fast_math=true"),
    *_each("NUMBA_NUM_THREADS", "0", "nonsense", "-1", "100000"),
    *_each("NUMBA_CPU_NAME", "generic", "nonsense"),
    *_each("NUMBA_THREADING_LAYER", "nonsense"),
    *_each("NUMBA_ENABLE_CUDASIM", "1"),
    *_each("OMP_NUM_THREADS", "0", "nonsense", "-1"),
    *_each("PYTHONWARNINGS", "error", "nonsense"),
    *_each("PYTHONHOME", ""),
    *_each("SOURCE_DATE_EPOCH", "0", "nonsense"),
    *_each("HDF5_USE_FILE_LOCKING", "FALSE", "nonsense"),
    *_each("HDF5_DISABLE_VERSION_CHECK", "2"),
    *_each("HDF5_PLUGIN_PATH", "{here}/nowhere"),
)
"""These may request something unavailable: a command may refuse in one line."""
LONGEST = 90.0


@dataclass(frozen=True)
class Surrounded(Case):
    """A command with changed environment variables."""

    changes: tuple[tuple[str, str | None], ...]
    is_harmless: bool

    @property
    def detail(self) -> str:
        """The variables."""
        return " ".join(f"{name}={value!r}" if value is not None else f"-u {name}" for name, value in self.changes)

    def play(self, stage: Stage) -> Iterator[str]:
        """The result is the same as without them."""
        reference, there = UNDISTURBED.of(self.words, stage, self.prepare)
        self.prepare(stage)
        stage.put("text")
        (stage.folder / "locked").mkdir(0o555)
        changes = {name: value and value.format(here=stage.folder) for name, value in self.changes}
        # cached functions would hide effects of the variables on compilation
        outcome = stage.run(self.words, environment=changes, fresh=True, longest=LONGEST)
        yield from stage.judged(outcome)
        if outcome.code == 0:
            here = contents(stage.folder)
            yield from (f"{name} is another" for name in sorted(there) if here.get(name) != there[name])
            if outcome.out != reference.out and self.words[-1] != "--help":
                yield f"said {outcome.out.strip()[:200]!r} in place of {reference.out.strip()[:200]!r}"
        elif self.is_harmless:
            yield f"refused: {outcome}"


def cases(seed: int) -> Iterator[Surrounded]:
    """All variables with all commands, in random order; each variable once before any is repeated."""
    rng = random.Random(seed)
    every = [(tuple(changes.items()), True) for changes in HARMLESS]
    every += [(tuple(changes.items()), False) for changes in ASKING]
    orders = [rng.sample(work.EVERY, len(work.EVERY)) for _ in every]
    for place in itertools.count():
        if place == len(work.EVERY):
            return
        for (changes, is_harmless), order in zip(every, orders, strict=True):
            yield Surrounded(tuple(order[place].split()), changes, is_harmless)
