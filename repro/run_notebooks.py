"""Execute the notebooks and keep their outputs."""

import nbformat

from repro.report.execution import execute, notebooks
from repro.tools import cli
from repro.tools.files import atomic_path


def main() -> None:
    """Execute every notebook in notebooks/ from its beginning, in place."""
    for path in notebooks():
        executed = execute(path)
        with atomic_path(path) as temporary:
            nbformat.write(executed, temporary)
        print(f"notebooks/{path.name} written")


if __name__ == "__main__":
    cli.run(main)
