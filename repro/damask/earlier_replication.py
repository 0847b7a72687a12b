"""Bring in the data of an earlier replication: its simulations, or its ready training pairs.

Simulations: `labels_seedK.npy` (N, N) int, `props_seedK.npy` (G, 4) or a pickled dict of E, nu, xi0
and h0 in SI units, and `seedK.hdf5` of DAMASK, anywhere below one folder.

Ready pairs: `{train,val,test}/{inputs,outputs}/sample_*.npy`, (N, N, 5) and (N, N, 1) normalized as
`metadata/normalization.json` says.
"""

import hashlib
import io
import json
import pickle
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from repro import paper, reference
from repro.damask import dadf5, exchange
from repro.damask.exchange import MismatchError
from repro.data import dataset
from repro.data.dataset import MAX_GRAINS, DataSet
from repro.data.load import Load
from repro.data.microstructure import Microstructure, units_known
from repro.tools.progress import Progress

SI = np.array([1e9, 1.0, 1e6, 1e9])  # of E/GPa, nu, xi0/MPa, h0/GPa
SPLITS = ("train", "val", "test")
# All that a pickled array or plain container of arrays is made of; nothing here runs code.
_ARRAY_PARTS = {("numpy", "ndarray"), ("numpy", "dtype")} | {
    (f"numpy.{core}.{module}", name)
    for core in ("core", "_core")
    for module, name in (
        ("multiarray", "_reconstruct"),
        ("multiarray", "scalar"),
        ("numeric", "_frombuffer"),
    )
}


class ReplicationError(ValueError):
    """Files of an earlier replication that cannot be used; the message says which and why."""


class _RestrictedUnpickler(pickle.Unpickler):
    """Unpickles arrays, numbers, text and plain containers, and refuses all else by its name."""

    def find_class(self, module, name):
        if (module, name) not in _ARRAY_PARTS:
            raise ReplicationError(f"refused: the pickle asks for {module}.{name}")
        return super().find_class(module, name)


def load_npy(path):
    """Content of a .npy file: an array, or the plain object in an object array of no dimension.

    Raises
    ------
    ReplicationError
        If it is not .npy, or a pickle in it asks for more than arrays and plain containers.
    """
    file = io.BytesIO(Path(path).read_bytes())
    try:
        version = np.lib.format.read_magic(file)
        header = getattr(np.lib.format, "read_array_header_{}_{}".format(*version))
        pickled = header(file)[2].hasobject
        if not pickled:
            file.seek(0)
        array = _RestrictedUnpickler(file).load() if pickled else np.load(file)
    except ReplicationError as error:
        raise ReplicationError(f"{path}: {error}") from None
    except Exception as error:  # a damaged file may raise anything
        raise ReplicationError(f"{path}: not a readable .npy file ({error})") from None
    if not isinstance(array, np.ndarray):
        raise ReplicationError(f"{path}: not an array, but {type(array).__name__}")
    return array.item() if array.dtype == object and array.ndim == 0 else array


def _load_numbers(path) -> np.ndarray:
    """Content of a .npy file of numbers."""
    content = load_npy(path)
    if not (isinstance(content, np.ndarray) and content.dtype.kind in "iuf"):
        kind = getattr(content, "dtype", type(content).__name__)
        raise ReplicationError(f"{path}: expected numbers, found {kind}")
    return content


# --- Simulations --------------------------------------------------------------------------


def import_simulations(folder, skip: bool = False) -> tuple[DataSet, dict[str, str]]:
    """Read `labels_seedK.npy`, `props_seedK.npy` and `seedK.hdf5` of a folder into a data set.

    Grains, properties and stress are those of the DADF5 file, which knows what was solved; labels
    and props must agree with it. `seed` of the data set is K.

    Parameters
    ----------
    folder : path-like
    skip : bool
        Leave out seeds that cannot be used, instead of raising.

    Returns
    -------
    DataSet
    dict
        What was left out and why.

    Raises
    ------
    FileNotFoundError
        If the folder holds none of these files.
    MismatchError
        If files are missing, unreadable or at odds and `skip` is false, or no seed is left.
    """
    parts, problems = {}, {}
    for seed, files in Progress(_simulations(folder).items(), "reading", "simulation"):
        name = f"seed{seed}"
        try:
            with units_known():  # of all together, once
                parts[name] = replace(_simulation(name, files), seed=np.array([[seed]]))
        except (OSError, ValueError) as error:
            problems[name] = str(error)
    return exchange.join(parts, problems, skip)


_KINDS = {
    "labels": re.compile(r"labels_seed(\d+)\.npy"),
    "props": re.compile(r"props_seed(\d+)\.npy"),
    "results": re.compile(r"seed(\d+)\.hdf5"),
}


