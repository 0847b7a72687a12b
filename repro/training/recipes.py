"""How to train, and how each network is trained."""

from dataclasses import asdict, dataclass
from typing import Annotated

import tyro

from repro import models, paper

BETA_2 = 0.999  # Keras' own


def check_time_limit(time_limit: float | None) -> None:
    """Raise ValueError if a time limit in minutes is not positive."""
    if time_limit is not None and not time_limit > 0:
        raise ValueError(f"time_limit must be positive, got {time_limit}")


@dataclass(frozen=True)
class TrainingConfig:
    """How to train; the defaults are the paper's (Methods).

    Parameters
    ----------
    epochs : int
        Passes over the training pairs.
    batch_size : int
        Samples per step (not stated in the paper).
    learning_rate : float
        Learning rate of Adam, at its highest.
    beta_2 : float
        Decay of Adam's mean of the squared gradients (not stated in the paper: Keras' own).
    seed : int
        Seed of the initial weights.
    shuffle_seed : int
        Seed of the order of the samples and of their symmetries.
    weight_decay : float
        Decoupled weight decay, as in AdamW.
    clip_norm : float, optional
        Largest norm of the whole gradient.
    warmup_epochs : int
        Epochs in which the learning rate rises linearly from zero.
    cosine : bool
        Whether it then falls to zero as a cosine over the remaining `epochs`.
    patience : int, optional
        Stop after so many epochs without a lower validation MAE.
    augment : bool
        Whether samples come under random exact symmetries (`Samples.epoch`).
    statistics_samples : int
        Training samples on which the statistics of batch normalization are measured before
        validating (`repro.training.statistics`); 0 for those averaged in training.
    """

    epochs: Annotated[int, tyro.conf.Suppress] = paper.EPOCHS
    batch_size: int = paper.BATCH_SIZE
    learning_rate: float = paper.LEARNING_RATE
    beta_2: float = BETA_2
    seed: int = 0
    shuffle_seed: int = 0
    weight_decay: float = 0.0
    clip_norm: float | None = None
    warmup_epochs: int = 0
    cosine: bool = False
    patience: int | None = None
    augment: bool = False
    statistics_samples: int = 1152

    def __post_init__(self):
        for name in ("epochs", "batch_size", "learning_rate", "patience", "clip_norm"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0 <= self.beta_2 < 1:
            raise ValueError(f"beta_2 must lie in [0, 1), got {self.beta_2}")
        if self.cosine and self.epochs <= self.warmup_epochs:
            raise ValueError(
                f"epochs ({self.epochs}) must be more than warmup_epochs ({self.warmup_epochs})"
            )

    def identity(self) -> dict:
        """What must not change when a run goes on; a run may be extended, unless it is annealed."""
        fields = asdict(self)
        if not self.cosine:
            del fields["epochs"]
        if self.beta_2 == BETA_2:
            del fields["beta_2"]  # runs that are older do not say it
        del fields["patience"], fields["statistics_samples"]  # training does not know of them
        return fields

    def switched_on(self) -> dict:
        """All but what is off, for the name of a run: one more switch renames none."""
        off = {"beta_2": BETA_2}  # of younger switches that are not off at zero
        return {name: x for name, x in asdict(self).items() if x and x != off.get(name)}


def recipe_of(network: str) -> TrainingConfig:
    """How a registered network is trained if nothing else is said, as its own file says."""
    return TrainingConfig(**models.NETWORKS[network].recipe)
