import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from repro import models, paper
from repro.data import suites
from repro.evaluation import campaign, results
from repro.models.backend import keras
from repro.report import architecture, figures, page, tables
from repro.report.fidelity import fidelity


@pytest.fixture(scope="module")
def directory(data, tmp_path_factory):
    """Results of a small network without training, as make_tables finds them."""
    monkeypatch = pytest.MonkeyPatch()
    directory = tmp_path_factory.mktemp("results")
    run = directory / "models" / "tiny"
    monkeypatch.setattr(models, "SHIPPED", run.parent)
    run.mkdir(parents=True)
    keras.utils.set_random_seed(0)
    models.paper_unet(filters=2, levels=1, kernel=3).save(run / "best.keras")
    (run / "config.json").write_text(
        json.dumps({"network": "paper_unet", "stride": 5, "seed": 0, "epochs": 500})
    )
    (run / "environment.json").write_text(
        json.dumps(
            [{"from_epoch": 0, "commit": "abc", "hardware": "2 x CPU", "backend": "tensorflow"}]
        )
    )
    history = {"epoch": [1, 2], "mae_training": [9.0, 8.5], "mae_validation": [9.0, 8.0]}
    pd.DataFrame({**history, "seconds": 3600}).to_csv(run / "history.csv", index=False)
    campaign.evaluate_data(run, data, directory / "results.csv")
    yield directory
    monkeypatch.undo()


@pytest.fixture
def one_field_figure(monkeypatch):
    monkeypatch.setattr(page, "FIELD_FIGURES", {1: page.FIELD_FIGURES[1]})


@pytest.mark.usefixtures("one_field_figure")
def test_page_is_written_once_and_again_only_if_a_source_changes(directory):
    readme = directory.parent / "README.md"
    readme.write_text("A\n<!-- verdict -->\nold\n<!-- /verdict -->\nB\n")
    assert page.build(directory, check=True)
    assert not (directory / "RESULTS.md").exists()
    written = page.build(directory)
    assert directory / "RESULTS.md" in written
    assert page.build(directory, check=True) == []

    text = (directory / "RESULTS.md").read_text()
    before, verdict, after = readme.read_text().split("verdict -->\n")
    assert (before, after) == ("A\n<!-- ", "B\n")
    assert verdict.startswith("- The paper's accuracy")
    assert verdict.splitlines()[0] in text
    for image in [part.split(")")[0] for part in text.split("](")[1:]]:
        assert (directory / image).is_file(), image
    (value,) = results.select(
        results.read_rows(directory / "results.csv"), model="tiny", split="validation",
        mode="rollout", metric="MAE",
    )["value"]  # fmt: skip
    assert f"| validation | {paper.MAE_VALIDATION} | tiny | 1 s | 2 |" in text
    assert f"{value:.3f}" in text
    card = (directory / "models/tiny/README.md").read_text()
    assert "8.000 MPa, in epoch 2" in card
    for image in [part.split(")")[0] for part in card.split("](")[1:]]:
        assert (directory / "models/tiny" / image).is_file(), image
    assert "| pixels | 16x16 | 64x64 | no |" in (directory / "DATA_CARD.md").read_text()

    table = results.read_rows(directory / "results.csv")
    changed = table["metric"].eq("MAE") & table["F11"].notna()
    table.loc[changed, "value"] += 1
    results.write_rows(directory / "results.csv", table.to_dict("records"))
    stale = page.build(directory, check=True)
    assert directory / "figures" / "increments.png" in stale
    assert directory / "figures" / "figure1.png" not in stale


def test_page_says_what_is_missing(directory, tmp_path):
    (tmp_path / "results.csv").write_bytes((directory / "results.csv").read_bytes())
    page.build(tmp_path)
    text = (tmp_path / "RESULTS.md").read_text()
    assert "Not there yet: no model is shipped" in text
    assert "Not there yet: `python -m repro.benchmark speed`" in text
    with pytest.raises(FileNotFoundError, match=r"results\.csv: no such file"):
        page.build(tmp_path / "nowhere")


def rows(**columns):
    base = {
        "model": "a", "suite": "grains5", "split": "all", "mode": "one-step", "stride": 1,
        "metric": "MAE", "region": "all", "F11": np.nan, "distance_px": np.nan, "n": 50,
        "network": "paper_unet", "configuration": "c", "epochs": 500, "seed": 0,
    }  # fmt: skip
    return pd.DataFrame({**base, **columns})