def _simulations(folder) -> dict[int, dict[str, list[Path]]]:
    """Files of each seed by kind."""
    found = {}
    for path in sorted(dadf5.files_below(folder)):
        for kind, pattern in _KINDS.items():
            if match := pattern.fullmatch(path.name):
                files = found.setdefault(int(match[1]), {kind: [] for kind in _KINDS})
                files[kind].append(path)
    if not found:
        raise FileNotFoundError(f"{folder}: no labels_seed*.npy, props_seed*.npy or seed*.hdf5")
    return dict(sorted(found.items()))


def _simulation(name, files) -> DataSet:
    patterns = {"labels": f"labels_{name}.npy", "props": f"props_{name}.npy"}
    missing = [patterns.get(kind, f"{name}.hdf5") for kind, paths in files.items() if not paths]
    if missing:
        raise ReplicationError(f"{' and '.join(missing)} missing")
    double = [str(path) for paths in files.values() for path in paths if len(paths) > 1]
    if double:
        raise ReplicationError(f"found more than once: {', '.join(double)}")
    (labels,), (props,), (results,) = files.values()
    result = dadf5.read(results)
    stated = _property_maps(_load_numbers(labels), _properties(props))
    solved = result.setup.properties[result.grain_id]
    # The writer of the labels may have had x2 first: the grains decide.
    if not any(_agree(solved, maps) for maps in (stated, stated.swapaxes(0, 1))):
        raise ReplicationError(
            "labels and props are not the grains that the DADF5 file was solved with"
        )
    return exchange.data_set(result)


def _properties(path) -> np.ndarray:
    """(G, 4) in our units, of (G, 4) or a dict of (G,) in SI units."""
    props = load_npy(path)
    try:
        if isinstance(props, dict):
            columns = [np.asarray(props[name], float).ravel() for name in paper.PROPERTY_NAMES]
            props = np.stack(columns, axis=1)
        props = np.asarray(props, dtype=float)
        if props.ndim != 2 or props.shape[1] != len(SI):
            raise ValueError(f"shape {props.shape}")
    except (KeyError, TypeError, ValueError) as error:
        raise ReplicationError(
            f"{path}: expected (G, 4) numbers, or a dict of E, nu, xi0 and h0 (G,); found "
            + (f"no {error}" if isinstance(error, KeyError) else str(error))
        ) from None
    return props / SI


def _property_maps(labels, properties) -> np.ndarray:
    """Properties of each pixel, (N, N, 4); labels count from 0 or, if none is 0, from 1."""
    if labels.size and labels.min() == 1 and labels.max() == len(properties):
        labels = labels - 1
    return Microstructure(labels, properties).property_maps()


def _agree(a, b) -> bool:
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-6)


# --- Ready pairs --------------------------------------------------------------------------


def import_pairs(
    folder, F11: float, time: float, skip: bool = False
) -> tuple[DataSet, dict[str, str]]:
    """Read a folder of ready pairs into a data set, joined to trajectories again.

    A pair follows the one whose output is its input, on equal properties. Pairs do not say which
    axis is which: our own solution of the first increment does, and maps are turned to fit it.

    Parameters
    ----------
    folder : path-like
    F11 : float
        Mean stretch at the end of a trajectory, which has equal increments.
    time : float
        s, of a trajectory.
    skip : bool
        Leave out what cannot be used, instead of raising.

    Returns
    -------
    DataSet
        `seed` is the number of the trajectory, in order of the sample it starts with; `P_mean` is
        not in the pairs and comes out NaN. Attributes: `turned` names the maps that were
        transposed, `in_several_splits` counts the microstructures that sit in more than one split.
    dict
        What was left out and why.

    Raises
    ------
    FileNotFoundError
        If the folder is not of this layout.
    ReplicationError
        If normalization.json is of another form, or no orientation fits.
    ValueError
        If F11 and time are no load.
    MismatchError
        If samples are missing, unreadable or do not join and `skip` is false, or none is left.
    """
    if not time > 0:
        raise ReplicationError(f"time must be positive, got {time}")
    whole = Load.stretch(F11, 1, abs(F11 - 1) / time)
    offset, factor = _normalization(Path(folder, "metadata", "normalization.json"))
    samples, problems = _samples(Path(folder))
    trajectories, loose = _joined(samples)
    problems |= loose
    if problems and not (skip and trajectories):
        raise MismatchError(problems)
    maps, sigma_vm = (np.stack(fields) for fields in zip(*map(_fields, trajectories), strict=True))
    maps = maps * factor[:4] + offset[:4]
    sigma_vm = sigma_vm * factor[4] + offset[4]
    load = whole.refined(sigma_vm.shape[1] - 1)
    turned = _orientation(maps, sigma_vm[:, 1], Load(load.time[:2], load.F11[:2]))
    if "properties" in turned:
        maps = maps.swapaxes(1, 2)
    if "stress" in turned:
        sigma_vm = sigma_vm.swapaxes(2, 3)
    with units_known():
        cells = [_microstructure(one) for one in maps]
    grains = max(len(cell.properties) for cell in cells)
    splits = {}
    for sample in samples:
        splits.setdefault(sample.properties, set()).add(sample.split)
    data = DataSet(
        grain_id=np.stack([cell.grain_id for cell in cells]).astype(np.uint8),
        properties=np.stack([dataset.pad_properties(cell.properties, grains) for cell in cells]),
        time=load.time,
        F11=load.F11,
        sigma_vm=sigma_vm.astype(np.float32),
        P_mean=np.full((*sigma_vm.shape[:2], 3, 3), np.nan),
        seed=np.arange(len(cells))[:, None],
        attributes={
            "generator": "ready pairs",
            "turned": ", ".join(turned),
            "in_several_splits": sum(len(where) > 1 for where in splits.values()),
        },
    )
    return data, problems


