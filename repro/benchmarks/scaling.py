"""What an engine costs, and what a data set of a million microstructures would: measured here.

The paper's microstructures on its grid, solved by threads of this process and by workers of Dask in
turn on the same cores; what becomes of their shards; and what training asks of the memory.
"""

import os
import shutil
import tempfile
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from repro.data import dataset
from repro.data.pairs import make_pairs
from repro.reference import Request, batch_size
from repro.tools import engine, provenance
from repro.tools.processor import available_cores
from repro.tools.timing import timed

EMPTY_TASKS = 2000
SAMPLES, BATCH = 640, 16  # read for training


def run(count: int = 200, repeats: int = 3, size: int | None = None) -> pd.DataFrame:
    """Measure engines, files and memory with `count` microstructures; one row per measurement.

    Parameters
    ----------
    count : int
        Solved in every measurement.
    repeats : int
        Measurements of each, in turn; the fastest counts.
    size : int, optional
        Pixels along an edge; by default the paper's.
    """
    load = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory() as folder:
        request, per_shard = Request("paper", size=size), batch_size()
        shards = {
            Path(folder, "shards", f"{start}.h5"): range(start, min(start + per_shard, count))
            for start in range(0, count, per_shard)
        }
        rows = []
        for workers in sorted({1, available_cores()}):
            rows += engines(request, shards, workers, repeats)
        rows += files(list(shards), Path(folder), repeats)
        rows += training(Path(folder, "joined.h5"), repeats)
    return pd.DataFrame(rows).assign(load_before=load, **provenance.stamp())


def engines(request, shards: dict, workers: int, repeats: int) -> Iterator[dict]:
    """Seconds per simulation with threads and with running Dask workers, and per empty task.

    `cpu_seconds` are those of this process, in which the scheduler is, and of all workers.
    """
    count, directory = sum(map(len, shards.values())), next(iter(shards)).parent
    spent = defaultdict(list)
    with engine.local_cluster(workers) as cluster, cluster.get_client() as client:

        def processor_time():
            return time.process_time() + sum(client.run(time.process_time).values())

        def solve(contender, **how):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            before = processor_time()
            list(engine.run(request.write, shards.items(), **how))
            spent[contender].append(processor_time() - before)

        dask = cluster.scheduler_address
        contenders = {
            "threads": partial(solve, "threads", workers=workers),
            "dask": partial(solve, "dask", dask=dask),
        }
        for contender, timing in timed(contenders, repeats).items():
            yield {
                "sweep": "engine",
                "contender": contender,
                "workers": workers,
                "n": count,
                "seconds": timing.seconds / count,
                "cpu_seconds": min(spent[contender][1:]) / count,  # the first compiles
            }
        empty = timed({"dask": lambda: list(engine.run(str, range(EMPTY_TASKS), dask))}, repeats)
    yield {
        "sweep": "empty task",
        "contender": "dask",
        "workers": workers,
        "n": EMPTY_TASKS,
        "seconds": empty["dask"].seconds / EMPTY_TASKS,
    }


def files(shards: list[Path], folder: Path, repeats: int) -> Iterator[dict]:
    """Seconds and bytes per simulation of a joined file, and of a virtual data set of shards.

    Made, then read: the stress of one microstructure after the other, in random order.
    """
    lengths = [len(dataset.read(shard, in_memory=False)) for shard in shards]
    count, paths = sum(lengths), {name: folder / f"{name}.h5" for name in ("joined", "virtual")}

    def join():
        dataset.write(paths["joined"], map(dataset.read, shards), overwrite=True)

    def virtual():
        shape = dataset.read(shards[0], in_memory=False).sigma_vm.shape[1:]
        layout = h5py.VirtualLayout((count, *shape), np.float32)
        for stop, length, shard in zip(np.cumsum(lengths), lengths, shards, strict=True):
            source = h5py.VirtualSource(shard, "sigma_vm", (length, *shape))
            layout[stop - length : stop] = source
        with h5py.File(paths["virtual"], "w", libver="latest") as file:
            file.create_virtual_dataset("sigma_vm", layout)

    def read(path):
        with h5py.File(path) as file:
            for i in np.random.default_rng(0).permutation(count):
                file["sigma_vm"][i]

    def check():
        return [len(dataset.read(shard, in_memory=False)) for shard in shards]

    asked = {("joined", "make"): join, ("virtual", "make"): virtual, ("shards", "check"): check}
    asked |= {(name, "read"): partial(read, path) for name, path in paths.items()}
    for (contender, sweep), timing in timed(asked, repeats).items():
        written = [paths["joined"]] if contender == "joined" else shards
        yield {
            "sweep": sweep,
            "contender": contender,
            "n": count,
            "seconds": timing.seconds / count,
            "bytes": sum(path.stat().st_size for path in written) / count,
        }


def training(path: Path, repeats: int) -> Iterator[dict]:
    """Seconds per sample and bytes of memory per microstructure, by where the data set is."""
    pairs, taken = {}, {}
    for contender in ("memory", "file"):
        tracemalloc.start()
        data = dataset.read(path, in_memory=contender == "memory")
        pairs[contender] = make_pairs(data, range(len(data)))
        taken[contender] = tracemalloc.get_traced_memory()[1] / len(data)
        tracemalloc.stop()
    samples = pairs["memory"].epoch(0, 0)[:SAMPLES]
    reading = {name: partial(_read_batches, some, samples) for name, some in pairs.items()}
    for contender, timing in timed(reading, repeats).items():
        yield {
            "sweep": "training",
            "contender": contender,
            "n": len(samples),
            "seconds": timing.seconds / len(samples),
            "bytes": taken[contender],
        }


def _read_batches(pairs, samples):
    for _ in pairs.batches(samples, BATCH):
        pass
