"""How each network is trained if nothing else is said, as its own file registers it."""

from repro.models import NETWORKS
from repro.training.trainer import TrainingConfig

RECIPES = {name: TrainingConfig(**network.recipe) for name, network in NETWORKS.items()}
