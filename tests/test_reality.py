import pandas as pd
import pytest

from repro import paper
from repro.data.checks import Check
from repro.report.findings import places, shortfall
from repro.report.reality import summary, verdict

GOOD = [Check("grains", "10", "10", True)]
BAD = [Check("loading rate", "0.02 1/s", "0.001 1/s", False)]


def rows(mae, epochs=paper.EPOCHS, persistence=12.0):
    def row(model, value, epochs, mode="one-step"):
        return {
            "model": model, "suite": "paper", "split": "validation", "mode": mode, "stride": 1,
            "metric": "MAE", "region": "all", "F11": None, "distance_px": None, "value": value,
            "epochs": epochs, "network": "paper_unet" if epochs else None,
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
        (GOOD, 9.0, 20, "train for longer"),
        (GOOD, 2.4, 20, "comparison is not yet fair"),
        (BAD, 2.4, 500, "not the paper's: loading rate (0.02 1/s; the paper has 0.001 1/s)"),
        ([], 20.0, 500, "worse than persistence (12.00 MPa)"),
        ([], 5.0, 500, "(rollout): 10.000 MPa"),
    ],
)
def test_verdict_by_rule(checks, mae, epochs, sentence):
    assert sentence in verdict(checks, rows(mae, epochs))


def test_less_training_is_no_excuse_for_what_is_reached():
    assert "not yet fair" not in verdict(GOOD, rows(1.6, epochs=20))


def test_the_errors_that_the_paper_reports_are_counted():
    hard = rows(1.6).assign(suite="case1", split="all", value=9.0)  # the paper has 3.662 MPa
    text = verdict([], pd.concat([rows(1.6), hard]))
    assert "It reaches 1 of the 2 errors that the paper reports" in text


def test_a_step_so_short_that_nothing_is_below_the_paper_is_named():
    caveat = "only the rollout says what a network is worth"
    assert caveat in verdict([], rows(1.0, persistence=1.2))
    assert caveat not in verdict([], rows(1.0, persistence=2.0))


def test_summary_names_the_papers_network_and_the_best():
    assert "is reached by its network, which stands at 1.60 MPa one-step and 3.20 MPa" in summary(
        rows(1.6)
    )
    replica = rows(9.0, epochs=60)
    text = summary(replica)
    assert "is not reached by its network" in text
    assert text.endswith("at Δt = 0.2 s, the best of 60 epochs; the paper trains for 500.")
    last = replica.replace({"model": {"net": "net (last)"}})
    assert "at Δt = 0.2 s, after 60 epochs;" in summary(last)
    own = rows(1.0, epochs=30, persistence=1.5).assign(network="res_unet")
    own = own.replace({"model": {"net": "own"}})
    assert text == summary(replica).splitlines()[0]
    both = summary(pd.concat([replica, own.iloc[:2]]))
    assert "\n- own reaches it one-step, with 1.00 MPa one-step" in both
    worse = own.iloc[:2].assign(model="worse", value=[0.5, 3.0])
    assert "worse reaches" not in summary(pd.concat([replica, own, worse]))
    assert summary(own).endswith(
        "(where it takes no network to reach it one-step: persistence 1.50 MPa)."
    )
    assert summary(pd.concat([replica, own.assign(value=2.0)])) == text
    assert "not been tried with its own network" in summary(own)
    assert summary(replica.iloc[:0]).startswith("- No network")


def test_no_verdict_without_a_question():
    assert verdict([], rows(2.0).iloc[:0]) == ""


def test_shortfall_says_what_the_measurements_rule_out():
    both = [rows(9.0, epochs=50), rows(9.0, epochs=50).assign(split="training")]
    table = pd.concat(both).assign(n=800)
    noise = rows(0.002).assign(model="reference model", mode="rollout", epochs=None)
    other = rows(3.0).iloc[:2].assign(model="own", network="res_unet")
    table = pd.concat([table, noise.iloc[:1], other])
    curve = pd.DataFrame({"mae_training": [20.0] * 10 + [10.0] * 10, "learning_rate": 1e-3})
    text = "\n".join(shortfall("net", table, curve.assign(mae_validation=[9.0, 12.0] * 10)))
    assert "labels are not the limit: their own error is 0.002 MPa" in text
    assert "has seen 800,000 samples" in text
    assert "in 10% of 500 epochs" in text
    assert "are 8,000,000." in text
    assert "does not overfit: 9.00 MPa" in text
    assert "has not ended: over the last 10 of 20 epochs the mean training MAE is 10.00" in text
    assert "jumps from epoch to epoch: between 9.00 and 12.00 MPa" in text
    assert "own, on the same pairs with Δt = 0.2 s, has 3.00 MPa" in text
    large = rows(66.0).iloc[:1].assign(suite="size128", split="all")
    text = "\n".join(shortfall("net", pd.concat([table, large]), curve.assign(mae_validation=9.0)))
    assert "its error is 66.00 MPa on 128² pixels, against 9.00 MPa on 64²." in text
    tail = [rows(v).iloc[:1].assign(metric=m) for m, v in (("median", 4.0), ("q99", 70.0))]
    text = "\n".join(shortfall("net", pd.concat([table, *tail]), curve.assign(mae_validation=9.0)))
    assert "less than 4.00 MPa, one in a hundred by more than 70.00 MPa" in text
    stalled = curve.assign(mae_training=9.0, mae_validation=9.0)
    text = "\n".join(shortfall("net", table, stalled))
    assert "training has stalled" in text
    assert "validation MAE is steady" in text
    assert shortfall("own", other.assign(value=1.5)) == []


@pytest.mark.parametrize("corner, what", [(20.0, "zero padding is not"), (5.4, "no place is")])
def test_places_say_whether_the_edge_of_the_cell_is_special(corner, what):
    error = {"cell corners": corner, "cell edges": 5.0, "cell middle": 5.0}
    table = pd.concat([rows(5.0).iloc[:1].assign(region=r, value=v) for r, v in error.items()])
    (sentence,) = places("net", table)
    assert f"in its corners {corner:.2f} MPa" in sentence
    assert what in sentence
    assert places("net", rows(5.0)) == []
