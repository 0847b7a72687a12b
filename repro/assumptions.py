"""What the paper leaves open, varied one at a time at reduced scale.

Every variant is the paper's network, narrower, trained on the first microstructures of the paper's
data for the same number of samples. The figures compare variants with each other, not with the
paper.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from repro import dataset, environment, generation, models, training
from repro.backend import keras
from repro.dataset import DataSet
from repro.evaluation import metrics, modes, naive
from repro.files import atomic_path
from repro.pipeline import NORMALIZATIONS, make_pairs
from repro.training import TrainingConfig


@dataclass(frozen=True)
class Variant:
    """One way to read the paper: what is varied, and the choices it is trained with."""

    assumption: str
    stride: int = 5
    batch_size: int = 8
    normalization: str = "table 3"


@dataclass(frozen=True)
class Scale:
    """How small the studies are.

    Parameters
    ----------
    microstructures : int
        Of the paper's suite, 80 % for training.
    filters : int
        Channels at the finest level; the paper has 32.
    samples : int
        That every variant is trained on, in total.
    """

    microstructures: int = 100
    filters: int = 16
    samples: int = 9600


VARIANTS = [
    *(Variant("time step", stride=stride) for stride in (1, 2, 4, 5, 10)),
    *(Variant("normalization", normalization=name) for name in NORMALIZATIONS),
    *(Variant("batch size", batch_size=size) for size in (4, 8, 16)),
]


def study(out, directory, scale: Scale = Scale(), variants=VARIANTS, progress=True) -> pd.DataFrame:
    """Train and evaluate every variant; go on where a killed study was.

    Parameters
    ----------
    out : path-like
        CSV, one row a variant; rewritten after each.
    directory : path-like
        Where the runs are kept.
    scale : Scale
    variants : sequence of Variant

    Returns
    -------
    DataFrame
        One-step and rollout MAE on the validation part, MPa, beside those of persistence.
    """
    data = generation.Job("paper").solve(range(scale.microstructures))
    rows = []
    for variant in variants:
        rows.append(_row(variant, scale, data, Path(directory), progress))
        with atomic_path(Path(out)) as temporary:
            pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.6g")
    return pd.DataFrame(rows)


def _row(variant: Variant, scale: Scale, data: DataSet, directory, progress) -> dict:
    split = dataset.split(data)
    pairs, validation = (
        make_pairs(data, part, variant.stride) for part in (split.training, split.validation)
    )
    config = TrainingConfig(
        epochs=max(1, scale.samples // len(pairs)), batch_size=variant.batch_size
    )
    keras.utils.set_random_seed(config.seed)
    network = models.paper_unet(
        filters=scale.filters, bounds=NORMALIZATIONS[variant.normalization](pairs)
    )
    # Variants that differ in name alone are one run.
    settings = asdict(replace(variant, assumption="")) | asdict(scale)
    out = directory / "_".join(str(value).replace(" ", "") for value in settings.values() if value)
    state = training.train(
        network, pairs, validation, config, out,
        {**settings, "split_hash": split.hash}, progress=progress,
    )  # fmt: skip
    predict = modes.network_predictor(models.load(out))
    errors = {
        f"{mode} MAE / MPa": metrics.mae(ask(predict, validation), validation.after)
        for mode, ask in modes.MODES.items()
    }
    still = metrics.mae(naive.persistence(validation), validation.after)
    return {
        **asdict(variant), **errors, "persistence MAE / MPa": still, **asdict(scale),
        "epochs": state.epoch, "n": len(split.validation), "seed": config.seed,
        "split_hash": split.hash, "wall_s": round(sum(row["seconds"] for row in state.history), 1),
        "command": environment.command_line(), "commit": environment.code_commit(),
        "hardware": environment.hardware(),
    }  # fmt: skip
