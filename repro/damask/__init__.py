"""The paper's problem through DAMASK: write its inputs, run it, read its results, judge its set-up.

In these modules a `Microstructure` and the reference model are ours and a `Setup` is DAMASK's. Only
h5py and PyYAML are needed; the `damask` package is not.
"""

__all__ = [
    "dadf5",
    "deviations",
    "diagnosis",
    "earlier_replication",
    "exchange",
    "export",
    "run",
    "setup",
]
