"""The reference model (RM): it solves cells under a load, and the networks learn from it."""

from repro.reference.generation import Request, generate
from repro.reference.many import simulate_many, solve
from repro.reference.simulation import (
    TOLERANCE,
    ConvergenceError,
    Fields,
    Trajectory,
    accuracy,
    batch_size,
    simulate,
    simulate_batch,
)
from repro.tools import processor

processor.size_pools()

__all__ = [
    "TOLERANCE",
    "ConvergenceError",
    "Fields",
    "Request",
    "Trajectory",
    "accuracy",
    "batch_size",
    "generate",
    "simulate",
    "simulate_batch",
    "simulate_many",
    "solve",
]
