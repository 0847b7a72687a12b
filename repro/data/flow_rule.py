"""The flow rule: how fast a grain flows under a stress, and how it hardens."""

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from repro import paper
from repro.tools.values import number, unmasked


@dataclass(frozen=True)
class FlowRule:
    """The paper's flow rule, with its parameters as DAMASK's `isotropic` law names them.

    With the second Piola-Kirchhoff stress S of a grain, its plastic shear gamma and its flow
    resistance xi, which is xi0 at the start,

        d gamma/dt = dot_gamma_0 (sqrt(3/2) |S_dev|/(M xi))^n,      d xi/dt = h h0 d gamma/dt.

    The defaults are the law in the paper's text. The generator of data that its authors published
    has M = 1, and h is then DAMASK's default, 3.

    Parameters
    ----------
    n : float
        Exponent, at least 1; the solver is verified from 1 to 100.
    dot_gamma_0 : float
        Reference shear rate, 1/s.
    M : float
        Taylor factor, by which DAMASK divides the von Mises stress.
    h : float
        Factor of the hardening modulus.

    Raises
    ------
    ValueError
        If a parameter is out of range; the message names it.
    """

    n: float = paper.STRESS_EXPONENT
    dot_gamma_0: float = paper.GAMMA_DOT_0
    M: float = paper.DAMASK_M
    h: float = paper.DAMASK_H

    def __post_init__(self):
        for field in fields(self):
            object.__setattr__(self, field.name, number(getattr(self, field.name), field.name))
        for name, valid, rule in (
            ("n", self.n >= 1, "be at least 1"),
            ("dot_gamma_0", self.dot_gamma_0 > 0, "be positive (1/s)"),
            ("M", self.M > 0, "be positive"),
            ("h", self.h >= 0, "not be negative"),
        ):
            value = getattr(self, name)
            if not (valid and np.isfinite(value)):
                raise ValueError(f"{name} must {rule} and be finite, got {value:g}")

    @property
    def strength(self) -> float:
        """xi of `FlowRule(n)`, the paper's but for its exponent, over xi under the same stress."""
        return self.M / paper.DAMASK_M * (paper.GAMMA_DOT_0 / self.dot_gamma_0) ** (1 / self.n)

    def rescaled(self, properties) -> np.ndarray:
        """Properties (..., 4) with which `FlowRule(n)` is this flow rule, exactly.

        The rate depends on xi by dot_gamma_0/(M xi)^n alone: so both parameters can be moved into
        xi0 and h0, and h into h0.
        """
        factors = [1, 1, self.strength, self.strength * self.h]
        return unmasked(properties, "properties", float) * factors

    @property
    def attributes(self) -> dict[str, Any]:
        """Parameters by name, as a data set stores them."""
        return asdict(self)

    @classmethod
    def of(cls, attributes: dict[str, Any]) -> "FlowRule":
        """Flow rule of a data set with these attributes; by default the paper's."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: attributes[name] for name in names if name in attributes})


PAPER_RULE = FlowRule()
