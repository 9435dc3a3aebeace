"""The same networks and a standard training loop in PyTorch, for comparison; two dimensions only.

``nn.Conv2d(padding_mode="circular")``, AdamW, batches from a random permutation, all data on the device as float32;
losses stay there until the end of the epoch.
"""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from fluxeq.nets.architecture import configured
from fluxeq.nets.network import Block

if TYPE_CHECKING:
    from benchmarks.training import Case

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": lambda: nn.GELU(approximate="tanh"),
    "tanh": nn.Tanh,
}
POOLINGS = {"average": nn.AvgPool2d, "maximum": nn.MaxPool2d}
READOUTS = {"average": nn.AdaptiveAvgPool2d, "sum": nn.AdaptiveAvgPool2d, "maximum": nn.AdaptiveMaxPool2d}
"""A sum has the cost of an average."""


def use_threads(n: int) -> None:
    """Set the number of threads of PyTorch."""
    torch.set_num_threads(n)


def torch_epoch(case: "Case", n_parameters: int, device: str, *, compiled: bool = False) -> Callable[[], Any]:
    """A function that runs one epoch and its validation, optionally with ``torch.compile``; checks the network size."""
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    n_targets = 2 if case.task == "regression" else 1
    network = nn.Sequential(*layers(case, n_targets)).to(device)
    assert sum(parameter.numel() for parameter in network.parameters()) == n_parameters
    if compiled:
        torch.compiler.reset()  # it gives up after too many different modules
        network = torch.compile(network)
    loss_of = nn.MSELoss() if case.task == "regression" else nn.BCEWithLogitsLoss()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.0, amsgrad=True)

    def made(n: int) -> tuple[Any, Any]:
        x = torch.randint(-2, 3, (n, 2 * len(case.shape), *case.shape)).float()
        return x.to(device), torch.randint(0, 2, (n, n_targets)).float().to(device)

    (x, y), (x_validation, y_validation) = made(case.n), made(case.n // 10)

    def epoch() -> None:
        network.train()
        total = torch.zeros((), device=device)
        for rows in torch.randperm(case.n, device=device).split(case.batch):
            optimizer.zero_grad()
            loss = loss_of(network(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            total += loss.detach()
        network.eval()
        with torch.no_grad():
            validation = loss_of(network(x_validation), y_validation)
        float(total), float(validation)

    epoch()
    return epoch


def layers(case: "Case", n_targets: int) -> Iterator[nn.Module]:
    """The modules of a network, from input to predictions."""
    config: Any = configured(case.architecture, case.settings, case.shape)
    activation = ACTIVATIONS[config.activation]
    channels, sites = 2 * len(case.shape), math.prod(case.shape)
    for block in config.blocks:
        yield convolution(channels, block)
        yield activation()
        if block.pooling > 1:
            yield nn.CircularPad2d((0, block.pooling - block.stride, 0, block.pooling - block.stride))
            yield POOLINGS[config.pooling](block.pooling, block.stride)
        channels, sites = block.channels, sites // block.stride ** len(case.shape)
    if case.architecture != "FL":
        yield READOUTS[config.global_pooling or "average"](1)
        sites = 1
    yield nn.Flatten()
    widths = [channels * sites, *config.dense]
    for width, following in zip(widths, config.dense, strict=False):
        yield nn.Linear(width, following)
        yield activation()
    yield nn.Linear(widths[-1], n_targets)


def convolution(channels: int, block: Block) -> nn.Conv2d:
    """A periodic convolution, to one output per ``stride`` sites in every direction."""
    stride = block.stride if block.pooling == 1 else 1
    padding = "same" if stride == 1 else (block.kernel - 1) // 2
    return nn.Conv2d(channels, block.channels, block.kernel, stride, padding, padding_mode="circular")
