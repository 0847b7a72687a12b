"""What a network is trained on: samples of its kind from a data set, which is generated if missing.

Networks that step the stress learn from the paper's load, the others from one that goes twice as
far. What is imported here does not import Keras, TensorFlow or JAX.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from repro.data.corrections import Corrections
from repro.data.dataset import DataSet, DataSetError
from repro.data.discretization import DERIVATIVES, PAPER, Discretization
from repro.data.load import LONGER_LOAD, PAPER_LOAD, Load
from repro.data.pairs import Pairs, make_pairs
from repro.data.samples import Samples
from repro.data.trajectories import INCREMENTS, Trajectories

# Of which fields a network learns: those of the paper's kind, or on 2 x 2 points per pixel, which
# are 0.2 MPa from the converged fields of the paper's cells.
LABELS = {"paper": PAPER, "converged": Discretization("rotated", 2)}
FURTHER_SEED = 1  # of further cells; the suites have 0


def pairs(data: DataSet, cells: Sequence[int], stride: int = 1) -> Pairs:
    """Pairs of fields, for networks that step the stress.

    Parameters
    ----------
    data : DataSet
    cells : sequence of int
    stride : int
        Increments from input to output, of 0.2 s in the paper's data; it leaves Δt open.
    """
    return make_pairs(data, cells, stride)


def trajectories(data: DataSet, cells: Sequence[int]) -> Trajectories:
    """Whole trajectories at the increments that the direct prediction is trained at.

    Parameters
    ----------
    data : DataSet
        Under the load to F11 = 1.008.
    cells : sequence of int
    """
    found = _pairs_of(data, cells, [LONGER_LOAD])
    return Trajectories(found.properties, found.sigma_vm[:, INCREMENTS])


def corrections(
    data: DataSet,
    cells: Sequence[int],
    tol: float = 3e-5,
    derivative: Literal[*DERIVATIVES] = PAPER.derivative,
) -> Corrections:
    """Windows of coarse solves of the cells, and the stress in the data set.

    Parameters
    ----------
    data : DataSet
    cells : sequence of int
    tol : float
        Tolerance of the coarse solve.
    derivative : str
        Derivative in space of the coarse solve.
    """
    from repro.surrogate.correction import solve_coarsely

    found = _pairs_of(data, cells, [LONGER_LOAD, PAPER_LOAD])
    solved = [data.microstructure(i) for i in cells]
    coarse = solve_coarsely(solved, data.load, tol, derivative, progress=True)
    return Corrections(found.properties, found.sigma_vm, coarse.sigma_vm)


def _pairs_of(data, cells, loads) -> Pairs:
    """Checked fields of some cells."""
    if not any(data.load.same_as(load) for load in loads):
        ends = " or ".join(f"F11 = {load.F11[-1]:g}" for load in loads)
        raise DataSetError(
            f"this network learns from increments of the paper's up to {ends}: give no data set, "
            "and it is generated"
        )
    return make_pairs(data, cells)


def labels_of(data: DataSet) -> dict:
    """What the run of a network says of the fields that it learned; of the paper's kind nothing."""
    solved = data.solver_options
    if solved is None or solved["discretization"] == PAPER:
        return {}
    return {"labels": solved["discretization"].attributes}


# Kind of samples -> how they are made, and the load of the data set.
MAKERS: dict[type[Samples], Callable[..., Samples]] = {
    Pairs: pairs,
    Trajectories: trajectories,
    Corrections: corrections,
}
LOADS: dict[type[Samples], Load] = {
    Pairs: PAPER_LOAD,
    Trajectories: LONGER_LOAD,
    Corrections: LONGER_LOAD,
}


def path_of(
    kind: type[Samples], preset: str, labels: str = "paper", further: int = 0, folder="data"
) -> Path:
    """Where the data set for a kind of samples is kept: of a preset, or so many further cells."""
    name = f"further{further}" if further else preset
    name += "_longer" if LOADS[kind] is LONGER_LOAD else ""
    return Path(folder, f"{name}{LABELS[labels].suffix}.h5")


def generate(kind: type[Samples], path, labels: str, count: int, seed: int = 0) -> None:
    """Generate a data set for a kind of samples, unless it is there."""
    from repro.reference import generation

    if not Path(path).exists():
        how = {"load": LOADS[kind], "discretization": LABELS[labels]}
        generation.generate(path, generation.Request("paper", seed, **how), count)
