"""Golden output of every shipped model with one Keras of each minor version that is allowed.

`python tests/keras_versions.py` installs each into a folder of its own (needs a package index) and
is not part of the test suite; the suite compares the files with what the oldest one knows.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
CHECK = """
import keras
from repro import models
from repro.experiments import shipping
for golden in sorted(models.SHIPPED.glob("*/golden.npz")):
    error = shipping.golden_error(golden.parent)
    print(f"Keras {keras.__version__}: {golden.parent.name} is {error:.1e} MPa off", flush=True)
    assert error < 1e-3
"""


def main() -> int:
    """Exit status 1 if a version gives another output."""
    root, failed = Path(__file__).parents[1], []
    for version in VERSIONS:
        with tempfile.TemporaryDirectory() as folder:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
            subprocess.run([*pip, "--target", folder, f"keras=={version}.*"], check=True)
            path = f"{folder}{os.pathsep}{root}"
            check = [sys.executable, "-c", CHECK]
            if subprocess.run(check, env={**os.environ, "PYTHONPATH": path}).returncode:
                failed.append(version)
    print(f"failed: {', '.join(failed)}" if failed else "all versions agree")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
