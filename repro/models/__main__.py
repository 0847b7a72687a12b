"""List the networks: `python -m repro.models`."""

from repro import cli
from repro.models.summary import overview


def main() -> None:
    """List the networks with parameters, operations a forward pass, and receptive field."""
    print(overview().to_string(index=False))


if __name__ == "__main__":
    cli.run(main)
