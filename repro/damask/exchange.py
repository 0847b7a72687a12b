"""Our data sets out to DAMASK and its results in."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from repro.damask import dadf5, export
from repro.data import dataset
from repro.data.dataset import DataSet, DataSetError, as_load
from repro.data.load import Load
from repro.data.microstructure import Microstructure, units_known
from repro.reference import Trajectory
from repro.tools.progress import Progress
from repro.tools.provenance import code_commit

UNIAXIAL = 1e-8  # component of the mean deformation gradient that still is none
# Attributes beside the properties.
LAW = ("n", "dilatation", "hardening_left", "eps_rel_div", "derivative")


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
        If an index is out of range.
    """
    directories, how = [], {"tolerance": tolerance, **(data.solver_options or {})}
    for i in indices or range(len(data)):
        if not 0 <= i < len(data):
            raise ValueError(f"no microstructure {i}: the data set has 0 to {len(data) - 1}")
        directories.append(Path(out, f"{i:06d}"))
        export.write_inputs(directories[-1], data.microstructure(i), data.load, **how)
    return directories


def read(path) -> DataSet:
    """A data set of this project, or one simulation of DAMASK (DADF5) as a data set of one.

    Raises
    ------
    FileNotFoundError, ValueError
        As `dataset.read`, or `dadf5.read` and `data_set`.
    """
    return data_set(dadf5.read(path)) if dadf5.is_dadf5(path) else dataset.read(path)


class MismatchError(ValueError):
    """Files that cannot be used; the message lists each with its reason."""

    def __init__(self, problems: dict[str, str]):
        super().__init__(problems)
        self.problems = problems

    def __str__(self):
        return f"{len(self.problems)} unusable: " + "; ".join(listed(self.problems))


def listed(problems: dict[str, str]) -> list[str]:
    """One line per problem."""
    return [f"{name}: {reason}" for name, reason in problems.items()]


def import_damask(paths, skip: bool = False) -> tuple[DataSet, dict[str, str]]:
    """Read the DADF5 files of one campaign into a data set.

    Properties are those of the paper's law: where DAMASK's M, h or dot_gamma_0 are not the paper's,
    xi0 and h0 are the equivalent ones (`repro.damask.setup`), so that data set and stress belong
    together. How the simulations were solved is kept as attributes (`as_data_set`).

    Parameters
    ----------
    paths : iterable of path-like
        Files, or folders that are searched for *.hdf5.
    skip : bool
        Leave out files that cannot be used or are of another set-up than most.

    Returns
    -------
    DataSet
        Microstructures in the order of the files, named in the attribute `sources`.
    dict
        The files left out and why. Of files with the same microstructure the first is kept.

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    MismatchError
        If a file cannot be used and `skip` is false, or none can.
    """
    parts, problems = {}, {}
    named = Counter(dadf5.find(paths))
    for path in Progress(named, "reading", "file"):
        name = dadf5.shown(path)
        try:
            with units_known():  # of all together, once
                parts[name] = data_set(dadf5.read(path))
        except (OSError, ValueError) as error:
            problems[name] = str(error).removeprefix(f"{name}: ")
    data, left_out = join(parts, problems, skip)
    again = {f"{dadf5.shown(path)} again": "named before" for path in named if named[path] > 1}
    return data, left_out | again


def join(parts: dict[str, DataSet], problems: dict[str, str], skip: bool):
    """One data set of named parts of one set-up; see `import_damask`."""
    setups = {name: _setup(part) for name, part in parts.items()}
    keys = {name: tuple(key for key, _ in setup) for name, setup in setups.items()}
    if setups:
        usual = Counter(keys.values()).most_common(1)[0][0]
        example = next(name for name, key in keys.items() if key == usual)
        for name in [name for name, key in keys.items() if key != usual]:
            pairs = zip(setups[name], setups[example], strict=True)
            here, there = zip(*((a[1], b[1]) for a, b in pairs if a[0] != b[0]), strict=True)
            problems[name] = f"{', '.join(here)}, unlike {example}: {', '.join(there)}"
            del parts[name]
    copies, first = {}, {}
    for name, part in parts.items():
        original = first.setdefault(microstructure_key(part), name)
        if original != name:
            copies[name] = f"the same microstructure as {original}"
    if problems and not (skip and parts):
        raise MismatchError(problems)
    parts = {name: part for name, part in parts.items() if name not in copies}
    joined = dataset.concatenate(list(parts.values()))
    attributes = {**joined.attributes, "sources": "\n".join(parts)}
    with units_known():
        return replace(joined, attributes=attributes), problems | copies


