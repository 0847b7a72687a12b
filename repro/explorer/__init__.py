"""The explorer: one cell to change by hand, its solution, and a network's answer beside it."""

from repro.explorer.session import Session

__all__ = ["Session"]
