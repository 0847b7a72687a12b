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
from tqdm import tqdm

from repro import paper, reference
from repro.damask import dadf5, exchange
from repro.damask.exchange import MAX_GRAINS, MismatchError
from repro.data import dataset
from repro.data.dataset import DataSet
from repro.data.microstructure import Microstructure

SI = np.array([1e9, 1.0, 1e6, 1e9])  # of E/GPa, nu, xi0/MPa, h0/GPa
SPLITS = ("train", "val", "test")
# All that a pickled array or plain container of arrays is made of; nothing here runs code.
_ARRAY_PARTS = {
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core")
      for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}  # fmt: skip


class LegacyError(ValueError):
    """Files of an earlier replication that cannot be used; the message says which and why."""


class _RestrictedUnpickler(pickle.Unpickler):
    """Unpickles arrays, numbers, text and plain containers, and refuses all else by its name."""

    def find_class(self, module, name):
        if (module, name) not in _ARRAY_PARTS:
            raise LegacyError(f"refused: the pickle asks for {module}.{name}")
        return super().find_class(module, name)


def load_npy(path):
    """Content of a .npy file: an array, or the plain object in an object array of no dimension.

    Raises
    ------
    LegacyError
        If it is not .npy, or a pickle in it asks for more than arrays and plain containers.
    """
    content = Path(path).read_bytes()
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except ValueError:
        array = _load_object_array(path, io.BytesIO(content))
    except (EOFError, OSError) as error:
        raise LegacyError(f"{path}: not a readable .npy file ({error})") from None
    if not isinstance(array, np.ndarray):
        raise LegacyError(f"{path}: not a .npy file")
    return array.item() if array.dtype == object and array.ndim == 0 else array


def _load_object_array(path, file):
    try:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        _, _, dtype = read_header(file)
        if not dtype.hasobject:
            raise LegacyError("truncated or damaged")
        return _RestrictedUnpickler(file).load()
    except LegacyError as error:
        raise LegacyError(f"{path}: {error}") from None
    except Exception as error:  # a damaged pickle may raise anything
        raise LegacyError(f"{path}: not a readable .npy file ({error})") from None


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
    for seed, files in tqdm(_simulations(folder).items(), desc="reading", disable=None):
        name = f"seed{seed}"
        try:
            part = _simulation(name, files)
            parts[name] = replace(part, seed=np.array([[seed]]))
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
    folder, found = Path(folder), {}
    for path in sorted(folder.rglob("*seed*")):
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
        raise LegacyError(f"{' and '.join(missing)} missing")
    double = [str(path) for paths in files.values() for path in paths if len(paths) > 1]
    if double:
        raise LegacyError(f"found more than once: {', '.join(double)}")
    (labels,), (props,), (results,) = files.values()
    result = dadf5.read(results)
    stated = _property_maps(load_npy(labels), _properties(load_npy(props)))
    solved = result.setup.properties[result.grain_id]
    # The writer of the labels may have had x2 first: the grains decide.
    if not any(_agree(solved, maps) for maps in (stated, stated.swapaxes(0, 1))):
        raise LegacyError("labels and props are not the grains that the DADF5 file was solved with")
    return exchange.data_set(result)


def _properties(props) -> np.ndarray:
    """(G, 4) in our units, of (G, 4) or a dict of (G,) in SI units."""
    if isinstance(props, dict):
        missing = [name for name in paper.PROPERTY_NAMES if name not in props]
        if missing:
            raise LegacyError(f"props lack {', '.join(missing)}")
        props = [np.asarray(props[name], dtype=float).ravel() for name in paper.PROPERTY_NAMES]
        if len({column.size for column in props}) > 1:
            raise LegacyError("E, nu, xi0 and h0 of the props differ in length")
        props = np.stack(props, axis=1)
    props = np.asarray(props, dtype=float)
    if props.ndim != 2 or props.shape[1] != len(SI):
        raise LegacyError(f"props have shape {props.shape}, expected (G, 4) or a dict")
    return props / SI


