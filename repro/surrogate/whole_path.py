"""The whole path in one pass: the stress at any stretch, from the properties alone.

No solve and no stress goes in: what equilibrium does over the cell, the network has to know. At
64x64 pixels it works on a quarter of the pixels, since the properties are constant in a grain; at
the end it sees them again in full, so that grain boundaries stay sharp.

What a point does under the mean strain is no secret, and is not learned: the stress is the lesser
of an elastic one and that of plastic flow. The network says by which factor each of them is larger
than under the mean strain (`LocalLaw`). It says so as a function of the strain, so that it can be
asked for any (`at_strains`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repro import models, paper
from repro.data.discretization import PAPER, Discretization
from repro.data.load import Load
from repro.data.microstructure import Microstructure, property_maps
from repro.data.pairs import Pairs, pixels
from repro.models import files
from repro.models.backend import as_networks_need_it, keras, layers, ops
from repro.models.layers import at_half_resolution, normalize, residual_u
from repro.surrogate.solves import LONGER_LOAD, labels

NAME = "whole_path"
TITLE = "whole path in one pass"
TWICE = "whole path in two passes"  # the cell as it is, and turned
SHIPPED = Path(__file__).with_name("shipped") / NAME
LAW = "sigma_vm"  # name of the last layer
# All increments of the paper's load, which so weighs most; beyond it every fourth.
INCREMENTS = [
    *range(paper.INCREMENTS + 1),
    *range(paper.INCREMENTS + 4, LONGER_LOAD.increments + 1, 4),
]
TRAINING_LOAD = Load(LONGER_LOAD.time[INCREMENTS], LONGER_LOAD.F11[INCREMENTS])
STRAINS = (TRAINING_LOAD.F11[1:] - 1).tolist()
CHANNELS = len(paper.PROPERTY_NAMES), len(STRAINS)  # of the inputs and of the outputs


@as_networks_need_it()
def whole_path(filters: int = 32, blocks: int = 2, levels: int = 2, knots: int = 10) -> keras.Model:
    """Network from the properties to the stress at the increments of its training.

    Parameters
    ----------
    filters : int
        Channels at the finest level of the U.
    blocks : int
        Residual blocks at each level, on each side.
    levels : int
        Poolings.
    knots : int
        Strains at which it gives the factors of `LocalLaw`.

    Returns
    -------
    keras.Model
        (n, N, N, 4) in physical units -> (n, N, N, 25): sigma_vM/MPa, N a multiple of
        2^(levels + 1).
    """
    low, high = np.array(paper.PROPERTY_RANGES).T
    inputs = keras.Input((None, None, CHANNELS[0]), name="microstructure")
    maps = normalize(inputs, [(low + high) / 2, high])
    x = at_half_resolution(maps, filters, lambda x: residual_u(x, filters, levels, blocks))
    x = layers.Conv2D(2 * filters, 1, activation="silu")(x)
    factors = layers.Conv2D(2 * knots, 1, kernel_initializer="zeros")(x)
    outputs = LocalLaw(STRAINS, name=LAW)([inputs, factors])
    return keras.Model(inputs, outputs, name=NAME)


def at_strains(network: keras.Model, strains: Sequence[float]) -> keras.Model:
    """The same network, for the stress (n, N, N, T) at other mean strains F11 - 1, length T.

    They must be of a load that it knows (`check_load`).
    """
    law = LocalLaw(strains, name=LAW)
    return keras.Model(network.input, law(network.get_layer(LAW).input), name=NAME)


def check_load(load: Load) -> None:
    """Raise ValueError for a load that such a network does not know."""
    # What a file in single precision rounds off makes no difference to the stress.
    at_rate = np.allclose(load.rates, paper.RATE, rtol=1e-2)
    if not (at_rate and load.F11[-1] < paper.F11_EXTENSION + 1e-6):
        raise ValueError(
            f"the network for the whole path knows stretch at {paper.RATE:g} 1/s up to F11 = "
            f"{paper.F11_EXTENSION:g} only: solve other loads with repro.surrogate.solve"
        )


@keras.saving.register_keras_serializable("repro")
class LocalLaw(layers.Layer):
    """Stress (N, N, T) of the properties (N, N, 4) and of the network's factors (N, N, 2 K).

    Under the mean strain eps, uniaxial and without strain across, a point that stays elastic has
    sigma_vM = 2 mu eps. One that flows has (sigma_0 + h0 eps)/(1 + h0/(2 mu)), where the flow rule
    at that rate gives sigma_0 = sqrt(3/2) xi0 (d gamma/dt / gamma_dot_0)^(1/n), with
    d gamma/dt = sqrt(2/3) d eps/dt. Each is multiplied by 1 + its factor, and

        (1 - sigma_vM/elastic) (1 - sigma_vM/flow) = TRANSITION,

    whose smaller root is nearly the lesser of both, and smooth where they meet.

    The factors are given at K knots and are linear between them in the square root of the strain,
    since the stress changes fastest at small strains. Below the first of `STRAINS` they stay as
    they are there: the cell is elastic.

    Parameters
    ----------
    strains : sequence of float, length T
        Mean strains F11 - 1 at which the stress is asked for.
    """

    TRANSITION = 0.003
    SHEAR_RATE = np.sqrt(2 / 3) * paper.RATE / paper.GAMMA_DOT_0
    RESISTANCE = float(np.sqrt(1.5) * SHEAR_RATE ** (1 / paper.STRESS_EXPONENT))  # sigma_0 / xi0

    def __init__(self, strains: Sequence[float], **options):
        super().__init__(**options)
        self.strains = list(strains)

    def build(self, shapes):
        """Weight of each knot at each strain, (K, T)."""
        place = np.sqrt(np.maximum(self.strains, STRAINS[0]) / STRAINS[-1])
        hats = np.eye(shapes[1][-1] // 2)
        knots = np.linspace(0, 1, len(hats))
        self.weight = np.array([np.interp(place, knots, hat) for hat in hats], np.float32)

    def call(self, inputs):
        """Elastic stress and stress of flow, then their smooth minimum."""
        properties, factors = inputs
        E, nu, xi0, h0 = ops.split(properties, 4, axis=-1)
        of_elastic, of_flow = (
            1 + ops.matmul(part, self.weight) for part in ops.split(factors, 2, axis=-1)
        )
        strain = np.array(self.strains, np.float32)
        two_mu = 1e3 * E / (1 + nu)
        hardening = 1e3 * h0
        elastic = two_mu * strain * of_elastic
        flow = (self.RESISTANCE * xi0 + hardening * strain) / (1 + hardening / two_mu) * of_flow
        apart = ops.square(elastic - flow) + 4 * self.TRANSITION * elastic * flow
        return (elastic + flow - ops.sqrt(apart + 1e-3)) / 2  # whose slope at 0 is finite

    def compute_output_shape(self, shapes):
        """Shape (n, N1, N2, T)."""
        return (*shapes[0][:-1], len(self.strains))

    def get_config(self):
        """For saving."""
        return {**super().get_config(), "strains": self.strains}


@dataclass(frozen=True, eq=False)
class WholePaths(Pairs):
    """Pairs for such a network: the properties in, the stress at the increments `STRAINS` out."""

    channels = CHANNELS

    @property
    def steps(self) -> int:
        """Pairs per microstructure."""
        return 1

    def gather(self, samples):
        """Inputs (n, N, N, 4) and outputs (n, N, N, 25) of samples (n, 5); also of JAX's arrays."""
        cell = samples[:, 0, None, None]
        x1, x2 = pixels(samples, self.sigma_vm.shape[-1])
        return self.properties[cell, x1, x2], self.sigma_vm[cell, 1:, x1, x2]


def make_whole_paths(
    cells: Sequence[Microstructure], discretization: Discretization = PAPER
) -> WholePaths:
    """The pairs of some cells, which are solved for it under the training load.

    Raises
    ------
    ConvergenceError
        As `repro.surrogate.solves.solve`.
    """
    sigma_vm = labels(cells, TRAINING_LOAD, discretization)
    return WholePaths(property_maps(cells), sigma_vm, 1)


def load(path=SHIPPED) -> keras.Model:
    """A trained network: a `.keras` file or the directory of a run; by default the shipped one.

    Raises
    ------
    FileNotFoundError, ModelFileError
        As `repro.models.load`.
    """
    return files.read(models.model_path(path), CHANNELS)
