"""Size of a network: parameters, operations a forward pass, receptive field."""

import numpy as np
import pandas as pd

from repro import paper
from repro.models.backend import keras, layers
from repro.models.layers import on_grid
from repro.models.registry import NETWORKS


def overview(networks=NETWORKS) -> pd.DataFrame:
    """One row per network, with its default options, on a cell of the paper's size."""
    rows = []
    for name, build in networks.items():
        model = build()
        rows.append(
            {
                "network": name,
                "parameters": model.count_params(),
                "operations / 10⁶": round(operations(model) / 1e6),
                "receptive field / pixels": receptive_field(model),
            }
        )
    return pd.DataFrame(rows)


def operations(model: keras.Model, size: int = paper.GRID) -> int:
    """Multiply-add operations of the convolutions in a forward pass on a (size, size) cell."""
    return sum(_layer_operations(layer) for layer in on_grid(model, size).layers)


def _layer_operations(layer) -> int:
    if not isinstance(layer, layers.Conv2D | layers.SeparableConv2D):
        return 0
    _, n1, n2, _ = layer.output.shape
    # Every kernel weight is used once a pixel, whatever the kind of convolution.
    kernels = [w for w in layer.weights if w.ndim == 4]
    return n1 * n2 * int(sum(np.prod(w.shape) for w in kernels))


def receptive_field(model: keras.Model) -> int:
    """Edge, in pixels, of the square of inputs that one output pixel can depend on.

    The widest path through the network counts; beyond the edge of the cell it wraps or meets zeros.
    """
    fields = {}  # of each tensor: edge of the field and distance of neighbours, in input pixels
    for operation in model.operations:
        for node in operation._inbound_nodes:
            before = [fields[id(t)] for t in node.input_tensors if id(t) in fields]
            edge, distance = map(max, zip(*before, strict=True)) if before else (1, 1)
            for tensor in node.output_tensors:
                fields[id(tensor)] = _grown(operation, edge, distance)
    return round(fields[id(model.output)][0])


def _grown(layer, edge, distance):
    if isinstance(layer, layers.Conv2D | layers.SeparableConv2D):
        return edge + (layer.kernel_size[0] - 1) * distance, distance
    if isinstance(layer, layers.MaxPooling2D | layers.AveragePooling2D):
        return edge + (layer.pool_size[0] - 1) * distance, layer.pool_size[0] * distance
    if isinstance(layer, layers.UpSampling2D):
        # Bilinear: two neighbours on the coarse grid.
        return edge + distance, distance / layer.size[0]
    return edge, distance
