"""Trajectories computed with DAMASK, kept as files to compare with."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from repro.microstructure import Microstructure

TRAJECTORIES = Path("tests/data/damask_trajectories")
TIGHT = 1e-5  # eps_rel_div_P below which DAMASK's own error is small against ours


@dataclass(frozen=True)
class DamaskCase:
    """One simulation with DAMASK."""

    name: str
    microstructure: Microstructure
    F11: np.ndarray  # (T+1,)
    sigma_vm: np.ndarray  # MPa, (T+1, N, N)
    eps_rel_div_P: float  # DAMASK's tolerance
    wall_seconds: float  # one thread

    @property
    def tight(self) -> bool:
        """Whether DAMASK's own error is small."""
        return self.eps_rel_div_P < TIGHT


def read_cases(directory=TRAJECTORIES) -> list[DamaskCase]:
    """All cases in a directory.

    Raises
    ------
    FileNotFoundError
        If there are none.
    """
    paths = sorted(Path(directory).glob("*.h5"))
    if not paths:
        raise FileNotFoundError(
            f"{directory}: no DAMASK trajectories; run in the root of the repository or name "
            "another directory with --damask"
        )
    return [_read(path) for path in paths]


def _read(path):
    with h5py.File(path) as file:
        return DamaskCase(
            path.stem,
            Microstructure(file["grain_id"][()], file["properties"][()]),
            file["F11"][()],
            file["sigma_vm"][()],
            float(file.attrs["eps_rel_div_P"]),
            float(file.attrs["wall_seconds"]),
        )
