"""List the networks with their size."""

from repro.tools import cli


def main() -> None:
    """List the networks with parameters, operations a forward pass, and receptive field."""
    from repro.models.summary import overview

    print(overview().to_string(index=False))


if __name__ == "__main__":
    cli.run(main)
