"""Files of DAMASK in tests/data/damask, and what happens to such files in the field."""

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import yaml

DATA = Path(__file__).parent / "data" / "damask"
PAPER, DILATATION = DATA / "paper", DATA / "dilatation"
G10_105 = DATA / "g10_105.h5"


def results(folder: Path) -> Path:
    return folder / "geom_load_material.hdf5"


def inputs(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Grain map and properties that a simulation was written from."""
    with np.load(folder / "inputs.npz") as file:
        return file["grain_id"], file["properties"]


def edit_setup(path: Path, name: str, old: str, new: str) -> None:
    """Replace text in an input file stored in a DADF5 file."""
    with h5py.File(path, "a") as file:
        text = read_text(file, name)
        assert old in text
        write_text(file, name, text.replace(old, new))


def read_text(file, name) -> str:
    return file["setup"][name][0].decode()


def write_text(file, name, text: str | bytes) -> None:
    if name in file["setup"]:
        del file["setup"][name]
    file["setup"][name] = [text if isinstance(text, bytes) else text.encode()]


def edit_yaml(file, name, change: Callable[[dict], None]) -> None:
    tree = yaml.safe_load(read_text(file, name))
    change(tree)
    write_text(file, name, yaml.safe_dump(tree))


def increments(file) -> list[str]:
    return sorted((name for name in file if name.startswith("increment_")), key=len)


def tensors(file, name, which=slice(None)):
    """The fields F or P of all phases in some increments."""
    for increment in increments(file)[which]:
        for phase in file[increment]["phase"].values():
            yield phase["mechanical"][name]


def copy_of(folder: Path, path: Path, harden: float = 1.0) -> Path:
    """A copy of a simulation; with `harden`, of another microstructure with the same stresses."""
    shutil.copy(results(folder), path)
    if harden != 1:
        with h5py.File(path, "a") as file:
            edit_yaml(file, "material.yaml", lambda tree: _scale_h(tree, harden))
    return path


def _scale_h(material, factor):
    for phase in material["phase"].values():
        phase["mechanical"]["plastic"]["h_0"] *= factor


# --- What happens to files in the field ---------------------------------------------------


def restart(file) -> None:
    """DAMASK_grid -r: the set-up so far moves to setup/previous."""
    file.move("setup", "before")
    for name, data in file["before"].items():
        if isinstance(data, h5py.Dataset):
            file["setup/" + name] = data[()]
    file.move("before", "setup/previous")


def write_as_alpha2(file) -> None:
    """The layout of DAMASK 3.0.0-alpha2."""
    file.attrs["DADF5_version_major"], file.attrs["DADF5_version_minor"] = 0, 10
    attributes = file["geometry"].attrs
    attributes["grid"] = attributes["cells"]
    del attributes["cells"], file["setup"]
    for name in increments(file):
        file.move(name, name.replace("increment_", "inc"))


def write_as_mesh(file) -> None:
    """Results of DAMASK_mesh have no cells in rows and columns."""
    del file["geometry"].attrs["cells"], file["geometry"].attrs["size"]


def rename_phases(file, names: list[str], encoding: str = "utf-8") -> None:
    """Other names for g0...g3, as they stand unquoted in material.yaml."""
    text, mapping = read_text(file, "material.yaml"), file["cell_to/phase"][()]
    old = mapping["label"].copy()
    mapping = mapping.astype([("label", "S32"), ("entry", mapping.dtype["entry"])])
    for i, name in enumerate(names):
        text = text.replace(f"g{i}", name)
        mapping["label"][old == f"g{i}".encode()] = name.encode(encoding)
        for increment in increments(file):
            file.move(
                f"{increment}/phase/g{i}", f"{increment}/phase/".encode() + name.encode(encoding)
            )
    del file["cell_to/phase"]
    file["cell_to/phase"] = mapping
    write_text(file, "material.yaml", text.encode(encoding))


def kill_mid_increment(file) -> None:
    """Killed at the walltime: some fields of the last increment are there, not all."""
    last = file[increments(file)[-1]]
    del last["phase/g2"], last["phase/g3/mechanical/P"], last["homogenization"]


def write_every_second(file) -> None:
    """f_out: 2."""
    write_text(file, "load.yaml", read_text(file, "load.yaml").replace("f_out: 1", "f_out: 2"))
    for name in increments(file)[1::2]:
        del file[name]


def add_step_not_written(file) -> None:
    """A second step holds the load and is not written."""
    step = {
        "boundary_conditions": {"mechanical": {"dot_F": [[0, 0, 0]] * 3}},
        "discretization": {"t": 1, "N": 2},
        "f_out": "none",
    }
    edit_yaml(file, "load.yaml", lambda tree: tree["loadstep"].append(step))


def list_unused_materials(file) -> None:
    """material.yaml lists more grains than a data set may have, and another model."""

    def change(tree):
        for i in range(300):
            phase = {"lattice": "cF", "mechanical": {"elastic": {"type": "other"}}}
            tree["phase"][f"unused{i}"] = phase if i % 2 else tree["phase"]["g0"]
            constituents = [{"phase": f"unused{i}", "v": 0.5, "O": [1, 0, 0, 0]}] * (1 + i % 2)
            tree["material"].append({"homogenization": "SX", "constituents": constituents})

    edit_yaml(file, "material.yaml", change)


def store_same_names(file) -> None:
    """-m a/config.yaml -l b/config.yaml: the second is stored as config.yaml.1."""
    for name, stored in (("material.yaml", "config.yaml"), ("load.yaml", "config.yaml.1")):
        file["setup"].move(name, stored)


def compress(file) -> None:
    """F11 below 1 instead of above."""
    for F in tensors(file, "F"):
        F[:, 0, 0] = 2 - F[:, 0, 0]


def unload(file) -> None:
    """The last increment is back at the stretch of the second."""
    last, second = tensors(file, "F", slice(4, 5)), tensors(file, "F", slice(2, 3))
    for F, before in zip(last, second, strict=True):
        F[...] = before[()]
