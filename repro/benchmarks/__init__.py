"""How right and how fast the reference model, the trainer and the networks are."""

__all__ = ["reference", "scaling", "speed", "training", "verification"]
