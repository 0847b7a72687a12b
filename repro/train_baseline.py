"""Train the baseline, a plain 3x3 U-Net."""

from repro.experiments.options import training_command
from repro.tools import cli

main = training_command("baseline_unet")

if __name__ == "__main__":
    cli.run(main)
