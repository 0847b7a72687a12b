"""One training run, resumable: the trainer, its recipes, how pairs reach the device."""