def _property_maps(labels, properties) -> np.ndarray:
    """Properties of each pixel, (N, N, 4); labels count from 0 or, if none is 0, from 1."""
    labels = np.asarray(labels)
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise LegacyError(f"labels are {labels.dtype} of shape {labels.shape}, expected (N, N) int")
    if labels.min() == 1 and labels.max() == len(properties):
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
    LegacyError
        If normalization.json is of another form, or no orientation fits.
    MismatchError
        If samples are missing, unreadable or do not join and `skip` is false, or none is left.
    """
    offset, factor = _normalization(Path(folder, "metadata", "normalization.json"))
    samples, problems = _samples(Path(folder))
    trajectories, loose = _joined(samples)
    problems |= loose
    if problems and not (skip and trajectories):
        raise MismatchError(problems)
    maps, sigma_vm = (np.stack(fields) for fields in zip(*map(_fields, trajectories), strict=True))
    maps = maps * factor[:4] + offset[:4]
    sigma_vm = sigma_vm * factor[4] + offset[4]
    ramp = np.linspace(0, 1, sigma_vm.shape[1])
    turned = _orientation(maps, sigma_vm[:, 1], 1 + ramp[1] * (F11 - 1), (F11 - 1) / time)
    if "properties" in turned:
        maps = maps.swapaxes(1, 2)
    if "stress" in turned:
        sigma_vm = sigma_vm.swapaxes(2, 3)
    cells = [_microstructure(one) for one in maps]
    grains = max(len(cell.properties) for cell in cells)
    data = DataSet(
        grain_id=np.stack([cell.grain_id for cell in cells]).astype(np.uint8),
        properties=np.stack([dataset.pad_properties(cell.properties, grains) for cell in cells]),
        time=time * ramp,
        F11=1 + (F11 - 1) * ramp,
        sigma_vm=sigma_vm.astype(np.float32),
        P_mean=np.full((*sigma_vm.shape[:2], 3, 3), np.nan),
        seed=np.arange(len(cells))[:, None],
        attributes={
            "generator": "ready pairs",
            "rate_per_s": (F11 - 1) / time,
            "turned": ", ".join(turned),
            "in_several_splits": _in_several_splits(samples),
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
        raise LegacyError(
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


def _samples(folder) -> tuple[list[_Sample], dict[str, str]]:
    """Every readable pair, and the problems of the others."""
    names = {(s, p.name) for s in SPLITS for p in folder.glob(f"{s}/*puts/sample_*.npy")}
    if not names:
        raise FileNotFoundError(f"{folder}: no {{train,val,test}}/inputs/sample_*.npy")
    samples, problems = [], {}
    for split, name in tqdm(sorted(names), desc="reading", disable=None):
        files = [folder / split / side / name for side in ("inputs", "outputs")]
        try:
            samples.append(_sample(split, name, *files))
        except (OSError, ValueError) as error:
            problems[f"{split}/{name}"] = str(error)
    return samples, problems


def _sample(split, name, input_path, output_path) -> _Sample:
    for path in (input_path, output_path):
        if not path.exists():
            raise LegacyError(f"{path.parent.name}/{name} missing")
    x, y = load_npy(input_path), load_npy(output_path)
    N = len(x) if np.ndim(x) else 0
    if np.shape(x) != (N, N, 5) or np.shape(y) != (N, N, 1):
        raise LegacyError(f"shapes {np.shape(x)} and {np.shape(y)}, expected (N, N, 5), (N, N, 1)")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise LegacyError("NaN or infinite values")
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
                raise LegacyError(f"{start.split}/{start.name}: its trajectory runs in a circle")
        trajectories.append(trajectory)
    longest = max(map(len, trajectories), default=0)
    problems = {
        f"{t[0].split}/{t[0].name}": f"{len(t)} pairs from rest on, but the longest has {longest}"
        for t in trajectories
        if len(t) < longest
    }
    used = {id(sample) for trajectory in trajectories for sample in trajectory}
    problems |= {
        f"{s.split}/{s.name}": "does not continue a trajectory from rest, or is there twice"
        for s in samples
        if id(s) not in used
    }
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
        raise LegacyError(f"{len(properties)} different grains, at most {MAX_GRAINS} are supported")
    return Microstructure(grain_id.reshape(maps.shape[:2]), properties)


def _in_several_splits(samples) -> int:
    splits = {}
    for sample in samples:
        splits.setdefault(sample.properties, set()).add(sample.split)
    return sum(len(where) > 1 for where in splits.values())


def _orientation(maps, first, F11, rate, cells: int = 4) -> tuple[str, ...]:
    """Which maps to transpose to have axes (x1, x2): those that correlate best with our solution.

    Parameters
    ----------
    maps : ndarray, shape (M, N, N, 4)
    first : ndarray, shape (M, N, N)
        Stress of the first increment. It is elastic nearly everywhere, so that departing rates or
        flow rules do not blur the answer.
    F11, rate : float
        Stretch of that increment, and its rate.
    cells : int
        Microstructures to look at.
    """
    maps, first = maps[:cells], first[:cells]
    scores = {}
    for turn_maps in ((), ("properties",)):
        turned = maps.swapaxes(1, 2) if turn_maps else maps
        ours = [
            reference.simulate(_microstructure(one), F11, 1, rate).sigma_vm[1] for one in turned
        ]
        for turn_stress in ((), ("stress",)):
            theirs = first.swapaxes(1, 2) if turn_stress else first
            scores[turn_maps + turn_stress] = np.mean(
                [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(ours, theirs, strict=True)]
            )
    best, second = sorted(scores, key=scores.get, reverse=True)[:2]
    if not (scores[best] > 0.9 and 1 - scores[best] < (1 - scores[second]) / 2):
        raise LegacyError(
            "the stresses fit our own solution of these grains in no orientation "
            f"(correlation {scores[best]:.2f})"
        )
    return best


# --- Either -------------------------------------------------------------------------------


def import_folder(folder, F11: float | None, time: float | None, skip: bool):
    """`import_pairs` of a folder that holds pairs, else `import_simulations`.

    Raises
    ------
    LegacyError
        If it holds pairs and the load is not given.
    """
    if not any(Path(folder, split, "inputs").is_dir() for split in SPLITS):
        return import_simulations(folder, skip)
    if F11 is None or time is None:
        raise LegacyError("ready pairs do not say how they were loaded: give --F11 and --time")
    return import_pairs(folder, F11, time, skip)


def remarks(data: DataSet) -> list[str]:
    """What a user of imported pairs should know."""
    found = []
    if data.attributes.get("turned"):
        found.append(f"{data.attributes['turned']} maps were transposed: their axes were (x2, x1)")
    if data.attributes.get("in_several_splits"):
        found.append(
            f"{data.attributes['in_several_splits']} microstructures sit in several splits: errors "
            "measured on such a split are those of training"
        )
    return found
