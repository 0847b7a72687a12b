import pandas as pd
import pytest

from repro import paper
from repro.report.reality import verdict
from repro.verification import Check

GOOD = [Check("grains", "10", "10", True)]
BAD = [Check("loading rate", "0.02 1/s", "0.001 1/s", False)]


def rows(mae, epochs=paper.EPOCHS, persistence=12.0):
    def row(model, value, epochs, mode="one-step"):
        return {
            "model": model, "suite": "paper", "split": "validation", "mode": mode, "stride": 1,
            "metric": "MAE", "region": "all", "F11": None, "distance_px": None, "value": value,
            "epochs": epochs,
        }  # fmt: skip

    return pd.DataFrame(
        [
            row("net", mae, epochs),
            row("net", 2 * mae, epochs, "rollout"),
            row("persistence", persistence, None),
        ]
    )


@pytest.mark.parametrize(
    ("checks", "mae", "epochs", "sentence"),
    [
        (GOOD, 1.6, 500, "reaches the paper's accuracy"),
        (GOOD, 2.4, 500, "in the right ballpark"),
        (GOOD, 3.0, 500, "near, but not there"),
        (GOOD, 9.0, 500, "look at the data first, then at the training"),
        (BAD, 9.0, 500, "look at the data first, which is not the paper's"),
        (GOOD, 9.0, 20, "train to the end"),
        (GOOD, 2.4, 20, "comparison is not yet fair"),
        (BAD, 2.4, 500, "not the paper's: loading rate (0.02 1/s; the paper has 0.001 1/s)"),
        ([], 20.0, 500, "worse than persistence (12.00 MPa)"),
        ([], 5.0, 500, "(rollout): 10.000 MPa"),
    ],
)
def test_verdict_by_rule(checks, mae, epochs, sentence):
    assert sentence in verdict(checks, rows(mae, epochs))


def test_no_verdict_without_a_question():
    assert verdict([], rows(2.0).iloc[:0]) == ""
