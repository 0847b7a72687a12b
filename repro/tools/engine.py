"""Independent tasks: one after another, on threads of this process, or on the workers of Dask."""

import asyncio
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

SECONDS_TO_CONNECT = 60


def run(
    function: Callable[[Any], Any],
    tasks: Iterable,
    dask: str | None = None,
    workers: int | None = None,
    warm: Callable[[], Any] | None = None,
) -> Iterator:
    """Yield `function(task)` of every task as it is done; the first that fails stops the rest.

    Parameters
    ----------
    function : callable
        For Dask it must be picklable, and calling it twice must do no harm: what a worker that
        dies was doing is done again by another.
    tasks : iterable
    dask : str, optional
        "local" for workers on this machine, or the scheduler of workers that run already:
        tcp://host:port, or the JSON file that it wrote. By default this process does the work.
    workers : int, optional
        Threads of this process, by default this one alone; or processes of "local", by default one
        per core.
    warm : callable, optional
        What every worker of Dask does once before its first task, such as to compile.

    Raises
    ------
    ValueError
        If Dask is asked for and is not installed, or `dask` is none of the above.
    OSError
        If no scheduler or no worker answers, or if it is lost before the end.
    """
    if dask is not None:
        yield from _on_dask(function, tasks, dask, workers, warm)
    elif workers in (None, 1):
        yield from map(function, tasks)
    else:
        with ThreadPoolExecutor(workers) as pool:
            try:
                for done in as_completed([pool.submit(function, task) for task in tasks]):
                    yield done.result()
            finally:
                pool.shutdown(cancel_futures=True)


def _on_dask(function, tasks, where, workers, warm):
    distributed = _distributed()
    # What goes wrong ends in one line; the workers of a cluster have logs of their own.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)

    class Worker(distributed.WorkerPlugin):
        name = "repro"

        async def setup(self, worker):
            bind_to_a_core()
            if warm:
                with suppress(Exception):  # the first task will fail of the same, and be asked
                    await asyncio.to_thread(warm)

    with ExitStack() as stack:
        client = stack.enter_context(_client(where, workers, stack))
        client.wait_for_workers(1, timeout=SECONDS_TO_CONNECT)
        try:
            client.register_plugin(Worker())
        except Exception as error:  # whatever a worker that cannot import it replies
            raise OSError(f"the workers of {where} need this environment: {error}") from None
        try:
            for done in distributed.as_completed(client.map(function, tasks, pure=False)):
                yield done.result()
        except distributed.KilledWorker as error:
            raise OSError(
                f"several workers died of the same task, see their logs: {error}"
            ) from None
        except distributed.client.FutureCancelledError as error:
            raise OSError(f"the scheduler {where} was lost: {error}") from None


def _distributed():
    try:
        import distributed
    except ImportError:
        raise ValueError('Dask is not installed: pip install ".[cluster]"') from None
    return distributed


@contextmanager
def local_cluster(workers: int | None = None):
    """A `distributed.LocalCluster` of single threads, by default one per core."""
    cluster = _distributed().LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        memory_limit=0,  # the system gives it, to whoever needs more
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
    )
    try:
        yield cluster
    finally:
        with suppress(TimeoutError):  # a worker that was slow to end has been killed
            cluster.close()


def _client(where, workers, stack):
    """A client of the scheduler of `where`, which is started if that is "local"."""
    distributed = _distributed()
    if where == "local":
        return distributed.Client(stack.enter_context(local_cluster(workers)))
    if where.endswith(".json"):
        if not Path(where).is_file():
            raise FileNotFoundError(f"{where}: no such file: start `dask scheduler` with it")
        try:
            known = json.loads(Path(where).read_bytes())["address"]
        except (ValueError, KeyError, TypeError):
            known = None
        if not known:
            raise ValueError(f"{where} does not name a scheduler: start `dask scheduler` with it")
        return distributed.Client(scheduler_file=where, timeout=SECONDS_TO_CONNECT)
    if "://" not in where:
        raise ValueError(f"--dask takes local, tcp://host:port or a scheduler's .json, got {where}")
    return distributed.Client(where, timeout=SECONDS_TO_CONNECT)


def bind_to_a_core() -> None:
    """Confine this process to a core that no other process has taken in this way, on Linux.

    A library that sizes its threads by the cores there are starts one then. The core is taken by
    locking a file, which the system undoes when the process ends, however it ends.
    """
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) == 1:
        return
    import fcntl

    for core in sorted(os.sched_getaffinity(0)):
        path = Path(tempfile.gettempdir(), f"repro-{os.getuid()}-core-{core}")
        lock = os.open(path, os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        for thread in Path("/proc/self/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})
        return
