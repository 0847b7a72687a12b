"""The surrogates for whole loads that come with the project: one list for all who ask them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from repro.data.discretization import CONVERGED, PAPER, Discretization
from repro.data.load import Load
from repro.models.backend import keras
from repro.models.runs import Run, read_config, run_of
from repro.surrogate import predictors, refiner, whole_path
from repro.surrogate.predictors import Predictor

SHIPPED = Path(__file__).with_name("shipped")
# Titles of those that learned from converged fields; the others have theirs in their modules.
CORRECTED = "learned correction, converged"
DIRECT = "direct prediction, converged"
DIRECT_TWICE = "direct prediction in two passes, converged"


@dataclass(frozen=True)
class Surrogate:
    """A way to predict whole loads, and the trained network behind it.

    Parameters
    ----------
    title : str
        What it is called in results.
    folder : str
        Of its network, in `SHIPPED`.
    make : callable
        Path of a network -> predictor.
    read : callable
        Path of a network -> network.
    check_load : callable
        Raises ValueError for a load that it does not know.
    tolerance : float
        Bound of a cell's error, MPa, that `benchmark bounds` asks it for.
    """

    title: str
    folder: str
    make: Callable[[Path], Predictor]
    read: Callable[[Path], keras.Model]
    check_load: Callable[[Load], None]
    tolerance: float

    @property
    def path(self) -> Path:
        """Directory of its network."""
        return SHIPPED / self.folder

    def predictor(self) -> Predictor:
        """The predictor, with its network loaded."""
        return self.make(self.path)

    def network(self) -> keras.Model:
        """The network."""
        return self.read(self.path)

    @property
    def labels(self) -> Discretization:
        """Discretization of the fields that the network has learned."""
        return Discretization.of(read_config(self.path).get("labels", PAPER.attributes))

    @property
    def against(self) -> Discretization:
        """Of the reference solution that it is judged by: the paper's kind, or converged."""
        return PAPER if self.labels == PAPER else CONVERGED

    @property
    def run(self) -> Run:
        """What its run directory says of the network, under the title of the surrogate."""
        return replace(run_of(self.path), model=self.title)


def _corrected(title, folder, tolerance):
    how = predictors.refined_solve, refiner.load, refiner.check_load
    return Surrogate(title, folder, *how, tolerance)


def _direct(title, folder, tolerance, make=predictors.in_one_pass):
    return Surrogate(title, folder, make, whole_path.load, whole_path.check_load, tolerance)


_shipped = (
    _corrected(refiner.TITLE, "refiner", 1.5),
    _direct(whole_path.TITLE, "whole_path", 2.5),
    _direct(whole_path.TWICE, "whole_path", 2.5, predictors.in_two_passes),
    _corrected(CORRECTED, "refiner_converged", 1.5),
    _direct(DIRECT, "whole_path_converged", 2.0),
    _direct(DIRECT_TWICE, "whole_path_converged", 2.0, predictors.in_two_passes),
)
SURROGATES = {one.title: one for one in _shipped if (SHIPPED / one.folder).is_dir()}
