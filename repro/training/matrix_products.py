"""Layers that train faster under JAX: same mathematics, same weights.

XLA has no fast kernel for a depthwise convolution of 9x9, and least of all for its gradients: not
for GPUs, which do matrix products best, and not for a CPU. Along a row of pixels a convolution is a
product with a banded matrix. So all columns of a kernel are one product, and only its rows are left
to be summed; the gradients are products of the same sizes.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from repro.models.backend import keras
from repro.training.acceleration import copied, is_plain


def with_matrix_products(model: keras.Model) -> keras.Model:
    """A copy of a functional model that trains faster under JAX; same weights."""
    return copied(model, MatrixSeparableConv2D, BlockMaxPooling2D)


class MatrixSeparableConv2D(keras.layers.SeparableConv2D):
    """`SeparableConv2D` without stride or dilation, by matrix products."""

    @staticmethod
    def suits(layer: keras.layers.SeparableConv2D) -> bool:
        """Whether this class can stand in for a layer."""
        odd = all(edge % 2 for edge in layer.kernel_size)
        return odd and is_plain(layer)

    def call(self, x):
        """Convolve (n, N1, N2, C)."""
        y = self._with_zeros_outside(x)
        if self.padding == "valid":
            k1, k2 = (edge // 2 for edge in self.kernel_size)
            y = y[:, k1 : y.shape[1] - k1, k2 : y.shape[2] - k2]
        return self.activation(y + jnp.asarray(self.bias) if self.use_bias else y)

    def _with_zeros_outside(self, x):
        depthwise = jnp.asarray(self.depthwise_kernel)[..., 0]  # (k1, k2, C)
        pointwise = jnp.asarray(self.pointwise_kernel)[0, 0]  # (C, filters)
        if self.filters == 1:
            # The channels can be summed for each tap of the kernel first.
            taps = jnp.einsum("nijc,abc->abnij", x, depthwise * pointwise[:, 0])
            return collect(collect(taps, 4, 1), 2, 0)[..., None]
        y = depthwise_convolution(x.transpose(3, 0, 1, 2), depthwise.transpose(2, 0, 1))
        return jnp.einsum("cnij,cf->nijf", y, pointwise)


@jax.custom_vjp
def depthwise_convolution(x, kernel):
    """Correlation of x (C, n, N1, N2), zero outside, with kernels (C, k1, k2)."""
    return _forward(x, kernel)[0]


def _forward(x, kernel):
    bands = jnp.einsum("cab,bqj->cqaj", kernel, _diagonals(x.shape[-1], kernel.shape[-1]))
    products = jnp.einsum("cniq,cqaj->cniaj", x, bands)
    return collect(products, 2, 3), (x, bands, kernel)


def _backward(saved, dy):
    x, bands, kernel = saved
    products = spread(dy, 2, 3, kernel.shape[1])
    dx = jnp.einsum("cniaj,cqaj->cniq", products, bands)
    of_bands = jnp.einsum("cniq,cniaj->cqaj", x, products)
    diagonals = _diagonals(x.shape[-1], kernel.shape[-1])
    return dx, jnp.einsum("cqaj,bqj->cab", of_bands, diagonals)


depthwise_convolution.defvjp(_forward, _backward)


def _diagonals(n, k) -> np.ndarray:
    """(k, n, n): where the pixel q of the input meets the tap b for the pixel j of the output."""
    along = np.arange(n)
    tap = along[:, None] - along + k // 2
    return (tap == np.arange(k)[:, None, None]).astype(np.float32)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def collect(z, axis, taps):
    """Sum of z[i + a - k // 2, a] over the k taps a, zero outside; i is `axis`, a is `taps`."""
    n, k = z.shape[axis], z.shape[taps]
    z = _padded(z, axis, k // 2)
    return sum(
        jax.lax.index_in_dim(jax.lax.slice_in_dim(z, a, a + n, axis=axis), a, taps, keepdims=False)
        for a in range(k)
    )


def spread(y, axis, taps, k):
    """Stack y[i - a + k // 2] for the k taps a, zero outside: what `collect` is the adjoint of."""
    n = y.shape[axis]
    y = _padded(y, axis, k // 2)
    starts = range(k - 1, -1, -1)
    return jnp.stack([jax.lax.slice_in_dim(y, s, s + n, axis=axis) for s in starts], axis=taps)


collect.defvjp(
    lambda z, axis, taps: (collect(z, axis, taps), z.shape[taps]),
    # Without the taps, the axes behind them count one less.
    lambda axis, taps, k, dy: (spread(dy, axis - (taps < axis), taps, k),),
)


def _padded(x, axis, width):
    widths = [(0, 0)] * x.ndim
    widths[axis] = (width, width)
    return jnp.pad(x, widths)


class BlockMaxPooling2D(keras.layers.MaxPooling2D):
    """`MaxPooling2D` of 2x2 pixels as a maximum over axes, whose gradient needs no search."""

    @staticmethod
    def suits(layer: keras.layers.MaxPooling2D) -> bool:
        """Whether this class can stand in for a layer."""
        return layer.pool_size == layer.strides == (2, 2) and layer.padding == "valid"

    def call(self, x):
        """Maximum over blocks; N1 and N2 are even."""
        n, n1, n2, channels = x.shape
        return x.reshape(n, n1 // 2, 2, n2 // 2, 2, channels).max((2, 4))
