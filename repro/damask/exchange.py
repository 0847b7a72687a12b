"""Our data sets out to DAMASK and its results in."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from repro.damask import dadf5, export
from repro.data import dataset
from repro.data.dataset import DataSet, DataSetError
from repro.data.microstructure import Microstructure
from repro.tools.provenance import code_commit

MAX_GRAINS = 256  # grain_id is uint8


def export_damask(
    data: DataSet, out, indices: Sequence[int] = (), tolerance: float | None = None
) -> list[Path]:
    """Write DAMASK's inputs for microstructures of a data set, a folder each.

    Parameters
    ----------
    data : DataSet
    out : path-like
        Folder of the folders.
    indices : sequence of int
        Which microstructures; by default all.
    tolerance : float, optional
        eps_rel_div(P); by default DAMASK's own.

    Returns
    -------
    list of Path
        The folders, named by index.

    Raises
    ------
    ValueError
        If an index is out of range, or the load of the data set is not linear in time.
    """
    directories = []
    for i in indices or range(len(data)):
        if not 0 <= i < len(data):
            raise ValueError(f"no microstructure {i}: the data set has 0 to {len(data) - 1}")
        directories.append(Path(out, f"{i:06d}"))
        export.write_inputs(directories[-1], data.microstructure(i), data.F11, data.time, tolerance)
    return directories


class MismatchError(ValueError):
    """Files that cannot be used; the message lists each with its reason."""

    def __init__(self, problems: dict[str, str]):
        super().__init__(problems)
        self.problems = problems

    def __str__(self):
        return f"{len(self.problems)} unusable: " + "; ".join(listed(self.problems))


def listed(problems: dict[str, str]) -> list[str]:
    """One line a problem."""
    return [f"{name}: {reason}" for name, reason in problems.items()]


def import_damask(paths, skip: bool = False) -> tuple[DataSet, dict[str, str]]:
    """Read the DADF5 files of one campaign into a data set.

    Properties are those of the paper's law: where DAMASK's M is not sqrt(3/2), xi0 and h0 are the
    equivalent ones (`repro.damask.setup`), so that data set and stress belong together.

    Parameters
    ----------
    paths : iterable of path-like
        Files, or folders that are searched for *.hdf5.
    skip : bool
        Leave out files that cannot be used or are under another load than most.

    Returns
    -------
    DataSet
        Microstructures in the order of the files, named in the attribute `sources`.
    dict
        The files left out and why.

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    MismatchError
        If a file cannot be used and `skip` is false, or none can.
    """
    parts, problems = {}, {}
    for path in tqdm(dadf5.find(paths), desc="reading", unit="file", disable=None):
        try:
            parts[str(path)] = data_set(dadf5.read(path))
        except (OSError, ValueError) as error:
            problems[str(path)] = str(error).removeprefix(f"{path}: ")
    return join(parts, problems, skip)


def join(parts: dict[str, DataSet], problems: dict[str, str], skip: bool):
    """One data set of named parts under one load; see `import_damask`."""
    loads = {name: _load(part) for name, part in parts.items()}
    if loads:
        usual = Counter(loads.values()).most_common(1)[0][0]
        example = next(name for name, load in loads.items() if load == usual)
        for name, load in loads.items():
            if load != usual:
                problems[name] = f"{_describe(load)}, unlike {example}: {_describe(usual)}"
                del parts[name]
    if problems and not (skip and parts):
        raise MismatchError(problems)
    joined = dataset.concatenate(list(parts.values()))
    attributes = {**joined.attributes, "sources": "\n".join(parts)}
    return replace(joined, attributes=attributes), problems


def _load(part):
    """Grid, times and stretches, rounded so that equal loads compare equal."""
    return part.grain_id.shape[1], *(tuple(a.round(9).tolist()) for a in (part.time, part.F11))


def _describe(load):
    N, time, F11 = load
    return f"{N}x{N} pixels and {len(time) - 1} increments to F11 = {F11[-1]:g} in {time[-1]:g} s"


def data_set(result: dadf5.Result) -> DataSet:
    """One simulation as a data set of one microstructure.

    Raises
    ------
    ValueError
        If increments are missing, the mean deformation gradient is not diag(F11, 1, 1), or
        properties are not physical.
    """
    written, wanted = len(result.time) - 1, result.setup.increments
    if written != wanted:
        raise DataSetError(f"incomplete: {written} of {wanted} increments")
    F11 = result.F_mean[:, 0, 0]
    if not np.allclose(result.F_mean, _uniaxial(F11), rtol=0, atol=1e-8):
        raise DataSetError("the mean deformation gradient is not diag(F11, 1, 1)")
    cell = Microstructure(result.grain_id, result.setup.paper_properties)
    if len(cell.properties) > MAX_GRAINS:
        raise DataSetError(f"{len(cell.properties)} grains, at most {MAX_GRAINS} are supported")
    return DataSet(
        grain_id=cell.grain_id[None].astype(np.uint8),
        properties=cell.properties[None],
        time=result.time,
        F11=F11,
        sigma_vm=result.sigma_vm[None].astype(np.float32),
        P_mean=result.P_mean[None],
        seed=np.array([[-1]]),  # not drawn by our generator
        attributes={
            "generator": result.creator,
            "tolerance": result.setup.eps_rel_div,
            "rate_per_s": (F11[-1] - 1) / result.time[-1],
            "commit": code_commit(),
        },
    )


def _uniaxial(F11):
    F = np.tile(np.eye(3), (len(F11), 1, 1))
    F[:, 0, 0] = F11
    return F
