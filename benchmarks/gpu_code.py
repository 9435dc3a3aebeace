"""Registers, local and shared memory of the CUDA kernels; no GPU needed.

``python -m benchmarks.gpu_code [EXTENTS ...]`` in the root of the repository, by default 60x4. Needs
``pip install ".[cuda]"``, and ``ptxas`` on the path (package nvidia-cuda-nvcc). Compiles the kernels for the argument
types of a launch and compute capability 9.0. If this fails, so does every launch.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from numba import cuda, types
from numba.cuda import compiler, dispatcher

from benchmarks.tables import keep
from fluxeq.cli.arguments import parsed_shape
from fluxeq.sampling import kernels

CAPABILITY = (9, 0)
N_DIRECTIONS = 2  # per dimension


def main() -> None:
    """Compile; store the output of the assembler, one row per kernel."""
    device = SimpleNamespace(compute_capability=CAPABILITY)
    for module in (compiler, dispatcher):  # which query the capability of the current device
        mock.patch.object(module, "get_current_device", return_value=device).start()
    for text in sys.argv[1:] or ["60x4"]:
        where = kernels.layout(parsed_shape(text))
        place = "shared" if where.is_shared else "global"
        record, unpack = signatures(where)
        for name, made, signature in ((place, kernels.kernel(where), record), ("unpack", kernels.unpack(), unpack)):
            code, _ = cuda.compile_ptx(made.py_func, signature, cc=CAPABILITY, device=False)
            keep("gpu_code", {"shape": text, "kernel": name, **assembled(code)}, 2)


def signatures(where: kernels.Layout) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Argument types of both kernels."""
    words, whole, small, real = types.uint64, types.int64, types.int32, types.float64
    steps = array(types.uint16 if where.is_shared else types.uint32, 2)
    tables = (steps, array(real, 2), types.UniTuple(real, N_DIRECTIONS * where.d - 1), real)
    state = (array(words, 2), array(whole, 2), array(small, 1), array(words, 2), array(whole, 3))
    record = (*state, *tables, array(whole, 2), whole, whole, array(words, 3), array(small, 1))
    return record, (array(words, 3), *tables, whole, array(types.int8, 4), array(small, 2))


def array(of: Any, n_dimensions: int) -> Any:
    """Type of a contiguous array."""
    return types.Array(of, n_dimensions, "C")


def assembled(code: str) -> dict[str, int]:
    """Registers and bytes of local memory per thread, and of shared memory per block, as reported by ``ptxas``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.ptx"
        path.write_text(code, encoding="utf-8")
        command = ["ptxas", "--gpu-name", f"sm_{CAPABILITY[0]}{CAPABILITY[1]}", "--verbose", str(path)]
        done = subprocess.run([*command, "-o", f"{folder}/kernel.cubin"], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    if done.returncode:
        sys.exit(said)
    numbers = {
        "registers": r"Used (\d+) registers",
        "stack_bytes": r"(\d+) bytes stack frame",
        "spilled_bytes": r"(\d+) bytes spill stores",
        "shared_bytes": r"(\d+) bytes smem",
    }
    return {name: sum(map(int, re.findall(pattern, said))) for name, pattern in numbers.items()}


if __name__ == "__main__":
    main()
