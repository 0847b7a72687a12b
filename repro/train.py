"""Train any network by its name: those of the project, and your own in a file of yours."""

import sys

from repro.experiments.options import training_command
from repro.models.registry import NETWORKS, register_file
from repro.tools import cli


def commands() -> dict:
    """One for each network that is registered, those of a file that is named first among them.

    The file is then replaced by the name of its network, unless that is given after it.
    """
    if len(sys.argv) > 1 and sys.argv[1].endswith(".py"):
        names = register_file(sys.argv[1])
        if sys.argv[2:3] and sys.argv[2] in names:
            del sys.argv[1]
        elif len(names) == 1:
            sys.argv[1] = names[0]
        else:
            raise ValueError(f"{sys.argv[1]} registers {', '.join(names)}: name one after it")
    return {name: training_command(name) for name in NETWORKS}


if __name__ == "__main__":
    cli.run(find=commands)