def _normalization(path) -> tuple[np.ndarray, np.ndarray]:
    """Offset and factor (5,) from the normalized channels to GPa, -, MPa, GPa, MPa."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; ready pairs need it")
    try:
        ranges = json.loads(path.read_text(encoding="utf-8"))
        limits = np.array([[ranges[n]["min"], ranges[n]["max"]] for n in paper.PROPERTY_NAMES])
        low, high = limits.astype(float).T / SI
        if ranges["sigma_vM"]["scale"] != "MPa/1000":
            raise ValueError(f"unknown scale {ranges['sigma_vM']['scale']}")
    except (KeyError, TypeError, ValueError) as error:
        raise ReplicationError(
            f"{path}: expected min and max (SI) of E, nu, xi0 and h0, and sigma_vM with scale "
            f"MPa/1000; at {error}"
        ) from None
    return np.append(low, 0.0), np.append(high - low, 1000.0)


@dataclass(frozen=True)
class _Sample:
    """One pair on disk, with fingerprints of its fields."""

    split: str
    name: str
    input: Path
    output: Path
    properties: bytes
    before: bytes
    after: bytes
    at_rest: bool  # starts from no stress

    def __str__(self):
        return f"{self.split}/{self.name}"


def _samples(folder) -> tuple[list[_Sample], dict[str, str]]:
    """Every readable pair, and the problems of the others."""
    names = {(s, p.name) for s in SPLITS for p in folder.glob(f"{s}/*puts/sample_*.npy")}
    if not names:
        raise FileNotFoundError(f"{folder}: no {{train,val,test}}/inputs/sample_*.npy")
    samples, problems = [], {}
    for split, name in Progress(sorted(names), "reading", "pair"):
        files = [folder / split / side / name for side in ("inputs", "outputs")]
        try:
            samples.append(_sample(split, name, *files))
        except (OSError, ValueError) as error:
            problems[f"{split}/{name}"] = str(error)
    return samples, problems


def _sample(split, name, input_path, output_path) -> _Sample:
    for path in (input_path, output_path):
        if not path.exists():
            raise ReplicationError(f"{path.parent.name}/{name} missing")
    x, y = _load_numbers(input_path), _load_numbers(output_path)
    if x.ndim != 3 or x.shape != (len(x), len(x), 5) or y.shape != (len(x), len(x), 1):
        raise ReplicationError(f"shapes {x.shape} and {y.shape}, expected (N, N, 5), (N, N, 1)")
    if not (x.size and np.isfinite(x).all() and np.isfinite(y).all()):
        raise ReplicationError("NaN or infinite values")
    at_rest = bool(np.abs(x[..., 4]).max() < 1e-6)
    fingerprints = (_fingerprint(field) for field in (x[..., :4], x[..., 4], y[..., 0]))
    return _Sample(split, name, input_path, output_path, *fingerprints, at_rest)


def _fingerprint(field) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(field, dtype=np.float32)).digest()


def _joined(samples) -> tuple[list[list[_Sample]], dict[str, str]]:
    """Trajectories from rest to the end, and the samples that are part of none."""
    following = {(sample.properties, sample.before): sample for sample in samples}
    trajectories = []
    for start in (sample for sample in following.values() if sample.at_rest):
        trajectory = [start]
        while following_on := following.get((start.properties, trajectory[-1].after)):
            trajectory.append(following_on)
            if len(trajectory) > len(samples):
                raise ReplicationError(f"{start}: its trajectory runs in a circle")
        trajectories.append(trajectory)
    longest = max(map(len, trajectories), default=0)
    problems = {
        str(t[0]): f"{len(t)} pairs from rest on, but the longest has {longest}"
        for t in trajectories
        if len(t) < longest
    }
    used = {id(sample) for trajectory in trajectories for sample in trajectory}
    loose = "does not continue a trajectory from rest, or is there twice"
    problems |= {str(sample): loose for sample in samples if id(sample) not in used}
    return [t for t in trajectories if len(t) == longest], problems


def _fields(trajectory) -> tuple[np.ndarray, np.ndarray]:
    """Property maps (N, N, 4) and stresses (T+1, N, N) of a trajectory, normalized."""
    first = load_npy(trajectory[0].input)
    outputs = [load_npy(sample.output)[..., 0] for sample in trajectory]
    return first[..., :4].astype(float), np.stack([first[..., 4], *outputs])


def _microstructure(maps) -> Microstructure:
    """Grains are the pixels of equal properties."""
    properties, grain_id = np.unique(maps.reshape(-1, 4), axis=0, return_inverse=True)
    if len(properties) > MAX_GRAINS:
        raise ReplicationError(f"{len(properties)} grains, at most {MAX_GRAINS} are supported")
    return Microstructure(grain_id.reshape(maps.shape[:2]), properties)


def _orientation(maps, first, load: Load, cells: int = 4) -> tuple[str, ...]:
    """Which maps to transpose to have axes (x1, x2): those that correlate best with our solution.

    Parameters
    ----------
    maps : ndarray, shape (M, N, N, 4)
    first : ndarray, shape (M, N, N)
        Stress of the first increment. It is elastic nearly everywhere, so that departing rates or
        flow rules do not blur the answer.
    load : Load
        That increment.
    cells : int
        Microstructures to look at.
    """
    scores = {}
    for turn_maps in ((), ("properties",)):
        turned = maps[:cells].swapaxes(1, 2) if turn_maps else maps[:cells]
        with units_known():
            ours = [reference.simulate(_microstructure(one), load).sigma_vm[1] for one in turned]
        for turn_stress in ((), ("stress",)):
            theirs = first[:cells].swapaxes(1, 2) if turn_stress else first[:cells]
            fits = [
                np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(ours, theirs, strict=True)
            ]
            scores[turn_maps + turn_stress] = np.mean(fits)
    best, second = sorted(scores, key=scores.get, reverse=True)[:2]
    if not (scores[best] > 0.9 and 1 - scores[best] < (1 - scores[second]) / 2):
        raise ReplicationError(
            "the stresses fit our own solution of these grains in no orientation "
            f"(correlation {scores[best]:.2f})"
        )
    return best


# --- Any layout ---------------------------------------------------------------------------


def import_files(
    paths, F11: float | None = None, time: float | None = None, skip: bool = False
) -> tuple[DataSet, dict[str, str]]:
    """Read simulations of any layout: one folder as described above, or DADF5 files.

    Parameters
    ----------
    paths : sequence of path-like
        Files, or folders that are searched.
    F11, time : float, optional
        As for `import_pairs`, which needs them.
    skip : bool
        Leave out what cannot be used, instead of raising.

    Returns
    -------
    DataSet
    dict
        What was left out and why.

    Raises
    ------
    ReplicationError
        If such a folder is given beside others, or F11 and time where they are not needed, or not
        where they are.
    FileNotFoundError, MismatchError, ValueError
        As `import_pairs`, `import_simulations` or `repro.damask.exchange.import_damask`.
    """
    pairs = [path for path in paths if _holds_pairs(path)]
    simulations = [path for path in paths if _holds_simulations(path)]
    if len(paths) > 1 and (found := pairs + simulations):
        raise ReplicationError(f"{found[0]} holds an earlier replication: import it alone")
    if pairs:
        if F11 is None or time is None:
            raise ReplicationError(
                "ready pairs do not say how they were loaded: give --F11 and --time"
            )
        return import_pairs(pairs[0], F11, time, skip)
    if F11 is not None or time is not None:
        raise ReplicationError("simulations say how they were loaded: leave out --F11 and --time")
    if simulations:
        return import_simulations(simulations[0], skip)
    return exchange.import_damask(paths, skip)


def _holds_pairs(path) -> bool:
    return any(Path(path, split, "inputs").is_dir() for split in SPLITS)


def _holds_simulations(path) -> bool:
    names = (file.name for file in dadf5.files_below(path))
    return any(_KINDS[kind].fullmatch(name) for name in names for kind in ("labels", "props"))


def remarks(data: DataSet) -> list[str]:
    """What a user of imported pairs should know."""
    found = []
    if turned := data.attributes.get("turned"):
        found.append(f"{turned} maps were transposed: their axes were (x2, x1)")
    if several := data.attributes.get("in_several_splits"):
        found.append(
            f"{several} microstructures sit in several splits: errors measured on such a split are "
            "those of training"
        )
    return found
