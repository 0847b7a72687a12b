"""Cells and loads: drawing, storing and checking them, and making training samples."""

from repro.data.checks import Check, verify
from repro.data.dataset import DataSet, DataSetError, Split, read, split, write
from repro.data.discretization import CONVERGED, Discretization
from repro.data.flow_rule import FlowRule
from repro.data.grain_maps import GrainMap, read_grain_map
from repro.data.load import Load
from repro.data.microstructure import Microstructure, generator, polycrystal
from repro.data.pairs import Pairs, make_pairs
from repro.data.property_table import read_properties
from repro.data.suites import SUITES, Suite

__all__ = [
    "CONVERGED",
    "SUITES",
    "Check",
    "DataSet",
    "DataSetError",
    "Discretization",
    "FlowRule",
    "GrainMap",
    "Load",
    "Microstructure",
    "Pairs",
    "Split",
    "Suite",
    "generator",
    "make_pairs",
    "polycrystal",
    "read",
    "read_grain_map",
    "read_properties",
    "split",
    "verify",
    "write",
]
