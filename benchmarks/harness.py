"""Run contenders in turns and print one table.

A machine's speed drifts: its clock, its neighbours, its caches. So everything that is to be compared, the machine's
limit included, runs in turns (A, B, C, A, B, C, ...), and each is judged by the median of its times. TensorFlow's
contenders run in the script's process, and PyTorch's in a process each, which is idle when it is another's turn:
imported into one process, the two libraries end in a segmentation fault.
"""

import argparse
import contextlib
import importlib.metadata
import math
import os
import pickle
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Contender:
    """Something to time.

    Args:
        name: its row in the table.
        run: does it once, and returns when it is done.
        work: what one run gets done, in the table's unit.
    """

    name: str
    run: Callable[[], object]
    work: float


class InPyTorch:
    """A contender in a process of its own, see `torch_process`; calling it gives what one run returns.

    The process ends when this object does.

    Args:
        module: of this folder; it may import PyTorch, and not TensorFlow.
        function: of the module; it returns what is run.
        arguments: of the function.
    """

    def __init__(self, module: str, function: str, *arguments: Any) -> None:
        command = [sys.executable, str(Path(__file__).with_name("torch_process.py"))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._send((module, function, arguments, CORES))

    def __call__(self) -> Any:
        """Run once; return what comes out."""
        return self._ask(None)

    def seconds(self, clock: Callable[[], float]) -> float:
        """Run once; return how long that took by the process's own clock."""
        return self._ask(clock)

    def _ask(self, clock: Callable[[], float] | None) -> Any:
        self._send(clock)
        assert self._process.stdout is not None
        return pickle.load(self._process.stdout)

    def _send(self, request: Any) -> None:
        assert self._process.stdin is not None
        pickle.dump(request, self._process.stdin)
        self._process.stdin.flush()


def use_all_cores() -> None:
    """Give TensorFlow all cores, and one operation at a time, as a repeatable training has it."""
    tf.config.threading.set_intra_op_parallelism_threads(CORES)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def add_clock(parser: argparse.ArgumentParser) -> None:
    """Add the option that says which clock counts."""
    parser.add_argument(
        "--processor-time",
        dest="clock",
        action="store_const",
        const=time.process_time,
        default=time.perf_counter,
        help="what the threads spent computing (waiting for each other too): on a busy machine, under `taskset -c 0`",
    )


def measure(
    contenders: Sequence[Contender], *, rounds: int, warm_up: int = 2, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Run all in turns, and return each one's median time in seconds over the rounds after the warm-up."""
    times: list[list[float]] = [[] for _ in contenders]
    for _ in range(warm_up + rounds):
        for contender, spent in zip(contenders, times, strict=True):
            spent.append(seconds(contender.run, clock))
    return [statistics.median(spent[warm_up:]) for spent in times]


def seconds(run: Callable[[], object], clock: Callable[[], float]) -> float:
    """Run once, and return how long it took."""
    if isinstance(run, InPyTorch):
        return run.seconds(clock)
    start = clock()
    run()
    return clock() - start


def compare(
    title: str,
    contenders: Sequence[Contender],
    *,
    limits: Sequence[Contender] = (),
    unit: str = "GFLOP",
    rounds: int = 9,
    warm_up: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Time contenders and limits in turns, and print the table.

    The columns: median time, rate, the time against the first contender's (above 1 is slower), and the rate as a share
    of the fastest limit's. The limits stand below the contenders; their times are for their own work.
    """
    print(f"{title}\n{machine()}\n")
    entries = [*contenders, *limits]
    times = measure(entries, rounds=rounds, warm_up=warm_up, clock=clock)
    rates = [entry.work / t for entry, t in zip(entries, times, strict=True)]
    peak = max(rates[len(contenders) :], default=None)
    width = max(len(entry.name) for entry in entries)
    print(f"{'':{width}}  {'time':>10}  {unit + '/s':>10}  {'ratio':>6}  {'of limit':>8}")
    for row, (entry, t, rate) in enumerate(zip(entries, times, rates, strict=True)):
        ratio = f"{t / times[0]:6.2f}" if row < len(contenders) else f"{'':6}"
        share = f"{rate / peak:8.1%}" if peak else f"{'':8}"
        print(f"{entry.name:{width}}  {t * 1e3:7.1f} ms  {rate:10.1f}  {ratio}  {share}".rstrip())


def machine() -> str:
    """Processor, cores and versions, in one line."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = models[0] if models else platform.processor() or platform.machine()
    libraries = [f"tensorflow {tf.__version__}", f"keras {keras.__version__}"]
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # most scripts do without it
        libraries.append(f"torch {importlib.metadata.version('torch')}")
    return f"{CORES} cores of {processor}; {', '.join(libraries)}"


def matrix_products(size: int = 2048, repeats: int = 8) -> list[Contender]:
    """The machine's limit for dense float32 work: a large matrix product, by TensorFlow and by PyTorch, in GFLOP."""
    a, b = tf.random.normal((2, size, size))

    def by_tensorflow() -> None:
        for _ in range(repeats):
            tf.matmul(a, b)  # on a CPU, an eager operation is done when it returns

    work = repeats * 2 * size**3 / 1e9
    return [
        Contender("matrix product, TensorFlow", by_tensorflow, work),
        Contender("matrix product, PyTorch", InPyTorch("torch_limits", "matrix_products", size, repeats), work),
    ]


def training_gflop(model: keras.Model, image: tf.Tensor) -> float:
    """What one training step on a batch of images costs in convolutions, forward and backward, in GFLOP.

    A convolution costs as much again for the gradient of its weights, and for the gradient of its input, which the
    first convolution has no use for. Everything else (normalisation, loss, optimiser) counts as overhead.
    """
    costs = convolutions_gflop(model, image)
    return 3 * sum(costs) - costs[0]


def convolutions_gflop(model: keras.Model, image: tf.Tensor) -> list[float]:
    """What each convolution of a model costs forward on a batch of images, in GFLOP; not those of models within it.

    It is two operations for each weight at each place where the kernel is laid.
    """
    kinds = keras.layers.Conv2D | keras.layers.Conv2DTranspose | keras.layers.DepthwiseConv2D
    convolutions = [layer for layer in model.layers if isinstance(layer, kinds)]
    # A kernel is laid at each pixel of what a convolution gives, or of what a transposed one takes.
    grids = [x.input if isinstance(x, keras.layers.Conv2DTranspose) else x.output for x in convolutions]
    grids = keras.Model(model.input, grids)(image)
    return [
        2 * math.prod(layer.kernel.shape) * math.prod(grid.shape[:3]) / 1e9
        for layer, grid in zip(convolutions, grids, strict=True)
    ]
