"""Trajectories computed with DAMASK, kept as files to compare with."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from repro import paper
from repro.data.load import Load
from repro.data.microstructure import Microstructure
from repro.tools.values import Value

TRAJECTORIES = Path(__file__).with_name("recorded")
TIGHT = 1e-5  # eps_rel_div_P below which DAMASK's own error is small against ours


@dataclass(frozen=True, eq=False)
class DamaskCase(Value):
    """One simulation with DAMASK."""

    name: str
    microstructure: Microstructure
    F11: np.ndarray  # (T+1,)
    sigma_vm: np.ndarray  # MPa, (T+1, N, N)
    rate: float  # dF11/dt, 1/s
    eps_rel_div_P: float  # DAMASK's tolerance
    wall_seconds: float  # one thread

    @property
    def load(self) -> Load:
        """The load, at a constant rate."""
        return Load((self.F11 - 1) / self.rate, self.F11)

    @property
    def like_training(self) -> bool:
        """Whether grains and load are those of the paper's training data."""
        grains = self.microstructure.grain_count == paper.GRAINS
        return grains and bool(np.isclose(self.F11[-1], paper.F11_TRAINING))

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
            f"{directory}: no DAMASK trajectories; they come with a checkout, else name another "
            "directory with --damask"
        )
    return [read_case(path) for path in paths]


def read_case(path) -> DamaskCase:
    """One case."""
    with h5py.File(path) as file:
        return DamaskCase(
            path.stem,
            Microstructure(file["grain_id"][()], file["properties"][()]),
            file["F11"][()],
            file["sigma_vm"][()],
            float(file.attrs["rate_per_s"]),
            float(file.attrs["eps_rel_div_P"]),
            float(file.attrs["wall_seconds"]),
        )


def cases_like_training() -> dict[float, list[DamaskCase]]:
    """The cases with grains and load of the paper's training data, by tolerance, tightest first."""
    alike = [case for case in read_cases() if case.like_training]
    tolerances = sorted({case.eps_rel_div_P for case in alike})
    return {tol: [case for case in alike if case.eps_rel_div_P == tol] for tol in tolerances}