def microstructure_key(part) -> str:
    """Equal for equal grain maps and properties, however the grains are numbered."""
    return dataset.array_hash(part.property_maps([0]))


def _setup(part) -> list[tuple]:
    """What must be the same in a data set, each as a key to compare and a text: load, grid, law."""
    (N1, N2), about, load = part.grain_id.shape[1:], part.attributes, part.load
    L1, L2 = part.edges
    solved = part.solved_load.increments
    turns = np.flatnonzero(np.diff(np.sign(np.diff(part.F11)))) + 1
    way = " > ".join(f"{part.F11[i]:g}" for i in (0, *turns, -1))
    free = "".join(f", P{i + 1}{j + 1} prescribed" for i, j in load.free)
    return [
        ((N1, N2, round(L2 / L1, 9)), f"{N1}x{N2} pixels, edges {L1:g} and {L2:g}"),
        (
            str([array.round(9).tolist() for array in (load.time, load.F, load.P)]),
            f"{load.increments} increments of F11 = {way} in {load.time[-1]:g} s{free}",
        ),
        (solved, f"{solved} increments solved"),
        *((str(about[name]), f"{name} = {_shown(about[name])}") for name in LAW if name in about),
    ]


def _shown(value) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def data_set(result: dadf5.Result) -> DataSet:
    """One complete simulation as a data set of one microstructure.

    Raises
    ------
    ValueError
        If increments are missing, the load is none of ours, or the grains are not those of a data
        set.
    """
    if not result.is_complete:
        written = len(result.time) - 1
        raise DataSetError(f"incomplete: {written} of {result.setup.increments} increments")
    exponents = np.unique(result.setup.of_phases("n"))
    if len(exponents) > 1:
        raise DataSetError(f"grains of different n: {', '.join(f'{n:g}' for n in exponents)}")
    return as_data_set(result)


def off_uniaxial(result: dadf5.Result) -> float:
    """How far the mean deformation gradient is from diag(F11, 1, 1), its worst component."""
    rest = result.F_mean - np.eye(3)
    rest[:, 0, 0] = 0
    return float(np.abs(rest).max())


def as_data_set(result: dadf5.Result) -> DataSet:
    """What a data set keeps of a simulation, whether or not it is complete.

    Attributes say how it was solved: all increments up to the last written (`dataset.solved`), the
    tolerance `eps_rel_div`, and the law as far as properties do not, `LAW`.

    Raises
    ------
    ValueError
        If properties are not physical, the load is none of ours, or there are too many grains.
    """
    setup, (written, solved) = result.setup, _loads(result)
    with units_known():
        cell = Microstructure(result.grain_id, setup.paper_properties, result.edges)
    run = Trajectory(
        written, result.sigma_vm, result.F_mean, result.P_mean, *np.zeros((2, len(result.time)))
    )
    about = {
        "generator": result.creator,
        "commit": code_commit(),
        **dataset.solved(solved),
        "eps_rel_div": setup.eps_rel_div,
        "derivative": setup.derivative,
        "n": setup.of_phases("n")[0],
        "dilatation": bool(setup.of_phases("dilatation").any()),
        "hardening_left": setup.of_phases("hardening_left").min().round(2),
    }
    return dataset.of([cell], [run], about)


def _loads(result) -> tuple[Load, Load]:
    """The load at the increments that are written, and at all that were solved."""
    time, F, P = result.solved_load
    if off_uniaxial(result) <= UNIAXIAL:
        return as_load(result.time, result.F_mean[:, 0, 0]), as_load(time, F[:, 0, 0])
    at = result.increments if len(time) > result.increments[-1] else slice(None)
    return as_load(result.time, F[at], P[at]), as_load(time, F, P)
