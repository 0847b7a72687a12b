"""The surrogates that are known by name: one list for all who ask them."""

from collections.abc import Callable
from functools import partial

from repro import models
from repro.data.corrections import Corrections
from repro.data.pairs import Pairs
from repro.data.trajectories import Trajectories
from repro.models.runs import config_of
from repro.surrogate.averaged import Averaged
from repro.surrogate.base import Surrogate
from repro.surrogate.correction import Corrected
from repro.surrogate.direct import Direct
from repro.surrogate.rollout import Rollout

# What a network learned from -> how it is asked.
KINDS: dict[type, Callable[..., Surrogate]] = {
    Pairs: Rollout,
    Corrections: Corrected,
    Trajectories: Direct,
}
SURROGATES: dict[str, Callable[[], Surrogate]] = {}
"""All registered surrogates: name -> a function that makes the surrogate."""
AVERAGED: dict[str, str] = {}
"""Registered averages over symmetries: name -> network that is averaged."""


def register(name: str, make: Callable[[], Surrogate]) -> None:
    """Register a surrogate by a name, which all commands then know.

    Parameters
    ----------
    name : str
    make : callable
        Returns the surrogate, which is named `name` in results.
    """
    SURROGATES[name] = make


def load(name_or_path, stride: int | None = None) -> Surrogate:
    """A surrogate: a name in `SURROGATES`, a run directory or a `.keras` file.

    Parameters
    ----------
    name_or_path : str or path-like
    stride : int, optional
        Increments per step of a network that steps the stress; by default as it was trained.

    Raises
    ------
    FileNotFoundError, ModelFileError
        As `repro.models.load`.
    ValueError
        If a stride is given for a surrogate that does not step.
    """
    if stride is None and str(name_or_path) in SURROGATES:
        return SURROGATES[str(name_or_path)]()
    return of_network(name_or_path, stride)


def of_network(path, stride: int | None = None) -> Surrogate:
    """The surrogate that a trained network makes, by what it learned from; as for `load`."""
    network = models.NETWORKS.get(config_of(models.model_path(path)).get("network"))
    # Of a file without a run, its channels say it.
    kind = KINDS[network.samples if network else models.samples_of(models.load(path))]
    if stride is None:
        return kind(path)
    if kind is not Rollout:
        raise ValueError(f"{path} does not step the stress: give no stride")
    return Rollout(path, stride)


def averaged(path) -> Surrogate:
    """The surrogate of a trained network, averaged over the cell as it is and turned."""
    return Averaged(of_network(path))


for _name in models.shipped():
    register(_name, partial(of_network, _name))
for _name in ("direct_prediction", "direct_prediction_converged"):
    if _name in SURROGATES:
        AVERAGED[f"{_name}_averaged"] = _name
for _name, _network in AVERAGED.items():
    register(_name, partial(averaged, _network))
