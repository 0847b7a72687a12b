"""Layers that know the mechanics of a cell under the paper's load.

Keras is imported with this file; `repro.models.layers` waits for it.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from repro import paper
from repro.data.discretization import PAPER
from repro.data.trajectories import STRAINS
from repro.models.backend import keras, layers, ops

TRANSITION = 0.003
SHEAR_RATE = np.sqrt(2 / 3) * paper.RATE / paper.GAMMA_DOT_0
RESISTANCE = float(np.sqrt(1.5) * SHEAR_RATE ** (1 / paper.STRESS_EXPONENT))  # sigma_0 / xi0
LEVELS = (0.0004, 0.0008, 0.0012, 0.0016, 0.002, 0.0028, 0.004, 0.008)  # mean strains
LEAST = 0.05  # least ratio of the local to the mean strain


def elastic_and_flow(E, nu, xi0, h0, strain, log_rate=0.0):
    """Stress/MPa of a point that stays elastic, and of one that flows; all arguments are tensors.

    Under an equivalent strain eps, the one has sigma_vM = 2 mu eps, the other
    (sigma_0 + h0 eps)/(1 + h0/(2 mu)), where the flow rule gives sigma_0 = sqrt(3/2) xi0
    (d gamma/dt / gamma_dot_0)^(1/n), with d gamma/dt = sqrt(2/3) d eps/dt. `log_rate` is the
    logarithm of d eps/dt over that of the paper's load.
    """
    two_mu, hardening = 1e3 * E / (1 + nu), 1e3 * h0
    resistance = RESISTANCE * xi0 * ops.exp(log_rate / paper.STRESS_EXPONENT)
    return two_mu * strain, (resistance + hardening * strain) / (1 + hardening / two_mu)


def lesser(elastic, flow):
    """The lesser of both stresses, nearly, and smooth where they meet.

    It is the smaller root of (1 - sigma_vM/elastic) (1 - sigma_vM/flow) = TRANSITION.
    """
    apart = ops.square(elastic - flow) + 4 * TRANSITION * elastic * flow
    return (elastic + flow - ops.sqrt(apart + 1e-3)) / 2  # whose slope at 0 is finite


@keras.saving.register_keras_serializable("repro")
class LocalLaw(layers.Layer):
    """Stress (N, N, T) of the properties (N, N, 4) and of the network's factors (N, N, 2 K).

    The elastic stress and that of flow (`elastic_and_flow`) are each multiplied by 1 + its factor;
    the lesser of both is the stress. A third input (N, N, 8), of `DeformationTheory`, says by how
    much the strain of a point is larger than the mean strain; without it both are the same. It is
    linear between `LEVELS` in the logarithm of the mean strain.

    The factors are given at K knots and are linear between them in the square root of the strain,
    since the stress changes fastest at small strains. Below the first of `STRAINS` they stay as
    they are there: the cell is elastic.

    Parameters
    ----------
    strains : sequence of float, length T
        Mean strains F11 - 1 at which the stress is asked for.
    """

    def __init__(self, strains: Sequence[float], **options):
        super().__init__(**options)
        self.strains = list(strains)

    def build(self, shapes):
        """Weight of each knot, and of each of `LEVELS`, at each strain."""
        place = np.sqrt(np.maximum(self.strains, STRAINS[0]) / STRAINS[-1])
        self.of_knots = _hats(place, np.linspace(0, 1, shapes[1][-1] // 2))
        self.of_levels = _hats(np.log(np.maximum(self.strains, LEVELS[0])), np.log(LEVELS))

    def call(self, inputs):
        """Elastic stress and stress of flow, then the lesser."""
        properties, factors, *local = inputs
        strain, log_rate = np.array(self.strains, np.float32), 0.0
        if local:
            log_rate = ops.matmul(local[0], self.of_levels)
            strain = strain * ops.exp(log_rate)
        factors = [1 + ops.matmul(part, self.of_knots) for part in ops.split(factors, 2, axis=-1)]
        elastic, flow = elastic_and_flow(*ops.split(properties, 4, axis=-1), strain, log_rate)
        return lesser(elastic * factors[0], flow * factors[1])

    def compute_output_shape(self, shapes):
        """Shape (n, N1, N2, T)."""
        return (*shapes[0][:-1], len(self.strains))

    def get_config(self):
        """For saving."""
        return {**super().get_config(), "strains": self.strains}


def _hats(places, knots) -> np.ndarray:
    """Weight of each knot at each place, (K, T): linear between knots, constant outside."""
    return np.array([np.interp(places, knots, hat) for hat in np.eye(len(knots))], np.float32)


@keras.saving.register_keras_serializable("repro")
class DeformationTheory(layers.Layer):
    """Equivalent strain of each point over that of the cell, as a logarithm.

    Properties (N1, N2, 4) -> (N1, N2, 8), one channel for each mean strain in `LEVELS`.

    In the deformation theory of plasticity (Hencky 1924) a point is elastic, with a shear modulus
    that falls with its equivalent strain: sigma_vM / (2 eps), where `elastic_and_flow` gives the
    stress. So equilibrium can be sought at some mean strains alone, without the increments between
    them, and a few iterations tell most of how the strain is distributed over the grains.

    An iteration is one of the basic scheme of Moulinec and Suquet (Comput. Methods Appl. Mech. Eng.
    157, 69, 1998), with the step length of Barzilai and Borwein (Schneider, Int. J. Numer. Methods
    Eng. 118, 482, 2019) and the frequencies of `repro.reference.equilibrium.fourier_grid`. The
    first at a level starts from the strain at the level before.

    Parameters
    ----------
    iterations : int
        At every level but the first, which has one more.
    derivative : {"continuous", "rotated"}
        How derivatives in space are taken, as in `repro.data.discretization.Discretization`.
    """

    def __init__(self, iterations: int, derivative: str = PAPER.derivative, **options):
        super().__init__(**options)
        self.iterations = iterations
        self.derivative = derivative

    def call(self, properties):
        """Equilibrium at one level after the other."""
        parts = [properties[..., i] for i in range(4)]
        green = GreenOperator(*ops.shape(properties)[1:3], self.derivative)

        def after(before, levels, iterations):
            """Strain over the mean strain, and equivalent strain, from those before."""
            (strain, equivalent_strain), (last, level) = before, levels
            law = partial(_stress, parts, before=equivalent_strain, level=level, last=last)
            strain = self._equilibrium(strain * level, law, green, iterations)
            return strain / level, equivalent(strain)

        def step(before, levels):
            found = after(before, ops.unstack(levels, num=2), self.iterations)
            return found, found

        none = ops.zeros_like(parts[0])
        start = ops.stack([1 + none, none, none]), none
        first = after(start, (0.0, LEVELS[0]), self.iterations + 1)
        # Not unrolled, which would take seconds to trace.
        pairs = np.array(list(pairwise(LEVELS)), np.float32)
        _, (_, others) = ops.scan(step, first, pairs)
        local = ops.moveaxis(ops.concatenate([first[1][None], others]), 0, -1)
        return ops.log(ops.maximum(local / np.array(LEVELS, np.float32), LEAST))

    @staticmethod
    def _equilibrium(strain, law, green, iterations):
        """Strain (3, n, N1, N2) after some iterations."""
        stress, two_mu, lame = law(strain)
        reference = [ops.mean(moduli, axis=(1, 2), keepdims=True) for moduli in (two_mu / 2, lame)]
        out_of_balance = green(stress, *reference)
        change = -out_of_balance
        for _ in range(iterations - 1):
            strain = strain + change
            before, out_of_balance = out_of_balance, green(law(strain)[0], *reference)
            difference = out_of_balance - before
            # A homogeneous cell is in equilibrium: 0/0.
            squares = ops.maximum(_product(difference, difference), 1e-30)
            length = _product(change, difference) / squares
            change = -length * out_of_balance
        return strain + change

    def compute_output_shape(self, shape):
        """Shape (n, N1, N2, len(LEVELS))."""
        return (*shape[:-1], len(LEVELS))

    def get_config(self):
        """For saving."""
        options = {"iterations": self.iterations, "derivative": self.derivative}
        return {**super().get_config(), **options}


def equivalent(strain):
    """Equivalent strain of strains (3, ...) in the plane."""
    mean = (strain[0] + strain[1]) / 3
    squares = (strain[0] - mean) ** 2 + (strain[1] - mean) ** 2 + mean**2 + 2 * strain[2] ** 2
    return ops.sqrt(1.5 * squares)


def _product(a, b):
    """Scalar product of strain fields (3, n, N1, N2), (n, 1, 1)."""
    return ops.sum(a[0] * b[0] + a[1] * b[1] + 2 * a[2] * b[2], axis=(1, 2), keepdims=True)


def _stress(parts, strain, before, level, last):
    """Stress (3, n, N1, N2) of a strain in the plane, and the moduli that it is due to.

    2 mu falls with the equivalent strain, whose rate is that since the level before.
    """
    of_shear = ops.maximum(equivalent(strain), 1e-3 * level)
    rate = ops.maximum((of_shear - before) / (level - last), 1e-2)
    two_mu = lesser(*elastic_and_flow(*parts, of_shear, ops.log(rate))) / of_shear
    E, nu = parts[:2]
    lame = 1e3 * E / (3 * (1 - 2 * nu)) - two_mu / 3
    volume = lame * (strain[0] + strain[1])
    spherical = ops.stack([volume, volume, ops.zeros_like(volume)])
    return spherical + two_mu * strain, two_mu, lame


class GreenOperator:
    """Green's operator of a homogeneous isotropic medium: the strain due to a stress field.

    Fields are periodic on n1 x n2 points, (3, n, n1, n2), with components 11, 22, 12. The
    transform is Hartley's, sum f cas(2 pi k x / N) with cas = cos + sin, since it is real, and two
    matrix products. In it a product of the frequencies along both axes acts as in Fourier's, but
    on the field of -k, with the other sign; so 12 has a transform of its own, of cos - sin.
    """

    def __init__(self, n1, n2, derivative):
        (k1, cas1, turned1), (k2, cas2, turned2) = map(_hartley, (n1, n2))
        self.before = ops.stack([cas1, cas1, turned1])[:, None]
        self.after = ops.stack([cas2, cas2, -turned2])[:, None]
        self.points = ops.cast(n1 * n2, "float32")
        k1 = k1[:, None]
        if derivative == "rotated":
            self.a, self.b = ops.sin(k1 / 2) * ops.cos(k2 / 2), ops.cos(k1 / 2) * ops.sin(k2 / 2)
        else:
            # It vanishes at Nyquist's frequency, pi.
            k1, k2 = (ops.where(ops.abs(k) > 3.1415, 0.0, k) for k in (k1, k2))
            self.a, self.b = k1 + 0 * k2, k2 + 0 * k1
        square = self.a**2 + self.b**2
        self.square = ops.where(square < 1e-9, 1.0, square)

    def __call__(self, stress, mu, lame):
        """Strain for a stress, by the medium's mu and lambda (n, 1, 1)."""
        s11, s22, s12 = ops.unstack(self._transform(stress))
        a, b = self.a, self.b
        t1, t2 = a * s11 + b * s12, a * s12 + b * s22
        along = (a * t1 + b * t2) / self.square * ((lame + mu) / (lame + 2 * mu))
        u1, u2 = ((t - c * along) / (mu * self.square) for t, c in ((t1, a), (t2, b)))
        strain = ops.stack([a * u1, b * u2, (a * u2 + b * u1) / 2])
        return self._transform(strain) / self.points  # its own inverse

    def _transform(self, fields):
        return ops.matmul(ops.matmul(self.before, fields), self.after)


def _hartley(n):
    """Frequencies (n,) from -pi to pi, and matrices (n, n) of cas(k x) and cas(-k x)."""
    j, length = ops.arange(n), ops.cast(n, "float32")
    # The angles of large numbers would be inexact in single precision.
    angle = 2 * np.pi / length * ops.cast(j[:, None] * j % n, "float32")
    frequencies = 2 * np.pi / length * ops.cast((j + n // 2) % n - n // 2, "float32")
    return frequencies, ops.cos(angle) + ops.sin(angle), ops.cos(angle) - ops.sin(angle)
