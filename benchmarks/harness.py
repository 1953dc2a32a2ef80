"""Run contenders in turns, each in a process of its own, and print one table.

A machine's speed drifts: its clock, its neighbours, its caches. So everything that is compared, the machine's limit
included, runs in turns (A, B, C, A, B, C, ...), and each is judged by the median of its times. Contenders share no
process, because TensorFlow and PyTorch crash in one, and because what one sets or compiles would change the next. A
contender is stopped (SIGSTOP) while others run, because its threads could spin and its pipeline could work ahead.
"""

import argparse
import contextlib
import importlib.metadata
import os
import pickle
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
Clock = Callable[[], float]


@dataclass(frozen=True)
class Contender:
    """Something to time.

    Args:
        name: Its row in the table.
        module: The module in this folder that its process imports.
        function: The function of the module that prepares everything and returns what is run, a function without
            arguments.
        arguments: The function's arguments, which are pickled.
        work: How much one run gets done, in the table's unit.
    """

    name: str
    module: str
    function: str
    arguments: tuple[Any, ...]
    work: float


class Process:
    """A contender's process, see `contender_process`. It runs only while it is asked for something.

    Args:
        contender: What it runs.
        log: A file for what it prints, which is shown only if it dies: TensorFlow has much to say at each start.
    """

    def __init__(self, contender: Contender, log: IO[bytes]) -> None:
        self.contender = contender
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("contender_process.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            # Signals then reach the workers that it starts, too. In this session, so that the kernel hangs up on a
            # stopped group when this script dies.
            process_group=0,
        )

    def prepare(self) -> None:
        """Import the module and call the function."""
        self._ask((self.contender.module, self.contender.function, self.contender.arguments, CORES))

    def result(self) -> Any:
        """Run once; return the result, a tensor as a NumPy array."""
        return self._ask(None)

    def seconds(self, clock: Clock) -> float:
        """Run once; return how long that took by the process's own clock."""
        return self._ask(clock)

    def close(self) -> None:
        """End it, and its workers."""
        with contextlib.suppress(ProcessLookupError, BrokenPipeError), self._process:  # it may have died
            os.killpg(self._process.pid, signal.SIGKILL)

    def _ask(self, request: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            os.killpg(self._process.pid, signal.SIGCONT)
            pickle.dump(request, self._process.stdin)
            self._process.stdin.flush()
            answer = pickle.load(self._process.stdout)
            os.killpg(self._process.pid, signal.SIGSTOP)
        except (EOFError, BrokenPipeError, ProcessLookupError):
            self._log.seek(0)
            log = self._log.read().decode(errors="replace")
            raise RuntimeError(f"The process of {self.contender.name} ended:\n{log}") from None
        return answer


@contextlib.contextmanager
def started(contenders: Sequence[Contender]) -> Iterator[list[Process]]:
    """Start a process for each contender, prepared and stopped; end them after the block."""
    with contextlib.ExitStack() as stack:
        processes = []
        for contender in contenders:
            log = stack.enter_context(tempfile.TemporaryFile())
            processes.append(stack.enter_context(contextlib.closing(Process(contender, log))))
            processes[-1].prepare()
        yield processes


def measure(processes: Sequence[Process], *, rounds: int, warm_up: int = 2, clock: Clock) -> list[float]:
    """Run all in turns, and return each one's median time in seconds over the rounds after the warm-up."""
    times = [[process.seconds(clock) for process in processes] for _ in range(warm_up + rounds)]
    return [statistics.median(spent) for spent in zip(*times[warm_up:], strict=True)]


def compare(
    title: str,
    contenders: Sequence[Process],
    *,
    limits: Sequence[Contender] = (),
    unit: str = "GFLOP",
    rounds: int,
    warm_up: int = 2,
    clock: Clock = time.perf_counter,
) -> None:
    """Time contenders and limits in turns, and print the table.

    The columns: median time, rate, the time against the first contender's (above 1 is slower), and the rate as a share
    of the fastest limit's. The limits stand below the contenders; their times are for their own work.
    """
    print(f"{title}\n{machine()}\n", flush=True)
    with started(limits) as limiting:
        times = measure([*contenders, *limiting], rounds=rounds, warm_up=warm_up, clock=clock)
    entries = [*(process.contender for process in contenders), *limits]
    rates = [entry.work / t for entry, t in zip(entries, times, strict=True)]
    peak = max(rates[len(contenders) :], default=None)
    width = max(len(entry.name) for entry in entries)
    print(f"{'':{width}}  {'time':>10}  {unit + '/s':>10}  {'ratio':>6}  {'of limit':>8}")
    for row, (entry, t, rate) in enumerate(zip(entries, times, rates, strict=True)):
        ratio = f"{t / times[0]:6.2f}" if row < len(contenders) else f"{'':6}"
        share = f"{rate / peak:8.1%}" if peak else f"{'':8}"
        print(f"{entry.name:{width}}  {t * 1e3:7.1f} ms  {rate:10.1f}  {ratio}  {share}".rstrip())


def command_line(description: str, *, rounds: int, warm_up: int = 2) -> argparse.ArgumentParser:
    """Return a parser with the options of all scripts: how many rounds, and which clock counts."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"turns that count, after {warm_up} that do not")
    parser.add_argument(
        "--processor-time",
        dest="clock",
        action="store_const",
        const=time.process_time,
        default=time.perf_counter,
        help="what the threads spent computing (waiting for each other too): on a busy machine, under `taskset -c 0`",
    )
    return parser


def machine() -> str:
    """Processor, cores and versions, in one line."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = models[0] if models else platform.processor() or platform.machine()
    versions = []
    for library in ("tensorflow", "keras", "torch"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # most scripts do without PyTorch
            versions.append(f"{library} {importlib.metadata.version(library)}")
    return f"{CORES} cores of {processor}; {', '.join(versions)}"


def matrix_products(size: int = 2048, repeats: int = 8) -> list[Contender]:
    """The machine's limit for dense float32 work: a large matrix product, by TensorFlow and by PyTorch, in GFLOP."""
    work = repeats * 2 * size**3 / 1e9
    return [
        Contender(f"matrix product, {title}", f"{library}_limits", "matrix_products", (size, repeats), work)
        for title, library in (("TensorFlow", "tensorflow"), ("PyTorch", "torch"))
    ]
