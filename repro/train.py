"""Train any network by its name: those of the project, and your own in repro/models."""

from repro.experiments.chain import training_command
from repro.models import NETWORKS
from repro.tools import cli

if __name__ == "__main__":
    cli.run({name: training_command(name) for name in NETWORKS})
