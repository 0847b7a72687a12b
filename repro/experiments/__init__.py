"""The whole chain, choices varied one by one, and the shipping and export of what was trained."""

__all__ = ["chain", "exporting", "shipping", "studies", "variants"]
