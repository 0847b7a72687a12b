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
from repro.reference.many import how_solved
from repro.reference.simulation import ConvergenceError, accuracy, batch_size, simulate_batch
from repro.tools import engine
from repro.tools.processor import available_cores
from repro.tools.progress import Progress
from repro.tools.values import required, whole


def generate(
    path,
    request: "Request | str" = "paper",
    count: int | None = None,
    *,
    workers: int | None = None,
    dask: str | None = None,
    per_shard: int | None = None,
    part: tuple[int, int] | None = None,
    join: bool = False,
    progress: bool = True,
) -> None:
    """Generate microstructures and their simulations into the data file `path`.

    It goes on from the shards of a killed run.

    Parameters
    ----------
    path : path-like
        The data set to write; never overwritten.
    request : Request or str
        What to generate. The name of a suite stands for the suite as it is, `Request(name)`.
    count : int, optional
        Number of microstructures; by default that of the suite.
    workers : int, optional
        Simulations at a time; by default one per core.
    dask : str, optional
        Who solves, as for `repro.tools.engine.run`; by default threads of this process.
    per_shard : int, optional
        Microstructures in a shard, which is one task; by default `batch_size()`.
    part : (int, int), optional
        (k, n): solve the k-th of n parts of the shards, k from 1, and join nothing.
    join : bool
        Solve nothing: write `path` from the shards, which must all be there.
    progress : bool
        Whether to show a progress bar.

    Raises
    ------
    FileExistsError
        If `path` exists.
    FileNotFoundError
        If a shard to be joined is not there.
    ValueError
        If the suite is unknown or a number is out of range, or if the shards beside `path` belong
        to another request.
    ConvergenceError
        If a simulation fails; the shards already solved stay.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists: name another file or remove it")
    request = Request(request) if isinstance(request, str) else request
    required(request, Request, "request")
    count = whole(SUITES[request.suite].count if count is None else count, "count")
    workers = whole(available_cores() if workers is None else workers, "workers")
    per_shard = whole(batch_size() if per_shard is None else per_shard, "per_shard")
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
    for shard in filter(Path.exists, shards):
        differs = request.differs(dataset.read(shard, in_memory=False), shards[shard])
        if differs:
            raise ValueError(
                f"{shard} is of another request ({', '.join(differs)}): remove {directory}"
            )
    if not join:
        chosen = dict(list(shards.items())[k - 1 :: n])
        _solve_missing(request, chosen, dask, workers, progress)
    if part is None:
        _join(path, shards)
        shutil.rmtree(directory)


def _solve_missing(request, shards, dask, workers, progress):
    """Write the shards that are not there yet."""
    todo = {shard: indices for shard, indices in shards.items() if not shard.exists()}
    total, left = (sum(map(len, group.values())) for group in (shards, todo))
    bar = Progress(
        what=f"solving {request.suite}",
        unit="cell",
        total=total,
        initial=total - left,
        shown=progress,
    )
    with bar:
        # Threads will do for this process, since the compiled solver frees the GIL.
        warm = partial(request.solve, range(1))
        solved = engine.run(request.write, todo.items(), dask, workers, warm)
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
class Request:
    """A request for microstructures of a suite and their simulations.

    Microstructure i is the same however many are generated: their number is not part of it.

    Parameters
    ----------
    suite : str
        Key of `SUITES`.
    seed : int
        Another seed gives other microstructures.
    size : int, optional
        Pixels along an edge; by default those of the suite, 64 for the paper's.
    tol : float, optional
        Tolerance of the reference model; by default, and the precision, by
        `repro.reference.accuracy`.
    flow_rule : FlowRule, optional
        By default that of the suite.
    discretization : Discretization, optional
        In space, likewise.
    load : Load, optional
        Likewise.

    Raises
    ------
    ValueError
        If the suite is unknown, a number is out of range, or a value is of another class.
    """

    suite: str
    seed: int = 0
    size: int | None = None
    tol: float | None = None
    flow_rule: FlowRule | None = None
    discretization: Discretization | None = None
    load: Load | None = None

    def __post_init__(self):
        if self.suite not in SUITES:
            raise ValueError(f"unknown suite {self.suite}: choose from {', '.join(SUITES)}")
        object.__setattr__(self, "seed", whole(self.seed, "seed", least=0))
        for name in ("size", "flow_rule", "discretization", "load"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, getattr(self._family, name))
        ms.grid_shape(self.size)
        required(self.flow_rule, FlowRule, "flow_rule")
        required(self.discretization, Discretization, "discretization")
        required(self.load, Load, "load")
        object.__setattr__(self, "tol", accuracy(self.discretization, self.tol)["tol"])
        if not self.tol > 0:
            raise ValueError(f"tol must be positive, got {self.tol}")

    @property
    def _family(self) -> Suite:
        return SUITES[self.suite]

    def microstructure(self, i: int) -> tuple[tuple[int, ...], Microstructure]:
        """Seed and microstructure number i: the same whatever is drawn beside it."""
        entropy = (self.seed, self._family.stream, i)
        return entropy, self._family.draw(ms.generator(*entropy), size=self.size)

    def cells(self, indices) -> list[Microstructure]:
        """Microstructures number `indices`, without their seeds."""
        return [self.microstructure(i)[1] for i in map(int, indices)]

    def solve(self, indices) -> dataset.DataSet:
        """Microstructures number `indices` and their trajectories."""
        seeds, cells = zip(*(self.microstructure(i) for i in indices), strict=True)
        how = {"flow_rule": self.flow_rule, "discretization": self.discretization}
        how |= accuracy(self.discretization, self.tol)
        try:
            runs = simulate_batch(cells, self.load, **how)
        except ConvergenceError as error:
            # Number it as in the suite, not as in the shard.
            error.microstructure = indices[error.microstructure]
            raise
        return dataset.of(cells, runs, self.attributes, seeds)

    def write(self, task: tuple[Path, range]) -> Path:
        """Solve and write a shard, (path, indices), and name it; nothing to do if it is there."""
        shard, indices = task
        if not shard.exists():
            # Whoever else writes it meanwhile writes the same.
            dataset.write(shard, self.solve(indices), overwrite=True)
        return shard

    @property
    def attributes(self) -> dict:
        """How the data came about, as stored with it."""
        drawn = {"suite": self.suite, "generator_seed": self.seed}
        return how_solved(self.tol, self.flow_rule, self.discretization) | drawn

    def differs(self, part: dataset.DataSet, indices) -> list[str]:
        """In what a shard found on disk is not what is asked for of microstructures `indices`."""
        # What is older says nothing of what is as in the paper.
        found = PAPER_RULE.attributes | PAPER.attributes | part.attributes
        wanted = self.attributes
        same = {
            "pixels": bool(np.equal(part.grain_id.shape[1:], self.size).all()),
            "load": part.load.same_as(self.load),
            "microstructures": part.seed[:, -1].tolist() == list(indices),
        }
        same |= {key: found.get(key) == wanted[key] for key in wanted if key != "commit"}
        return [name for name, equal in same.items() if not equal]
