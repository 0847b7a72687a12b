"""Generation of data sets: draw microstructures, solve them on all cores, shard by shard.

A shard is a small data set of consecutive microstructures in `FILE.shards/`. A run that is killed
loses only the shards in flight; the next run of the same command goes on from the others. Several
processes, of one machine or of many that share a disk, can write the shards of one request.
"""

import os
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from repro.data import dataset
from repro.data import microstructure as ms
from repro.data.discretization import PAPER, Discretization
from repro.data.flow_rule import PAPER_RULE, FlowRule
from repro.data.load import Load
from repro.data.microstructure import Microstructure
from repro.data.suites import SUITES, Suite
from repro.reference.simulation import ConvergenceError, accuracy, batch_size, simulate_batch
from repro.tools import engine
from repro.tools.processor import available_cores
from repro.tools.progress import Progress
from repro.tools.provenance import code_commit


def generate(
    path,
    suite: str = "paper",
    count: int | None = None,
    size: int | None = None,
    seed: int = 0,
    tol: float | None = None,
    workers: int | None = None,
    progress: bool = True,
    flow_rule: FlowRule | None = None,
    discretization: Discretization | None = None,
    load: Load | None = None,
    dask: str | None = None,
    per_shard: int | None = None,
    part: tuple[int, int] | None = None,
    join: bool = False,
) -> None:
    """Generate a suite into the data file `path`, going on from the shards of a killed run.

    Parameters
    ----------
    path : path-like
        The data set to write; never overwritten.
    suite : str
        Key of `SUITES`.
    count : int, optional
        Number of microstructures; by default that of the suite.
    size : int, optional
        Pixels along an edge; by default those of the suite, 64 for the paper's.
    seed : int
        Another seed gives other microstructures.
    tol : float, optional
        Tolerance of the reference model; by default that of `repro.reference.accuracy`, as is the
        precision.
    workers : int, optional
        Simulations at a time; by default one per core.
    progress : bool
        Whether to show a progress bar.
    flow_rule : FlowRule, optional
        By default that of the suite.
    discretization : Discretization, optional
        In space, likewise.
    load : Load, optional
        Likewise.
    dask : str, optional
        Who solves, as for `repro.tools.engine.run`; by default threads of this process.
    per_shard : int, optional
        Microstructures in a shard, which is one task; by default `batch_size()`.
    part : (int, int), optional
        (k, n): solve the k-th of n parts of the shards, k from 1, and join nothing.
    join : bool
        Solve nothing: write `path` from the shards, which must all be there.

    Raises
    ------
    FileExistsError
        If `path` exists.
    FileNotFoundError
        If a shard to be joined is not there.
    ValueError
        If `suite` is unknown or a number is out of range, or if the shards beside `path` belong to
        another request.
    ConvergenceError
        If a simulation fails; the shards already solved stay.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists: name another file or remove it")
    if suite not in SUITES:
        raise ValueError(f"unknown suite {suite}: choose from {', '.join(SUITES)}")
    count = SUITES[suite].count if count is None else count
    workers = available_cores() if workers is None else workers
    job = Job(suite, seed, size, tol, flow_rule, discretization, load)
    per_shard = batch_size() if per_shard is None else per_shard
    numbers = {"count": count, "size": job.size, "workers": workers, "per_shard": per_shard}
    numbers["tol"] = job.tol
    for name, value in numbers.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    k, n = part or (1, 1)
    if not 1 <= k <= n:
        raise ValueError(f"part {k} of {n}: the parts are 1 to n")
    # Other processes may have another working directory. A link says on which disk to write.
    target = Path(os.path.realpath(path))
    directory = target.with_name(target.name + ".shards")
    directory.mkdir(parents=True, exist_ok=True)
    shards = {
        directory / f"{start:06d}-{stop:06d}.h5": range(start, stop)
        for start in range(0, count, per_shard)
        for stop in [min(start + per_shard, count)]
    }
    for shard, indices in shards.items():
        differs = (
            job.differs(dataset.read(shard, in_memory=False), indices) if shard.exists() else ()
        )
        if differs:
            raise ValueError(
                f"{shard} is of another request ({', '.join(differs)}): remove {directory}"
            )
    if not join:
        chosen = dict(list(shards.items())[k - 1 :: n])
        _solve_missing(job, chosen, dask, workers, progress)
    if part is None:
        _join(path, shards)
        shutil.rmtree(directory)


def _solve_missing(job, shards, dask, workers, progress):
    """Write the shards that are not there yet."""
    todo = {shard: indices for shard, indices in shards.items() if not shard.exists()}
    total, left = (sum(map(len, group.values())) for group in (shards, todo))
    bar = Progress(
        what=f"solving {job.suite}",
        unit="cell",
        total=total,
        initial=total - left,
        shown=progress,
    )
    with bar:
        # Threads will do for this process, since the compiled solver frees the GIL.
        solved = engine.run(job.write, todo.items(), dask, workers, partial(job.solve, range(1)))
        for shard in solved if todo else ():
            bar.update(len(todo[shard]))


def _join(path, shards):
    """Write the data set from its shards, which are in memory one at a time."""
    missing = [shard for shard in shards if not shard.exists()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(shards)} shards are missing, the first {missing[0]}: solve "
            "them on a disk that all machines share, with the same --count and --per-shard"
        )
    dataset.write(path, (dataset.read(shard) for shard in shards))


@dataclass(frozen=True)
class Job:
    """One request for microstructures of a suite and their simulations.

    What is None is as the suite says: the pixels along an edge, the flow rule, the discretization
    and the load; the tolerance as `repro.reference.accuracy`.
    """

    suite: str
    seed: int = 0
    size: int | None = None
    tol: float | None = None
    flow_rule: FlowRule | None = None
    discretization: Discretization | None = None
    load: Load | None = None

    def __post_init__(self):
        for name in ("size", "flow_rule", "discretization", "load"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, getattr(self._family, name))
        if self.tol is None:
            object.__setattr__(self, "tol", accuracy(self.discretization)["tol"])

    @property
    def _family(self) -> Suite:
        return SUITES[self.suite]

    def microstructure(self, i: int) -> tuple[tuple[int, ...], Microstructure]:
        """Seed and microstructure number i: the same whatever is drawn beside it."""
        entropy = (self.seed, self._family.stream, i)
        return entropy, self._family.draw(ms.generator(*entropy), size=self.size)

    def solve(self, indices) -> dataset.DataSet:
        """Microstructures number `indices` and their trajectories."""
        seeds, cells = zip(*(self.microstructure(i) for i in indices), strict=True)
        try:
            runs = simulate_batch(cells, self.load, **self._how)
        except ConvergenceError as error:
            # Number it as in the suite, not as in the shard.
            error.microstructure = indices[error.microstructure]
            raise
        return dataset.of(cells, runs, self.attributes(), seeds)

    @property
    def _how(self) -> dict:
        # A tolerance that single precision does not reach takes double.
        suits = accuracy(self.discretization)
        dtype = suits["dtype"] if self.tol >= suits["tol"] else np.float64
        how = {"flow_rule": self.flow_rule, "discretization": self.discretization}
        return {**how, "tol": self.tol, "dtype": dtype}

    def write(self, task: tuple[Path, range]) -> Path:
        """Solve and write a shard, (path, indices), and name it; nothing to do if it is there."""
        shard, indices = task
        if not shard.exists():
            # Whoever else writes it meanwhile writes the same.
            dataset.write(shard, self.solve(indices), overwrite=True)
        return shard

    def attributes(self) -> dict:
        """How the data came about, as stored with it."""
        return {
            "generator": "repro.reference",
            "suite": self.suite,
            "generator_seed": self.seed,
            "tolerance": self.tol,
            **self.flow_rule.attributes,
            **self.discretization.attributes,
            "commit": code_commit(),
        }

    def differs(self, part: dataset.DataSet, indices) -> list[str]:
        """In what a shard found on disk is not what is asked for of microstructures `indices`."""
        # What is older says nothing of what is as in the paper.
        found = PAPER_RULE.attributes | PAPER.attributes | part.attributes
        wanted = self.attributes()
        same = {
            "pixels": bool(np.equal(part.grain_id.shape[1:], self.size).all()),
            "load": part.load.same_as(self.load),
            "microstructures": part.seed[:, -1].tolist() == list(indices),
        }
        same |= {key: found.get(key) == wanted[key] for key in wanted if key != "commit"}
        return [name for name, equal in same.items() if not equal]
