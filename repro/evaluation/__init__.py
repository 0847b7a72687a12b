"""Errors of predictions: metrics, naive references, result rows."""

from repro.evaluation.assessment import assess, label_noise
from repro.evaluation.campaign import evaluate_data, evaluate_suites, load_suite
from repro.evaluation.metrics import METRICS, Metric, mae, measure
from repro.evaluation.results import read_rows, select, write_rows

__all__ = [
    "METRICS",
    "Metric",
    "assess",
    "evaluate_data",
    "evaluate_suites",
    "label_noise",
    "load_suite",
    "mae",
    "measure",
    "read_rows",
    "select",
    "write_rows",
]