def test_seeds_are_summarized_and_everything_else_is_kept_apart():
    found = rows(
        model=list("abcdef"),
        value=[1.0, 3.0, 9.0, 5.0, 6.0, 7.0],
        network=["x", "x", "y", "x", "x", "x"],
        configuration=["1", "1", "1", "2", None, None],
    )
    table = tables.against_paper(found, suites.TABLE_1).set_index("model")
    assert table["ours, one-step"].to_dict() == {
        "a, b": "2.000 ± 1.414 (2 seeds)", "c": "9.000", "d": "5.000", "e": "6.000", "f": "7.000",
    }  # fmt: skip
    assert table.loc["a, b", "paper"] == paper.MAE_GRAINS[5]


def test_naive_references_are_no_networks():
    found = rows(model=["persistence"], value=[12.0], network=None, epochs=np.nan)
    assert tables.against_paper(found, suites.TABLE_1).empty


def test_architecture_is_the_networks_own():
    drawn = architecture.layer_boxes(models.paper_unet(filters=4, levels=2, kernel=3), 64)
    convolutions = [box for box in drawn if box.kind == "SeparableConv2D"]
    assert [(b.pixels, b.channels) for b in convolutions[::2]] == [
        (64, 4), (32, 8), (16, 16), (32, 8), (64, 4),
    ]  # fmt: skip
    skips = [b.sources[0] for b in drawn if b.kind == "Concatenate"]
    assert skips == [convolutions[3].name, convolutions[1].name]


def test_fields_are_drawn_with_x1_to_the_right():
    field = np.zeros((8, 8))
    field[7, 0] = 1.0  # at the end of x1
    axes = plt.figure().subplots()
    drawn = figures._field(axes, field, "viridis", 0, 1).get_array()
    assert drawn[0, 7] == 1


def test_the_papers_network_is_shown_wherever_it_stands(tmp_path):
    directories = {name: tmp_path / name for name in ("a", "b", "c")}
    for name, network in zip("abc", ("res_unet", "paper_unet", "paper_unet"), strict=True):
        directories[name].mkdir()
        (directories[name] / "config.json").write_text(json.dumps({"network": network}))
        (directories[name] / "history.csv").write_text("epoch\n1\n")
    assert page.headline(directories) == "b"
    assert page.headline({"a": directories["a"]}) == "a"
    assert page.headline({}) is None


def test_open_choices_show_their_measured_effect():
    measured = pd.DataFrame(
        {
            "varied": "batch size", "setting": ["4", "8", "4", "8"], "stride": 5,
            "one-step MAE / MPa": [4.0, 6.5, 6.0, 6.5], "rollout MAE / MPa": [10.0, 9.0] * 2,
            "persistence MAE / MPa": 62.0, "epochs": 30, "n": 20,
        }
    )  # fmt: skip
    table = fidelity(rows(value=[1.0]), {}, measured).set_index("statement")["measured effect"]
    assert table["batch size"] == "one-step 5…6.5 MPa; rollout 9…10 MPa (reduced scale)"
    assert table["padding"] == "not measured"
    shown = tables.open_choices(measured)
    assert shown["Δt"].tolist() == ["1 s", "1 s"]
    assert shown["one-step MAE / MPa"].tolist() == [
        "5.000 ± 1.414 (2 seeds)", "6.500 ± 0.000 (2 seeds)",
    ]  # fmt: skip


def test_the_size_of_inclusions_shows_its_measured_effect():
    suites = ["circle40", "circle", "circle15", "square25"]
    measured = rows(suite=suites, value=[3.0, 2.0, 1.0, 9.0])
    table = fidelity(measured, {}).set_index("statement")["measured effect"]
    assert table["inclusion size"] == "circle, small to large: 1, 2, 3 MPa"


def test_ablation_shows_the_gain_of_each_ingredient_seed_by_seed():
    measured = pd.DataFrame(
        {
            "varied": ["nothing", "padding"] * 2, "setting": ["all", "zeros"] * 2,
            "seed": [0, 0, 1, 1], "one-step MAE / MPa": [1.0, 3.0, 2.0, 6.0],
            "rollout MAE / MPa": [5.0, 4.0, 5.0, 4.0],
        }
    )  # fmt: skip
    table = tables.ablation(measured).set_index("left out")
    assert table.loc["padding", "gain, one-step"] == "3.000 ± 1.414 (2 seeds)"
    assert table.loc["padding", "gain, rollout"] == "-1.000 ± 0.000 (2 seeds)"
    assert pd.isna(table.loc["nothing", "gain, rollout"])
