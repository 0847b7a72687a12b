"""Missing values (`numpy.ma`): no function loses a mask without a word."""

import numpy as np
import pytest

from repro import models, surrogate
from repro.damask import deviations, export
from repro.data import dataset
from repro.data import microstructure as ms
from repro.data.checks import is_periodic
from repro.data.discretization import PAPER
from repro.data.flow_rule import PAPER_RULE, FlowRule
from repro.data.load import PAPER_LOAD, Load
from repro.data.pairs import from_rest, make_pairs, unloaded
from repro.evaluation import metrics, regions
from repro.models import layers
from repro.surrogate import correction, modes
from repro.surrogate.calibration import Calibration, Case, conformal_quantile

GRAIN = [100.0, 0.3, 100.0, 10.0]


def masked(*shape, dtype=float):
    """Ones, of which the first is missing."""
    array = np.ma.masked_array(np.ones(shape, dtype))
    array[(0,) * len(shape)] = np.ma.masked
    return array


def in_metric(metric):
    return lambda: metric(masked(1, 2, 4, 4), np.ones((1, 2, 4, 4)))


def measured():
    fields = masked(1, 1, 4, 4), np.ones((1, 1, 4, 4)), [1], Load.stretch()
    return list(metrics.measure(*fields, np.zeros((1, 4, 4), int)))


def of_network(x):
    return masked(*x.shape[:-1], 1)


def pairs():
    return unloaded(np.ones((1, 4, 4, 4)), 2)


def calibration():
    case = Case("mine", PAPER_LOAD, PAPER, PAPER_RULE, (4, 4))
    return Calibration(np.ones((10, 2)), np.ones(10), np.ones((10, 8)), case)


def asked(predictor):
    cells = [ms.polycrystal(ms.generator(i), 2, 4) for i in range(10)]
    return surrogate.calibrate(predictor, cells)


CALLS = {
    "Load.through": (lambda: Load.through(masked(2)), "stretches"),
    "voronoi": (lambda: ms.voronoi(masked(3, 2), 4), "points"),
    "is_periodic": (lambda: is_periodic(masked(2, 4, 4, dtype=int)), "grain_id"),
    "pad_properties": (lambda: dataset.pad_properties(masked(2, 4), 3), "properties"),
    "from_rest": (lambda: from_rest(masked(1, 2, 4, 4)), "sigma_vm"),
    "rescaled": (lambda: FlowRule(n=5).rescaled(masked(2, 4)), "properties"),
    "mae": (in_metric(metrics.mae), "predicted"),
    "rmse": (in_metric(metrics.rmse), "predicted"),
    "quantile": (in_metric(lambda *fields: metrics.quantile(*fields, q=0.5)), "predicted"),
    "mean_stress_error": (in_metric(metrics.mean_stress_error), "predicted"),
    "mae, true": (lambda: metrics.mae(np.ones(2), masked(2)), "true"),
    "measure": (measured, "predicted"),
    "regions": (lambda: regions.regions(masked(4, 4, dtype=int)), "grain_id"),
    "at_boundary": (lambda: regions.at_boundary(masked(4, 4, dtype=int)), "grain_id"),
    "boundary_distance": (lambda: regions.boundary_distance(masked(4, 4, dtype=int)), "grain_id"),
    "one_step": (lambda: modes.one_step(of_network, pairs()), "what is predicted"),
    "rollout": (lambda: modes.rollout(of_network, pairs()), "what is predicted"),
    "of_cells": (lambda: calibration().of_cells(masked(3)), "scores"),
    "of_fields": (lambda: calibration().of_fields(masked(3)), "scores"),
    "conformal_quantile": (lambda: conformal_quantile(masked(10), 0.9), "ratios"),
    "a predictor's stress": (
        lambda: asked(lambda cells, load: (masked(len(cells), 21, 4, 4), np.ones(len(cells)))),
        "the stress of the surrogate .*",
    ),
    "a predictor's scores": (
        lambda: asked(lambda cells, load: (np.ones((len(cells), 21, 4, 4)), masked(len(cells)))),
        "the scores of the surrogate .*",
    ),
    "corrected": (
        lambda: correction.corrected(None, masked(1, 4, 4, 4), np.ones((1, 6, 4, 4))),
        "maps",
    ),
    "DAMASK's material": (lambda: export.material(masked(2, 4)), "properties"),
    "effect": (lambda: deviations.effect(masked(2, 4, 4), np.ones((2, 4, 4))), "sigma_vm"),
    "normalize": (lambda: layers.normalize(layers.physical_inputs(), masked(2, 5)), "bounds"),
}


@pytest.mark.parametrize("name", CALLS)
def test_masked_values_are_refused_by_name(name):
    call, argument = CALLS[name]
    with pytest.raises(ValueError, match=f"^{argument} has missing values .* fill them in$"):
        call()


@pytest.mark.parametrize("x", [masked(1, 4, 4, 5), [masked(4, 4, 5)]], ids=["array", "list"])
def test_masked_inputs_of_a_network_are_refused(x):
    network = models.baseline_unet(filters=1, levels=1)
    with pytest.raises(ValueError, match="^the array of inputs has missing values"):
        models.predict(network, x)


def test_masked_numbers_of_microstructures_are_refused(data):
    with pytest.raises(ValueError, match="^microstructures has missing values"):
        make_pairs(data, masked(2, dtype=int))


def test_errors_of_fields_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"one shape, got \(1, 4, 4, 1\) and \(1, 4, 4\)"):
        metrics.mae(np.ones((1, 4, 4, 1)), np.ones((1, 4, 4)))
