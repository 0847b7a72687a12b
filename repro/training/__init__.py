"""One training run, resumable: the trainer, its recipes, how pairs reach the device."""

__all__ = ["devices", "feed", "recipes", "run_directory", "snapshot", "trainer"]
