"""Where in a cell an error sits: at triple junctions, grain boundaries, or at the cell's own edge.

The cell is periodic, so its edge is nothing special, but to a network that pads with zeros.
"""

import numpy as np
from scipy.ndimage import distance_transform_edt

from repro import paper
from repro.data.microstructure import grain_map

REGIONS = ("triple junctions", "grain boundaries", "interiors")
FRAME = ("cell corners", "cell edges", "cell middle")
FRAME_WIDTH = paper.KERNEL // 2  # pixels from which the paper's kernel reaches out of the cell


def regions(grain_id: np.ndarray) -> np.ndarray:
    """Index into `REGIONS` of each pixel, (N, N); the regions do not overlap.

    A pixel is at a triple junction if three or more grains meet in the 3x3 pixels around it, else
    at a grain boundary if one of its four neighbours is in another grain; the cell is periodic.
    """
    grain_id = grain_map(grain_id)
    window = np.stack([np.roll(grain_id, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    ordered = np.sort(window, axis=0)
    junction = (np.diff(ordered, axis=0) != 0).sum(0) >= 2
    return np.where(junction, 0, np.where(at_boundary(grain_id), 1, 2)).astype(np.uint8)


def frame(grain_id: np.ndarray) -> np.ndarray:
    """Index into `FRAME` of each pixel, (N, N): near two edges of the cell, one, or none."""
    near = np.ones(len(grain_map(grain_id)), np.uint8)
    near[FRAME_WIDTH:-FRAME_WIDTH] = 0
    return 2 - near - near[:, None]


def at_boundary(grain_id: np.ndarray) -> np.ndarray:
    """Whether one of the four periodic neighbours of a pixel is in another grain, (N, N) bool."""
    grain_id = grain_map(grain_id)
    shifts = ((1, 0), (-1, 0), (0, 1), (0, -1))
    return np.any([np.roll(grain_id, s, (0, 1)) != grain_id for s in shifts], axis=0)


def boundary_distance(grain_id: np.ndarray) -> np.ndarray:
    """Periodic distance of each pixel to the nearest pixel at a grain boundary, (N, N), pixels.

    Infinite in a cell of one grain.
    """
    grain_id = grain_map(grain_id)
    inside = ~at_boundary(grain_id)
    if inside.all():
        return np.full(grain_id.shape, np.inf)
    N = len(grain_id)
    margin = (N + 1) // 2  # the nearest image is within half a cell along each axis
    distance = distance_transform_edt(np.pad(inside, margin, mode="wrap"))
    return distance[margin : margin + N, margin : margin + N]
