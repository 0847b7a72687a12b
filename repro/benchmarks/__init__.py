"""How right and how fast the reference model, the trainer and the networks are."""

__all__ = ["reference", "speed", "timing", "training", "verification"]
