"""Fields as 8-bit grey pictures, which is how the paper's authors keep them.

Their public generator (khorrami1/ML4elasticity, `generate_dataset.ipynb`) saves every field as
round((x - min)/(max - min) 255), the properties with the limits of Table 3, the stress with 0 and
the largest stress of the data.
"""

from dataclasses import replace

import numpy as np

from repro import paper
from repro.data.dataset import DataSet

LEVELS = 255


def as_pictures(data: DataSet) -> DataSet:
    """A data set whose properties and stresses have gone through 8-bit pictures.

    What lies outside the limits is cut off at them.
    """
    low, high = np.array(paper.PROPERTY_RANGES).T
    return replace(
        data,
        properties=_rounded(data.properties, low, high),
        sigma_vm=_rounded(data.sigma_vm, 0, paper.STRESS_SCALE).astype(np.float32),
    )


def _rounded(values, low, high):
    grey = np.rint((np.clip(values, low, high) - low) / (high - low) * LEVELS)
    return low + grey / LEVELS * (high - low)
