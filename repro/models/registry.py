"""The registry of networks. The file of a network registers how it is built and trained."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field

from repro.data.pairs import Pairs
from repro.data.samples import Samples
from repro.models.backend import as_networks_need_it, keras
from repro.tools import extensions

NETWORKS: dict[str, Network] = {}
"""All registered networks: name of the builder -> `Network`."""


@dataclass(frozen=True)
class Network:
    """A network that commands and studies know by the name of its builder.

    Calling it builds it.

    Parameters
    ----------
    build : callable
        Returns a model from the inputs of its samples to their outputs, in physical units; for
        pairs (n, N, N, 5) -> (n, N, N, 1). Its parameters are the options of
        `python -m repro.train NAME`, explained by its docstring, but for those that are
        keyword-only.
    title : str
        What it is, in a line.
    samples : type
        What it learns from: `Pairs` if it steps the stress, `repro.data.corrections.Corrections` if
        it corrects a coarse solve, `repro.data.trajectories.Trajectories` if it predicts the
        trajectory directly.
    recipe : dict
        How it is trained: fields of `repro.training.recipes.TrainingConfig` that are not the
        paper's.
    """

    build: Callable[..., keras.Model]
    title: str
    samples: type[Samples] = Pairs
    recipe: dict = field(default_factory=dict)

    def __call__(self, *arguments, **options) -> keras.Model:
        """Build the network."""
        return self.build(*arguments, **options)

    def options(self) -> list[inspect.Parameter]:
        """Parameters of the builder that a command offers, with their types."""
        names = inspect.unwrap(self.build).__globals__
        return [
            # Not the type of what is returned, which would import Keras.
            p.replace(annotation=eval(p.annotation, names)) if isinstance(p.annotation, str) else p
            for p in inspect.signature(self.build).parameters.values()
            if p.kind is not inspect.Parameter.KEYWORD_ONLY
        ]

    @property
    def takes_bounds(self) -> bool:
        """Whether the values that are normalized to 0 and 1 can be chosen."""
        return "bounds" in inspect.signature(self.build).parameters


def register(title: str, samples: type[Samples] = Pairs, **recipe) -> Callable:
    """Decorate the builder of a network, so that it can be trained by name.

    Parameters
    ----------
    title, samples, **recipe
        As for `Network`.
    """

    def decorate(build):
        @functools.wraps(build)
        def build_in_float32(*arguments, **options):
            with as_networks_need_it():
                return build(*arguments, **options)

        NETWORKS[build.__name__] = Network(build_in_float32, title, samples, recipe)
        return build_in_float32

    return decorate


def samples_of(model: keras.Model) -> type[Samples] | None:
    """What a network learns from, as its channels say; None if nothing that is registered suits."""
    shapes = (getattr(model, name, None) for name in ("input_shape", "output_shape"))
    channels = [shape[-1] for shape in shapes if isinstance(shape, tuple) and len(shape) == 4]
    kinds = dict.fromkeys(network.samples for network in NETWORKS.values())
    return next((kind for kind in kinds if len(channels) == 2 and kind.suit(*channels)), None)


def register_file(path) -> list[str]:
    """Import a Python file of a user, and give the names of the networks that it registers.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it registers no network.
    """
    before = dict(NETWORKS)
    extensions.use(path)
    names = [name for name, network in NETWORKS.items() if before.get(name) is not network]
    if not names:
        raise ValueError(
            f"{path} registers no network: put @repro.models.register(...) above its builder"
        )
    return names
