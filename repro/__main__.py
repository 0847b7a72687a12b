"""List the commands: `python -m repro`."""

import ast
from pathlib import Path
from pkgutil import iter_modules

from repro.tools.files import read_text

PACKAGE = Path(__file__).parent
NO_COMMANDS = {"__main__", "paper"}


def commands() -> dict[str, str]:
    """What each `python -m repro.NAME` does: the first line of its docstring."""
    found = {}
    for module in iter_modules([str(PACKAGE)]):
        path = PACKAGE / (f"{module.name}/__main__.py" if module.ispkg else f"{module.name}.py")
        if module.name not in NO_COMMANDS and path.is_file():
            found[module.name] = ast.get_docstring(ast.parse(read_text(path))).splitlines()[0]
    return found


def main() -> None:
    """Print a line per command."""
    for name, text in commands().items():
        print(f"python -m repro.{name:18} {text}")
    print("--help after any of them explains its options.")


if __name__ == "__main__":
    main()
