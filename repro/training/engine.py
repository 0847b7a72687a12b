"""What takes the steps of training: the compiled network, its optimizer and its batches."""

import time

import numpy as np

from repro import paper
from repro.models.backend import keras, on_tensorflow_cpu
from repro.training import feed, statistics
from repro.training.acceleration import accelerated, copied
from repro.training.matrix_products import with_matrix_products
from repro.training.recipes import TrainingConfig
from repro.training.snapshot import TrainingState


class TrainingEngine:
    """Takes the steps through Keras, one after another: on every backend, from memory or a file."""

    def __init__(self, network, training, validation, config):
        self.config, self.training, self.validation = config, training, validation
        self.steps = -(-len(training) // config.batch_size)
        self.network = self._accelerated(network)
        # XLA is ruinous for depthwise convolution on a CPU.
        self._compile(self.network, jit_compile=False if on_tensorflow_cpu() else "auto")
        self.statistics = statistics.Statistics(self.network)

    def _accelerated(self, network):
        """A copy, since an optimizer does not belong into the network that is shipped."""
        if on_tensorflow_cpu():
            return accelerated(network)
        if keras.backend.backend() == "jax":
            return with_matrix_products(network)
        return copied(network)

    def _compile(self, model, jit_compile):
        model.compile(
            optimizer=_optimizer(self.config, self.steps),
            loss="mae",
            # The loss is that of the normalized stress, the metric its value in MPa.
            loss_weights=[1 / paper.STRESS_SCALE],
            metrics=["mae"],
            jit_compile=jit_compile,
        )
        model.optimizer.build(model.trainable_variables)

    def train_epoch(self, state: TrainingState, callbacks) -> TrainingState:
        """The state one epoch later."""
        started = time.monotonic()
        samples = self.training.epoch(self.config.shuffle_seed, state.epoch, self.config.augment)
        logs = self.fit(samples, state.epoch, callbacks)
        weights = _copies(self.network.weights)
        validated = self.for_inference(weights)
        row = {
            "epoch": state.epoch + 1,
            "mae_training": logs["mae"][0],  # mean over the epoch, weights still moving
            "mae_validation": self._validate(validated, weights),
            "learning_rate": float(self.network.optimizer.learning_rate),
        }
        if self._measures_statistics:
            # Beside it, with those that were averaged in training.
            row["mae_validation_averaged"] = self._mae(self.validation)
        row["seconds"] = round(time.monotonic() - started, 3)
        if not np.isfinite(row["mae_training"]):
            raise FloatingPointError(
                f"training diverged in epoch {row['epoch']}: lower --learning-rate"
            )
        return TrainingState(
            weights,
            _copies(self.network.optimizer.variables),
            validated if row["mae_validation"] < state.best else state.best_weights,
            [*state.history, row],
        )

    def fit(self, samples, epoch: int = 0, callbacks=()) -> dict:
        """Take one step per batch of samples; return the logs."""
        return self._fit(self.network, samples, epoch, callbacks)

    def _fit(self, model, samples, epoch, callbacks) -> dict:
        return model.fit(
            feed.batches(self.training, samples, self.config.batch_size),
            initial_epoch=epoch,
            epochs=epoch + 1,
            shuffle=False,
            verbose=0,
            callbacks=list(callbacks),
        ).history

    def for_inference(self, weights) -> list[np.ndarray]:
        """The weights to validate and to keep: with measured statistics, where there are any."""
        if not self._measures_statistics:
            return weights
        # The first samples of the first epoch: the same ones whenever they are asked for.
        samples = self.training.epoch(self.config.shuffle_seed, 0)
        self._measure_statistics(samples[: self.config.statistics_samples])
        measured = _copies(self.network.weights)
        self.network.set_weights(weights)
        return measured

    def _measure_statistics(self, samples):
        batches = self.training.batches(samples, self.config.batch_size)
        self.statistics.measure(x for x, _ in batches)

    @property
    def _measures_statistics(self) -> bool:
        return bool(self.config.statistics_samples and statistics.normalizations(self.network))

    def _validate(self, weights, then) -> float:
        """Validation MAE of some weights, in MPa; leaves the weights `then`."""
        self.network.set_weights(weights)
        mae = self._mae(self.validation)
        self.network.set_weights(then)
        return mae

    def _mae(self, pairs) -> float:
        """MAE of the present weights, MPa."""
        batches = feed.batches(pairs, pairs.in_order(), self.config.batch_size)
        return float(self.network.evaluate(batches, verbose=0, return_dict=True)["mae"])

    def state(self, history) -> TrainingState:
        """The present state."""
        weights = _copies(self.network.weights)
        return TrainingState(weights, _copies(self.network.optimizer.variables), weights, history)

    def restore(self, state: TrainingState) -> None:
        """Go back to a state."""
        self.network.set_weights(state.weights)
        for variable, value in zip(self.network.optimizer.variables, state.optimizer, strict=True):
            variable.assign(value)


def _optimizer(config: TrainingConfig, steps: int) -> keras.optimizers.Optimizer:
    rate = config.learning_rate
    if config.cosine or config.warmup_epochs:
        warmup = config.warmup_epochs * steps
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate,
            config.epochs * steps - warmup,
            alpha=0.0 if config.cosine else 1.0,
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    return keras.optimizers.Adam(
        rate,
        beta_1=paper.BETA_1,
        beta_2=config.beta_2,
        weight_decay=config.weight_decay or None,
        global_clipnorm=config.clip_norm,
    )


def _copies(variables) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]
