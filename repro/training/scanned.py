"""An epoch as one program, for JAX: data set and state stay on the device.

A step of these networks takes a GPU about a millisecond, which is less than Python takes to start
one. So all steps of an epoch are one call; so are its validation and the statistics of batch
normalization. The mathematics is that of `TrainingEngine`, also the order of the samples.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from repro import paper
from repro.models.backend import keras
from repro.training import statistics
from repro.training.engine import TrainingEngine


class ScannedEngine(TrainingEngine):
    """Takes all steps of an epoch in one call of the device."""

    def __init__(self, network, training, validation, config):
        super().__init__(network, training, validation, config)
        self._fields = {
            id(pairs): jax.device_put((pairs.properties, pairs.sigma_vm))
            for pairs in (training, validation)
        }
        self._train, self._validated, self._forward = map(
            jax.jit, (self._training_steps, self._absolute_errors, self._statistics_of_batches)
        )

    @staticmethod
    def suits(pairs) -> bool:
        """Whether the device can hold and gather these pairs, and JAX has one to do so."""
        on_device = keras.backend.backend() == "jax" and jax.default_backend() != "cpu"
        return on_device and pairs.on_device

    def fit(self, samples, epoch=0, callbacks=()):
        """Take one step per batch of samples; return the logs."""
        callbacks = keras.callbacks.CallbackList(list(callbacks), model=self.network)
        callbacks.on_train_begin()
        callbacks.on_epoch_begin(epoch)
        network, optimizer = self.network, self.network.optimizer
        groups = network.trainable_variables, network.non_trainable_variables, optimizer.variables
        state, total = [_values(group) for group in groups], 0.0
        for batches in _batched(samples, self.config.batch_size):
            state, errors = self._train(self._fields[id(self.training)], state, batches)
            total += float(errors.sum()) * batches.shape[1]
        logs = {"mae": total / len(samples)}
        for step in range(self.steps):
            callbacks.on_train_batch_end(step, logs)
        for group, values in zip(groups, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        callbacks.on_epoch_end(epoch, logs)
        callbacks.on_train_end(logs)
        return {"mae": [logs["mae"]]}

    def _gather(self, fields, samples):
        properties, sigma_vm = fields
        return replace(self.training, properties=properties, sigma_vm=sigma_vm).gather(samples)

    def _training_steps(self, fields, state, batches):
        """State and MAE/MPa of each batch (steps, n, 5) after steps from `state`."""
        network, optimizer = self.network, self.network.optimizer

        def loss(trainable, others, x, y):
            output, others = network.stateless_call(trainable, others, x, training=True)
            mae = jnp.abs(output - y).mean()
            # The loss is that of the normalized stress.
            return mae / paper.STRESS_SCALE, (mae, others)

        def step(state, samples):
            trainable, others, moments = state
            x, y = self._gather(fields, samples)
            gradients, (mae, others) = jax.grad(loss, has_aux=True)(trainable, others, x, y)
            trainable, moments = optimizer.stateless_apply(moments, gradients, trainable)
            return [trainable, others, moments], mae

        return jax.lax.scan(step, state, batches)

    def _mae(self, pairs):
        samples, values = pairs.in_order(), self._weights()
        sums = [
            float(self._validated(self._fields[id(pairs)], values, batches).sum())
            for batches in _batched(samples, 4 * self.config.batch_size)
        ]
        pixels = pairs.sigma_vm.shape[-1] ** 2
        return sum(sums) / (len(samples) * pixels * pairs.channels[1])

    def _absolute_errors(self, fields, weights, batches):
        """Sums of the absolute errors of batches, MPa."""

        def errors(_, samples):
            x, y = self._gather(fields, samples)
            return None, jnp.abs(self.network.stateless_call(*weights, x)[0] - y).sum()

        return jax.lax.scan(errors, None, batches)[1]

    def _measure_statistics(self, samples):
        with self.statistics.of_last_batch():
            values = self._weights()
            parts = [
                self._forward(self._fields[id(self.training)], values, batches)
                for batches in _batched(samples, self.config.batch_size)
            ]
        means, variances = jax.tree.map(lambda *x: np.concatenate(x), *parts)
        self.statistics.set(means, variances)

    def _statistics_of_batches(self, fields, weights, batches):
        """Means and variances (steps, C) of batches (steps, n, 5) in every normalization."""
        others = self.network.non_trainable_variables
        place = {id(variable): i for i, variable in enumerate(others)}
        layers = statistics.normalizations(self.network)

        def of_batch(_, samples):
            x, _ = self._gather(fields, samples)
            after = self.network.stateless_call(*weights, x, training=True)[1]
            return None, tuple(
                [after[place[id(getattr(layer, name))]] for layer in layers]
                for name in ("moving_mean", "moving_variance")
            )

        return jax.lax.scan(of_batch, None, batches)[1]

    def _weights(self):
        network = self.network
        return _values(network.trainable_variables), _values(network.non_trainable_variables)


def _values(variables) -> list:
    return [variable.value for variable in variables]


def _batched(samples, size: int) -> list:
    """Samples (n, 5) as full batches (steps, size, 5), and what remains (1, rest, 5)."""
    full = len(samples) - len(samples) % size
    parts = samples[:full].reshape(-1, size, samples.shape[-1]), samples[None, full:]
    return [jnp.asarray(part) for part in parts if part.size]
