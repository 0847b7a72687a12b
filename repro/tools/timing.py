"""The one timing loop of the project, and how many cores a measurement has."""

import os
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np

from repro.tools import extensions
from repro.tools.processor import available_cores
from repro.tools.progress import Progress


class Timing(NamedTuple):
    """The fastest of several calls."""

    seconds: float  # by the clock
    cpu_seconds: float  # of all threads; equal to `seconds` of one thread on an idle machine
    result: Any  # of the last call

    def each(self, count: int) -> dict[str, float]:
        """Seconds and processor seconds of one of `count` things that a call did, for a row."""
        return {"seconds": self.seconds / count, "cpu_seconds": self.cpu_seconds / count}


def timed(
    variants: Mapping[Hashable, Callable[[], Any]],
    repeats: int,
    clock: Callable[[], float] | None = None,
) -> dict[Hashable, Timing]:
    """Time calls, in turn, so that other load hits all of them.

    Of the repetitions the fastest counts, since all that disturbs a measurement makes it slower.

    Parameters
    ----------
    variants : mapping
        Name -> call. Each is called once more before, to compile.
    repeats : int
        Measured calls of each.
    clock : callable, optional
        Seconds that have passed; by default those of the clock on the wall.
    """
    clock = clock or time.perf_counter
    best = {name: Timing(np.inf, np.inf, call()) for name, call in variants.items()}
    for _ in Progress(range(repeats), "measuring", "round"):
        for name, call in variants.items():
            started, cpu = clock(), time.process_time()
            result = call()
            seconds, cpu_seconds = clock() - started, time.process_time() - cpu
            last = best[name]
            best[name] = Timing(
                min(last.seconds, seconds), min(last.cpu_seconds, cpu_seconds), result
            )
    return best


@contextmanager
def confined_to(cores: int) -> Iterator[None]:
    """Processes started within have so many cores; libraries size their threads by it.

    Raises
    ------
    ValueError
        If the system cannot confine a process, and `cores` is not all of them.
    """
    if cores == available_cores():
        yield
        return
    if not hasattr(os, "sched_setaffinity"):
        raise ValueError(f"{cores} of the cores can only be measured on Linux")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def process_on(cores: int) -> Iterator[Callable[..., Any]]:
    """Yield a function that calls its arguments in a new process that has so many cores."""
    spawn, files = get_context("spawn"), (tuple(extensions.USED),)
    with confined_to(cores), ProcessPoolExecutor(1, spawn, extensions.use_all, files) as pool:
        yield lambda function, *arguments: pool.submit(function, *arguments).result()
