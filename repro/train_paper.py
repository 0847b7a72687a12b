"""Train the paper's network; with no option, the paper's run."""

from repro.experiments.options import training_command
from repro.tools import cli

main = training_command("paper_unet")

if __name__ == "__main__":
    cli.run(main)
