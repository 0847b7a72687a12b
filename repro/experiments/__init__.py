"""The whole chain, choices varied one by one, and the shipping of what was trained."""

__all__ = ["chain", "shipping", "studies"]
