"""Train the advanced residual U-Net."""

from repro.experiments.options import training_command
from repro.tools import cli

main = training_command("res_unet")

if __name__ == "__main__":
    cli.run(main)
