"""What is varied: the choices that the paper leaves open, and ours, with the studies of them.

What is imported here does not import Keras, TensorFlow or JAX.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

from repro import paper
from repro.data.flow_rule import FlowRule
from repro.data.load import LONGER_LOAD
from repro.experiments.options import Scale
from repro.experiments.samples import LABELS
from repro.training.recipes import TrainingConfig, recipe_of

PAPER, PICTURES = "float32", "8-bit pictures"
GENERATOR = "the generator's, M = 1 and h = 3"  # that the paper's first author published
LONGER, CONVERGED = "to F11 = 1.008", "to F11 = 1.008, 2 x 2 points per pixel"
# Data to learn from -> what a `repro.reference.Request` for cells of the paper's suite changes.
DATA: dict[str, dict[str, Any]] = {
    PAPER: {},
    PICTURES: {},
    GENERATOR: {"flow_rule": FlowRule(M=1, h=3)},
    LONGER: {"load": LONGER_LOAD},
    CONVERGED: {"load": LONGER_LOAD, "discretization": LABELS["converged"]},
}


@dataclass(frozen=True)
class Variant:
    """One way to choose.

    Parameters
    ----------
    varied : str
        Which choice it is about.
    setting : str
        How it is chosen.
    network : str
        Key of `models.NETWORKS`.
    options : dict
        Arguments of the network that differ from its defaults.
    config : TrainingConfig
        Its epochs and seed are the study's.
    samples : dict
        Options of what makes its samples (`repro.experiments.samples.MAKERS`).
    bounds : str
        Key of `models.normalization.NORMALIZATIONS`.
    data : str
        Key of `DATA`.
    """

    varied: str
    setting: str
    network: str = "paper_unet"
    options: dict = field(default_factory=dict)
    config: TrainingConfig = recipe_of("paper_unet")
    samples: dict = field(default_factory=dict)
    bounds: str = "table 3"
    data: str = PAPER

    @property
    def stride(self) -> int:
        """Increments from input to output of a network that steps."""
        return self.samples.get("stride", 1)

    @property
    def other_samples(self) -> dict:
        """Options of the samples but the stride."""
        return {name: value for name, value in self.samples.items() if name != "stride"}


SKIPS, BATCH, NORMALIZED, BIAS = "skips and convolutions", "batch size", "normalization", "bias"
# What the paper does not state, at the network's full width; the names are those of the fidelity
# table. The first of each is the default.
OPEN_CHOICES = [
    Variant(SKIPS, "pooled, one per level"),
    Variant(SKIPS, "convolved, one per level", options={"skips": "convolved"}),
    Variant(SKIPS, "pooled, two per level", options={"convolutions": 2}),
    Variant(SKIPS, "convolved, two per level", options={"skips": "convolved", "convolutions": 2}),
    Variant("levels", "4 poolings"),
    Variant("levels", "3 poolings", options={"levels": 3}),
    *(
        Variant(BATCH, f"{size}", config=replace(recipe_of("paper_unet"), batch_size=size))
        for size in (16, 8, 32)
    ),
    Variant("padding", "zeros"),
    Variant("padding", "circular", options={"circular": True}),
    *(
        Variant(NORMALIZED, name, bounds=name)
        for name in ("table 3", "table 3, 1000 MPa", "per-channel")
    ),
    Variant(BIAS, "zero at first"),
    Variant(BIAS, "Glorot", options={"glorot_bias": True}),
    Variant(BIAS, "none", options={"bias": False}),
    Variant("order of the layers", "batch normalization, ReLU"),
    Variant("order of the layers", "ReLU, batch normalization", options={"relu_first": True}),
    Variant("end", "linear"),
    Variant("end", "sigmoid", options={"sigmoid": True}),
    *(Variant("fields", name, data=name) for name in (PAPER, PICTURES)),
    Variant("flow law of the data", "the text's"),
    Variant("flow law of the data", GENERATOR, data=GENERATOR),
    *(
        Variant("time step", f"{stride} increments", samples={"stride": stride})
        for stride in (1, 2, 5)
    ),
]


def _advanced(varied, setting, options=None, **config):
    changed = replace(recipe_of("res_unet"), **{"warmup_epochs": 1, **config})
    return Variant(varied, setting, "res_unet", options or {}, changed)


PAPER_SIZE = f"the paper's, {paper.FILTERS} filters"
# Each ingredient of the advanced network and of its training, left out alone.
ABLATION = [
    _advanced("nothing", "the whole recipe"),
    _advanced("circular padding", "zeros", {"circular": False}),
    _advanced("stress increment", "the stress itself", {"increment": False}),
    _advanced("present stress alone", "the one before, too", {"stresses": 2}),
    _advanced("symmetries", "fields as they are", augment=False),
    _advanced("learning-rate schedule", "constant", warmup_epochs=0, cosine=False),
    # Is it the network or the way it is trained?
    replace(_advanced("network", PAPER_SIZE, {"filters": paper.FILTERS}), network="paper_unet"),
    Variant("network and recipe", PAPER_SIZE, options={"filters": paper.FILTERS}),
]


def _of_whole_loads(network, varied, setting, options=None, samples=None, data=LONGER):
    how = {"config": recipe_of(network), "samples": samples or {}, "data": data}
    return Variant(varied, setting, network, options or {}, **how)


_corrected = partial(_of_whole_loads, "learned_correction")
_direct = partial(_of_whole_loads, "direct_prediction")
U = {"filters": 16, "levels": 2}
# What the network that corrects a coarse solve sees, and how coarse that is.
LEARNED_CORRECTION = [
    _corrected("nothing", "as shipped"),
    _corrected("coarse solve", "tol 1e-4", samples={"tol": 1e-4}),
    _corrected("coarse solve", "tol 1e-5", samples={"tol": 1e-5}),
    _corrected("size", "32 filters", {"filters": 32}),
    _corrected("size", "96 filters", {"filters": 96}),
    _corrected("size", "1 hidden convolution", {"hidden": 1}),
    _corrected("size", "3 hidden convolutions", {"hidden": 3}),
    _corrected("neighbours", "kernels of 3x3 pixels", {"kernel": 3}),
    _corrected("neighbours", "U of residual blocks, tol 1e-4", U, {"tol": 1e-4}),
    _corrected(
        "converged labels",
        "U, rotated, tol 1e-5",
        U,
        {"tol": 1e-5, "derivative": "rotated"},
        CONVERGED,
    ),
    _corrected(
        "converged labels", "pixel by pixel, rotated", {}, {"derivative": "rotated"}, CONVERGED
    ),
]
# What the network that predicts the trajectory directly is told of the strain, and its size.
DIRECT_PREDICTION = [
    _direct("nothing", "as shipped"),
    _direct("local strain", "mean strain", {"iterations": 0}),
    _direct("local strain", "1 iteration", {"iterations": 1}),
    _direct("local strain", "4 iterations", {"iterations": 4}),
    _direct("derivative", "rotated", {"derivative": "rotated"}),
    _direct("full resolution", "no residual blocks", {"fine": 0}),
    _direct("size", "32 filters", {"filters": 32}),
]


class Study(NamedTuple):
    """Variants that are compared with each other, and the command that trains them."""

    what: str  # the command does
    takes: str  # how long that takes
    variants: list[Variant]
    scale: Scale  # unless a user chooses another
    table: str = "study"  # function of `repro.report.tables` that shows the rows


CELLS = paper.MICROSTRUCTURES
STUDIES = {
    "open_choices": Study(
        "Train the paper's network under each reading of what the paper does not state.",
        "some four hours on two cores",
        OPEN_CHOICES,
        Scale(CELLS, paper.FILTERS, 160_000),
    ),
    "ablation": Study(
        "Train the advanced network, at a third of its width, without each of its ingredients.",
        "about three quarters of an hour per training on one core",
        ABLATION,
        Scale(CELLS, 16, 160_000),
        table="ablation",
    ),
    "learned_correction": Study(
        "Train the network that corrects a coarse solve with each of its choices changed.",
        "about a quarter of an hour on two cores",
        LEARNED_CORRECTION,
        Scale(CELLS, 48, 40_000),
    ),
    "direct_prediction": Study(
        "Train the network that predicts the trajectory directly with each of its choices changed.",
        "about half an hour on two cores",
        DIRECT_PREDICTION,
        Scale(CELLS, 16, 8_000),
    ),
}
"""All studies: name of the command and of its table -> `Study`."""
