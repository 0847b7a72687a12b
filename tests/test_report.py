import dataclasses
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import jinja2
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from repro import models, paper
from repro.benchmarks import speed
from repro.data import microstructure as ms
from repro.data import suites
from repro.data.checks import Check
from repro.data.discretization import CONVERGED
from repro.evaluation import campaign, results
from repro.models.backend import keras
from repro.report import architecture, figures, gallery, page, pictures, tables
from repro.report.numbers import NotMeasuredError, Numbers, fill_table, summary
from repro.report.templates import TEMPLATES
from repro.surrogate import load


@pytest.fixture(scope="module")
def directory(data, tmp_path_factory):
    """Results of a small network without training, as make_tables finds them."""
    monkeypatch = pytest.MonkeyPatch()
    directory = tmp_path_factory.mktemp("project") / "results"
    run = directory / "models" / "tiny"
    shipped = models.SHIPPED
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
    campaign.evaluate_data(load(run), data, directory / "results.csv")
    for name in ("direct_prediction", "learned_correction"):
        shutil.copytree(shipped / name, run.parent / name)
    yield directory
    monkeypatch.undo()


@pytest.fixture(autouse=True)
def fewer_pixels(monkeypatch):
    monkeypatch.setitem(figures._STYLE, "figure.dpi", 70)


@pytest.fixture
def one_field_figure(monkeypatch):
    monkeypatch.setattr(page, "FIELD_FIGURES", {1: page.FIELD_FIGURES[1]})
    monkeypatch.setattr(page, "_points_example", lambda: gallery.points_example((1, 2)))


def discussed(monkeypatch, text):
    """Let `text` be the discussion of the project's results."""
    shipped = TEMPLATES.loader

    def without_words(name):
        """The pages, but for what they say of the networks of the project."""
        source = shipped.get_source(TEMPLATES, name)[0]
        return source if name == "results.md.j2" else source.replace("{% if own %}", "{% if 0 %}")

    loaders = jinja2.DictLoader({"discussion.md.j2": text}), jinja2.FunctionLoader(without_words)
    monkeypatch.setattr(TEMPLATES, "loader", jinja2.ChoiceLoader(loaders))


def run_of(directory, name):
    return directory / "models" / name


def links_of(text):
    return re.findall(r"\]\((\w+\.md)\)", text)


def pictures_of(text):
    return [part.split(")")[0] for part in text.split("![")[1:] for part in part.split("](")[1:2]]


@pytest.mark.usefixtures("one_field_figure")
def test_page_is_written_once_and_again_only_if_a_source_changes(directory, monkeypatch):
    discussed(monkeypatch, 'In rollout {{ mae("tiny", "validation", "rollout") }} MPa.\n')
    monkeypatch.setattr(page, "MAIN_TABLE", {"tiny": "small U-Net"})
    readme = directory.parent / "README.md"
    start, end = page.MARKS["readme"]
    readme.write_text(f"A\n{start}old\n{end}B\n")
    written = page.build(directory)
    assert directory / "RESULTS.md" in written
    assert page.build(directory, check=True) == []

    text = (directory / "RESULTS.md").read_text()
    pages = {name: (directory / name).read_text() for name in links_of(text)}
    assert {"NETWORKS.md", "FIDELITY.md", "GALLERY.md", "PROVENANCE.md"} <= set(pages)
    for content in (text, *pages.values()):
        assert "\n\n\n" not in content
        for image in pictures_of(content):
            assert (directory / image).is_file(), image
    about = {"model": "tiny", "split": "validation", "metric": "MAE"}
    found = results.read_rows(directory / "results.csv")
    step, value = (
        results.select(found, mode=mode, **about)["value"].item()
        for mode in ("one-step", "rollout")
    )
    step = tables.digits(step)
    assert f"| 10 grains, validation | {paper.MAE_VALIDATION} | {step} |" in pages["NETWORKS.md"]
    assert f"| small U-Net, 2 epochs, 0.00640 million fields, Δt = 1 s | {step} / – |" in text
    before, block, after = readme.read_text().split("main table -->\n")
    assert (before, after) == ("A\n<!-- ", "B\n")
    assert "| small U-Net, 2 epochs" in block
    assert f"In rollout {value:.4g} MPa." in text
    card = (directory / "models/tiny/README.md").read_text()
    assert "| last | 2 | 8.50 | 8.00 |" in card
    assert f"value: {step}" in card.split("---")[1]
    for image in pictures_of(card):
        assert (directory / "models/tiny" / image).is_file(), image
    for name, inputs in (("learned_correction", 11), ("direct_prediction", 4)):
        card = (run_of(directory, name) / "README.md").read_text()
        assert f"parameters: (n, N, N, {inputs})" in card
    assert "| pixels | 16x16 | 64x64 | no |" in (directory / "DATA_CARD.md").read_text()

    scalable = [path.stem for path in (directory / "figures").glob("*.svg")]
    assert set(scalable) <= set(page.OF_LINES) and "increments" in scalable
    assert "<dc:date>" not in (directory / "figures" / "increments.svg").read_text()

    table = results.read_rows(directory / "results.csv")
    changed = table["metric"].eq("MAE") & table["F11"].notna()
    table.loc[changed, "value"] *= 2
    results.write_rows(directory / "results.csv", table.to_dict("records"))
    stale = page.build(directory, check=True)
    assert directory / "figures" / "increments.png" in stale
    assert directory / "figures" / "figure1.png" not in stale


def test_the_readme_says_how_long_make_run_took_on_each_machine():
    rows = pd.DataFrame(
        {
            "job": ["make run", "--help", "make run"],
            "hardware": ["one (AVX2)", "one (AVX2)", "another (AVX-512)"],
            "seconds": [270.0, 1.0, 150.0],
            "memory_MiB": [2048, 60, 1536],
        }
    )
    start, end = page.MARKS["readme_times"]
    for benchmarks in ({"benchmark_commands": rows}, {}):
        values = {"sources": SimpleNamespace(benchmarks=benchmarks)}
        text = page._readme(f"A\n{start}old\n{end}B\n", values)
        assert text.startswith(f"A\n{start}")
        assert text.endswith(f"{end}B\n")
        said = [line for line in text.splitlines() if line.startswith("- ")]
        assert (
            said
            == [
                "- 4.5 minutes and 2.0 GiB on one (AVX2)",
                "- 2.5 minutes and 1.5 GiB on another (AVX-512)",
            ][: len(said)]
        )
        assert len(said) == 2 * len(benchmarks)


@pytest.mark.parametrize("text", ['{{ mae("tyni", "validation") }}', "{{ mea }}", "{% if %}"])
def test_a_discussion_that_names_what_is_not_there_is_an_error(directory, monkeypatch, text):
    discussed(monkeypatch, text)
    (directory.parent / "README.md").write_text("".join(page.MARKS["readme"]))
    with pytest.raises(ValueError, match=r"tyni|mea|discussion\.md\.j2"):
        page.build(directory)


def test_other_results_change_nothing_of_the_project(directory, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "SHIPPED", tmp_path / "models")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "results.csv").write_bytes((directory / "results.csv").read_bytes())
    assert page.build(mine, check=True)
    assert not (mine / "RESULTS.md").exists()
    page.build(mine)
    text = (mine / "RESULTS.md").read_text()
    assert set(links_of(text)) == {"NETWORKS.md", "PROVENANCE.md"}
    for content in (text, *((mine / name).read_text() for name in links_of(text))):
        assert "\n\n\n" not in content
        assert "paper_unet" not in content.replace("--model", "")
    assert not (mine / "DATA_CARD.md").exists()
    with pytest.raises(FileNotFoundError, match=r"results\.csv: no such file"):
        page.build(tmp_path / "nowhere")


def test_a_suite_that_is_registered_stands_on_the_page(directory, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "SHIPPED", tmp_path / "models")
    mine = suites.Suite("my grains", ms.polycrystal, 99, sections=("My section",))
    monkeypatch.setitem(suites.SUITES, "mine", mine)
    found = results.read_rows(directory / "results.csv")
    of_mine = found[found["split"] == "validation"].assign(suite="mine", split="all")
    results.write_rows(tmp_path / "results.csv", of_mine.to_dict("records"))
    page.build(tmp_path)
    *_, last = pd.read_csv(tmp_path / "tables" / "single_steps.csv").to_dict("records")
    (value,) = results.select(of_mine, mode="one-step", model="tiny", metric="MAE")["value"]
    assert last["Unnamed: 0"] == "my grains"
    assert last["tiny, 2 epochs, Δt = 1 s"] == pytest.approx(value, rel=1e-2)


def rows(**columns):
    base = {
        "model": "a",
        "suite": "grains5",
        "split": "all",
        "mode": "one-step",
        "stride": 1,
        "against": results.AGAINST,
        "metric": "MAE",
        "region": "all",
        "increment": np.nan,
        "F11": np.nan,
        "distance_px": np.nan,
        "n": 50,
        "network": "paper_unet",
        "configuration": "c",
        "epochs": 500,
        "seed": 0,
    }
    found = pd.DataFrame({**base, **columns})
    return results._without_words(
        found.assign(kind=results._kinds(found), weights=results._weights(found))
    )


def test_seeds_are_summarized_and_everything_else_is_kept_apart():
    found = rows(
        model=list("abcdef"),
        value=[1.0, 3.0, 9.0, 5.0, 6.0, 7.0],
        network=["x", "x", "y", "x", "x", "x"],
        configuration=["1", "1", "1", "2", None, None],
    )
    (row,) = tables.by_suite(found, one_step=True).to_dict("records")
    assert row == {
        "": "5 grains",
        "the paper": str(paper.MAE_GRAINS[5]),
        "a, b, 500 epochs, 2 seeds": "2.00 ± 1.41",
        "c, 500 epochs": "9.00",
        "d, 500 epochs": "5.00",
        "e, 500 epochs": "6.00",
        "f, 500 epochs": "7.00",
        "n": 50,
    }


def test_of_what_is_named_the_longest_training_is_shown():
    found = rows(model=list("abc"), value=[1.0, 3.0, 9.0], epochs=[500, 60, 60])
    titles = {"a": "ours", "b": "ours"}
    (row,) = tables.by_suite(found, one_step=True, titles=titles).to_dict("records")
    assert [name for name in row if "epochs" in name] == ["ours, 500 epochs"]
    assert row["ours, 500 epochs"] == "1.00"
    both = tables.by_suite(found.assign(epochs=500), one_step=True, titles=titles)
    assert both["ours, 500 epochs, 2 seeds"].tolist() == ["2.00 ± 1.41"]
    means = tables.compared(found.assign(epochs=500), titles)
    assert means[["model", "value"]].to_numpy().tolist() == [["ours", 2.0]]


def test_naive_references_are_no_networks():
    found = rows(model=["persistence"], value=[12.0], network=None, epochs=np.nan)
    assert tables.by_suite(found, one_step=True).empty


def test_architecture_is_the_networks_own():
    network = models.paper_unet(filters=4, levels=2, kernel=3, skips="convolved", convolutions=2)
    drawn = architecture.layer_boxes(network, 64)
    convolutions = [box for box in drawn if box.kind == "SeparableConv2D"]
    sizes = [(64, 4), (32, 8), (16, 16), (32, 8), (64, 4)]
    assert [(b.pixels, b.channels) for b in convolutions[::2]] == sizes
    skips = [b.sources[0] for b in drawn if b.kind == "Concatenate"]
    assert skips == [convolutions[3].name, convolutions[1].name]


def test_architecture_shows_the_input_as_the_oldest_skip():
    drawn = architecture.layer_boxes(models.paper_unet(filters=4, levels=2, kernel=3), 64)
    assert (drawn[0].kind, drawn[0].channels) == ("InputLayer", 5)
    *_, last = (box for box in drawn if box.kind == "Concatenate")
    assert drawn[0].name in last.sources


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
        (directories[name] / "best.keras").touch()
    assert page.headline(directories) == "b"
    assert page.headline({"a": directories["a"]}) == "a"
    assert page.headline({}) is None


STUDY = pd.DataFrame(
    {
        "varied": "batch size",
        "setting": ["4", "8", "4", "8"],
        "stride": 5,
        "one-step MAE / MPa": [4.0, 6.5, 6.0, 6.5],
        "rollout MAE / MPa": [10.0, 9.0] * 2,
        "persistence MAE / MPa": 62.0,
        "filters": 32,
        "epochs": 30,
        "n": 20,
    }
)


def test_open_choices_show_their_measured_effect():
    numbers = Numbers(rows(value=[1.0]), studied=STUDY)
    names = {**numbers.names(), "paper": paper, "headline": "a"}
    table = fill_table(page.FIDELITY, names).set_index("statement")["measured"]
    assert table["batch size"] == "one-step 5…6.5 MPa; rollout 9…10 MPa (32 filters)"
    assert table["padding"] == "not measured"
    assert numbers.effect("batch size", "4") == "one-step 5 MPa; rollout 10 MPa (32 filters)"
    shown = tables.study(STUDY)
    assert shown["Δt"].tolist() == ["1 s", "1 s"]
    assert shown["one-step MAE / MPa"].tolist() == [
        "5.00 ± 1.41 (2 seeds)",
        "6.50 ± 0.00 (2 seeds)",
    ]


def test_the_size_of_inclusions_shows_its_measured_effect():
    measured = rows(
        suite=["circle15", "circle", "circle40", "square25", "square", "square75"],
        value=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    )
    names = {**Numbers(measured).names(), "paper": paper, "headline": "a"}
    table = fill_table(page.FIDELITY, names).set_index("statement")["measured"]
    wanted = "small to large: circle 1.00, 2.00, 3.00 MPa; square 4.00, 5.00, 6.00 MPa"
    assert table["inclusion size"] == wanted


def test_causes_show_what_is_measured_of_them():
    deviations = pd.DataFrame(
        {
            "setting": "M: 1",
            "mean_difference_MPa": [22.7, 18.69],
            "at_last_increment_MPa": [41.0, 35.5],
            "n": [1, 50],
        }
    )
    names = Numbers(rows(value=[1.0]), deviations=deviations).names()
    table = fill_table(page.CAUSES, names).set_index("there").iloc[:, 2]
    assert table["`M: 1`"] == "18.7 MPa, 35.5 at the end of the load (n = 50)"
    assert table["`dilatation: true`"] == "not measured"


def test_the_tables_of_statements_find_their_numbers_in_the_results(monkeypatch):
    monkeypatch.setattr(models, "SHIPPED", Path(models.__file__).with_name("shipped"))
    sources = page.read_sources(Path(page.__file__).parents[2] / "results")
    built = page._tables(sources, page._numbers(sources))
    measured = built["fidelity"].set_index("statement")["measured"]
    for statement in ("where the skips start", "one-step or rollout", "batch size"):
        assert "MPa" in measured[statement]
    assert (measured != "not measured").all()
    assert (built["causes"].iloc[:, 3] != "not measured").all()


def test_a_number_has_to_be_the_only_one_of_its_name():
    found = rows(
        model="persistence", suite="paper", split="validation", stride=[1, 5], value=[2.0, 8.0]
    )
    numbers = Numbers(found, speed=pd.DataFrame(SPEED))
    assert numbers.mae("persistence", "validation", stride=5) == 8
    with pytest.raises(NotMeasuredError, match="2 values in the results for model persistence"):
        numbers.mae("persistence", "validation")
    with pytest.raises(NotMeasuredError, match="0 values .* suite grains5"):
        numbers.mae("persistence", "grains5", stride=1)
    assert numbers.seconds("reference model", tol=1) == 0.1
    with pytest.raises(NotMeasuredError, match="3 values .* reference model, cores 1, increments"):
        numbers.seconds("reference model", increments=20)
    assert numbers.seconds("a") == 0.25  # in the fastest setting
    with pytest.raises(NotMeasuredError, match="speed was measured without evaluations"):
        numbers.evaluations(tol=1)
    counted = Numbers(found, speed=pd.DataFrame(SPEED).assign(evaluations=1.5))
    assert counted.evaluations(tol=1) == 1.5
    with pytest.raises(NotMeasuredError, match="not in the results: contender nobody"):
        numbers.seconds("nobody", tol=1)


SOLVER = {"increments": 20, "derivative": "continuous", "points_per_pixel": 1}
SPEED = [
    {
        "contender": contender,
        **setting,
        "cores": 1,
        "seconds": seconds,
        "mae": mae,
        "mae_converged": mae + 1.7 * (contender == "reference model"),
        "machine": "here",
    }
    for contender, setting, seconds, mae in (
        ("reference model", {"tol": 1, **SOLVER}, 0.1, 0.5),
        ("reference model", {"tol": 2, **SOLVER}, 0.2, 0.05),
        ("reference model", {"tol": 3, **SOLVER}, 0.4, 0.005),
        ("a", {"batch": 1}, 0.3, 0.7),
        ("a", {"batch": 8}, 0.25, 0.7),
    )
]


def test_main_table_has_networks_the_solver_and_what_needs_neither():
    about = {"suite": "paper", "split": "validation"}
    last, none = {"configuration": "l", **about}, {"epochs": np.nan, "network": None}
    found = pd.concat(
        [
            rows(model=["a (last)", "b (last)"], value=[3.0, 4.0], **last),
            rows(model=["a", "b"], value=[1.0, 2.0], configuration="c", **about),
            rows(model="a (last)", suite="grains10", value=[5.0], configuration="l"),
            rows(model="a (last)", mode="rollout", value=[9.0], **last),
            rows(model="own", value=[0.5], network="a_net", stride=5, epochs=9, **about),
            rows(model="persistence", value=[7.0, 8.0], stride=[1, 5], **none, **about),
            rows(model="linear extrapolation", value=[6.0], **none, **about),
            rows(
                model="a (last)", suite="grains10", mode="rollout", value=[6.5], against=FINE
            ).assign(configuration="l"),
            rows(
                model="reference model, tolerance 1", mode="rollout", value=[0.02], **none, **about
            ),
            rows(
                model="reference model, 5 increments",
                mode="trajectory",
                value=[2.0],
                **none,
                **about,
            ).assign(kind=results.SURROGATE),
        ]
    )
    titles = {"a": "ours", "own": "another", "not evaluated": "nothing"}
    timed = pd.DataFrame(SPEED).assign(default=[True, *[False] * 4])
    table = tables.main_table(found, timed, titles, {"a": 2e6}).set_index("")
    assert table.astype(object).where(table.notna(), None).to_dict("index") == {
        "the paper, 500 epochs": said(one=f"{paper.MAE_VALIDATION} / –", ms=150.0),
        "ours, 500 epochs, 2.00 million fields": said(
            one="3.00 / 5.00", whole="9.00 / –", fine="– / 6.50", ms=250.0, solver=100.0
        ),
        "another, 9 epochs, Δt = 1 s": said(one="0.500 / –"),
        "reference model, as the data (numerical error)": said(whole="0.0200 / –", ms=100.0),
        "no network: linear extrapolation": said(one="6.00 / –"),
        "no network: persistence, Δt = 1 s": said(one="8.00 / –"),
    }
    seeds = tables.main_table(found, titles={"a": "ours", "b": "ours"}).set_index("")
    assert seeds.loc["ours, 500 epochs, 2 seeds", "one step"] == "3.50 ± 0.71 / 5.00"
    fine = found[found["against"] == FINE]
    measured = tables.main_table(fine, timed.assign(mae_converged=[2.0, 0.6, 0.5, 0.7, 0.7]))
    assert measured.set_index("").loc["a, 500 epochs", "solver's ms"] == 200.0


def said(one=None, whole=None, fine=None, ms=None, solver=None):
    columns = "one step", "whole load", "whole load, converged", "ms", "solver's ms"
    return dict(zip(columns, (one, whole, fine, ms, solver), strict=True))


def test_weights_of_an_epoch_before_the_last_are_named_as_chosen(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "SHIPPED", Path(models.__file__).with_name("shipped"))
    sources = page.read_sources(Path(page.__file__).parents[2] / "results")
    assert page._of_pages(sources, [])["chosen"] == []
    shutil.copytree(sources.models["res_unet"], tmp_path / "res_unet")
    errors = "epoch,mae_training,mae_validation,seconds\n1,9.0,1.0,1\n2,8.0,2.0,1\n"
    (tmp_path / "res_unet" / "history.csv").write_text(errors)
    others = {**sources.models, "res_unet": tmp_path / "res_unet"}
    sources = dataclasses.replace(sources, models=others)
    assert page._of_pages(sources, [])["chosen"] == ["residual U-Net"]


def test_every_network_that_the_main_table_names_was_evaluated():
    found = results.read_rows(Path(__file__).parents[1] / "results" / "results.csv")
    assert set(page.MAIN_TABLE) <= set(found["model"])


def test_errors_against_converged_fields_stand_apart():
    labels = "reference model, continuous, 1 x 1 points"
    about = {"suite": "grains10", "mode": "trajectory"}
    of_labels = {"epochs": np.nan, "network": None, "configuration": None}
    found = pd.concat(
        [
            rows(model="a", value=[1.0], **about),
            rows(model="a", value=[2.0], against=FINE, **about),
            rows(model="a", value=[9.0], against=FINE, **about | {"mode": "one-step"}),
            rows(model=labels, value=[1.7], against=FINE, **about, **of_labels),
        ]
    )
    (row,) = tables.converged(found).to_dict("records")
    assert row == {"": "10 grains, unseen", labels: 1.7, "a": 2.0, "n": 50}
    places = [
        rows(model="a", value=[v], region=r, against=FINE, mode="trajectory") for r, v in PLACES
    ]
    of_paper = [rows(model="a", value=[0.1], region=r, mode="trajectory") for r, _ in PLACES]
    places = pd.concat([*places, *of_paper]).assign(suite="paper", split="validation", metric="MAE")
    (of_data, of_fine) = tables.by_region(places).to_dict("records")
    assert (of_data["against"], of_data["interiors"]) == ("the data", 0.1)
    assert (of_fine["against"], of_fine["interiors"]) == ("converged fields", 0.5)
    assert tables.errors(found)["against"].nunique() == 2
    assert "against" not in tables.errors(found[found["against"] == results.AGAINST])


FINE = str(CONVERGED)
PLACES = (("all", 1.0), ("triple junctions", 5.0), ("grain boundaries", 3.0), ("interiors", 0.5))


def test_rows_of_before_are_against_the_papers_kind(tmp_path):
    old = rows(value=[2.0], unit="MPa", increment=np.nan).drop(columns="against")
    old = old.reindex(columns=[c for c in results.KEYS if c != "against"] + results.VALUES)
    old = old.assign(**dict.fromkeys(results.PROVENANCE))
    old.to_csv(tmp_path / "results.csv", index=False)
    new = rows(value=[3.0], unit="MPa", increment=np.nan, against=FINE).to_dict("records")
    results.write_rows(tmp_path / "results.csv", new)
    kept = results.read_rows(tmp_path / "results.csv")
    assert results.select(kept, metric="MAE")["value"].tolist() == [2.0]
    assert results.select(kept, metric="MAE", against=FINE)["value"].tolist() == [3.0]


def test_names_of_before_become_columns(tmp_path):
    """Weights, tolerance and discretization were in the name of the model."""
    names = {
        "a (last)": ("a", "last", None, None),
        "a": ("a", "best", None, None),
        "DAMASK, eps 5e-06": ("DAMASK", None, results.AGAINST, 5e-6),
        "reference model, tolerance 1e-07": ("reference model", None, results.AGAINST, 1e-7),
        "reference model, rotated, 2 x 2 points": ("reference model", None, ROTATED, None),
        COARSE: (COARSE, "best", None, None),
    }
    trained = [500, 500, None, None, None, 500]
    old = pd.DataFrame({"model": [*names], "value": 2.0, "epochs": trained, "against": FINE})
    old.loc[2:3, "against"] = results.AGAINST
    old = old.reindex(columns=[c for c in COLUMNS if c not in ("kind", "weights", *SETTING)])
    old.assign(suite="grains5", mode="rollout").to_csv(tmp_path / "old.csv", index=False)
    read = results.read_rows(tmp_path / "old.csv")
    found = read[results.SUBJECT].astype(object)
    assert found.where(found.notna(), None).to_numpy().tolist() == [*map(list, names.values())]
    said = [name.replace("eps", "tolerance") for name in names]
    assert results.in_words(read).tolist() == said


COLUMNS = results.KEYS + results.VALUES + results.PROVENANCE
SETTING = ("discretization", "tol")
ROTATED, COARSE = "rotated, 2 x 2 points", "reference model, 5 increments, tol 0.0001"


def test_times_of_several_machines_are_kept(tmp_path):
    path = tmp_path / "speed.csv"
    base = pd.DataFrame(SPEED).assign(one_step=0.1, origin="measured", default=False)
    base = base.assign(kind=base["contender"].map({"a": "network"}).fillna("solver"))
    speed.write(path, base.drop(columns="machine"))  # as older versions did
    for machine, times in (("AVX2", 1), ("AMX", 2), ("AVX2", 3)):
        speed.write(path, base.assign(machine=machine, seconds=times * base["seconds"]))
    kept = pd.read_csv(path)
    assert kept["machine"].tolist() == ["AVX2"] * len(SPEED) + ["AMX"] * len(SPEED)
    assert tables.machines(kept).to_dict("records") == [{"": "a", "AVX2": 750.0, "AMX": 500.0}]
    figure = figures.pareto_figure(kept[kept["machine"] == "AMX"], {"a": "ours"})
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert texts == {"ours", "continuous, 1 x 1 points"}


@pytest.mark.parametrize(("start", "cells"), [({}, 1000), ({"start_further": 0}, 800)])
def test_fields_of_the_run_that_another_started_from_are_counted(tmp_path, start, cells):
    config = {"network": "direct_prediction", "start_epochs": 3, "further": 200, **start}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "history.csv").write_text("epoch,mae_validation\n1,2.0\n2,1.0\n")
    found = page._learning_curve(tmp_path)
    assert found["epoch"].tolist() == [4, 5]
    fields_before = 3 * cells * 25
    assert found["fields"].tolist() == [fields_before + 25_000, fields_before + 50_000]


def test_learning_curves_are_over_the_fields_learned_from():
    history = pd.DataFrame({"epoch": [3, 4], "mae_training": 2.0, "mae_validation": [4.0, 2.0]})
    history = history.assign(fields=[240_000, 400_000], steps=True)
    (row,) = tables.training({"a": history}, {"a": "ours"}).to_dict("records")
    assert row[""] == "ours"
    assert (row["epochs"], row["epochs of the run it started from"]) == (4, 2)
    assert row["validation MAE / MPa at 320,000 fields"] == pytest.approx(3.0)
    assert (row["at the end"], row["million fields"]) == (2.0, 0.4)
    axes, _ = figures.learning_curves({"a": history}, {"a": "ours"}).axes
    drawn = {line.get_label(): line.get_xdata() for line in axes.lines}
    assert list(drawn["ours"]) == [240_000, 400_000]


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        ({"network": "learned_correction", "labels": {}, "further": 200}, 1000 * 40),
        ({"network": "learned_correction"}, 800 * 20),
        ({"network": "paper_unet", "stride": 5}, 800 * 4),
        ({"network": "direct_prediction", "further": 8000}, 8800 * 25),
        ({"network": "learned_correction", "increments": 40}, 800 * 40),
        ({"network": "learned_correction"}, 800 * 20),
    ],
)
def test_fields_of_an_epoch(config, fields):
    assert page._fields_of_epoch(config) == fields


def test_evaluated_data_is_summed_up_in_three_lines():
    about = {"suite": "mine", "split": "validation"}
    found = pd.concat(
        [
            rows(value=[2.0], epochs=30, **about),
            rows(value=[6.0], epochs=30, mode="rollout", **about),
            rows(model="persistence", value=[12.0], epochs=np.nan, **about),
        ]
    )
    whole = rows(model="b", value=[0.8], epochs=9, mode="trajectory", against=FINE, **about)
    (of_whole_loads,) = summary(whole, []).splitlines()
    assert "b, validation part: 0.8 MPa over the whole load with the best of 9 ep" in of_whole_loads
    checks = [Check("grains", "10", "10", True), Check("rate", "0.02 1/s", "0.001 1/s", False)]
    data, network, naive = summary(found, checks).splitlines()
    assert data.endswith(
        "1 of 2 checks agree with the paper; not rate (0.02 1/s, the paper has 0.001 1/s)."
    )
    assert "2 MPa one-step and 6 MPa in rollout with the best of 30 epochs" in network
    assert naive == "Without a network, one-step: persistence 12 MPa."
    trivial = found.replace({"value": {12.0: 1.5}})
    assert "only the rollout tells networks apart" in summary(trivial, checks)
    last = summary(found.replace({"weights": {"best": "last"}}), [])
    assert last.startswith("a, validation part: 2 MPa one-step and 6 MPa in rollout after 30")
    assert summary(found.iloc[:0], []) == ""


def curve(values, **style):
    figure = Figure(figsize=(3, 2), dpi=200)
    axes = figure.subplots()
    axes.plot(values, **style)
    axes.set(ylim=(0, 4), xlabel="increment", title="an error over the load")
    return figure


def test_a_picture_is_compared_by_what_it_shows(tmp_path):
    path = tmp_path / "pictures" / "curve.png"
    assert not pictures.looks_like(path, pictures.png(curve([1, 2, 3])))
    pictures.save_figure(path, curve([1, 2, 3]))
    assert pictures.looks_like(path, pictures.png(curve([1, 2, 3.001])))
    for other in (curve([1, 2, 3.3]), curve([1, 2, 3], color="C1"), curve([1, 2, 3, 3])):
        assert not pictures.looks_like(path, pictures.png(other))
    larger = curve([1, 2, 3])
    larger.set_size_inches(4, 2)
    assert not pictures.looks_like(path, pictures.png(larger))


def test_pictures_of_two_versions_of_matplotlib_are_compared_coarsely(tmp_path, monkeypatch):
    path = tmp_path / "curve.png"
    pictures.save_figure(path, curve([1, 2, 3]))
    moved = curve([1, 2, 3])
    moved.subplots_adjust(bottom=0.12)
    assert not pictures.looks_like(path, pictures.png(moved))
    monkeypatch.setattr(mpl, "__version__", "3.0")
    assert pictures.looks_like(path, pictures.png(moved))
    moved.axes[0].axhspan(0, 2)
    assert not pictures.looks_like(path, pictures.png(moved))


def test_a_bar_in_a_cell_does_not_end_it():
    assert tables.markdown(pd.DataFrame({"law": ["|S|/ξ"]})).splitlines()[-1] == r"| \|S\|/ξ |"


def test_ablation_shows_the_gain_of_each_ingredient_seed_by_seed():
    measured = pd.DataFrame(
        {
            "varied": ["nothing", "padding"] * 2,
            "setting": ["all", "zeros"] * 2,
            "seed": [0, 0, 1, 1],
            "one-step MAE / MPa": [1.0, 3.0, 2.0, 6.0],
            "rollout MAE / MPa": [5.0, 4.0, 5.0, 4.0],
        }
    )
    table = tables.ablation(measured).set_index("left out")
    assert table.loc["padding", "gain, one-step"] == "3.00 ± 1.41 (2 seeds)"
    assert table.loc["padding", "gain, rollout"] == "-1.00 ± 0.00 (2 seeds)"
    assert pd.isna(table.loc["nothing", "gain, rollout"])


def learning():
    return figures.learning_curve([{"epoch": 1, "mae_training": 2.0, "mae_validation": 3.0}], "a")


def test_pictures_do_not_depend_on_the_matplotlibrc_of_a_user(monkeypatch):
    monkeypatch.setenv("PATH", "")  # no LaTeX
    network = models.paper_unet(filters=2, levels=1)
    drawn = [pictures.png(learning()), pictures.png(architecture.architecture_figure(network))]
    of_user = {"text.usetex": True, "font.size": 20, "savefig.bbox": "tight", "savefig.dpi": 30}
    with mpl.rc_context(of_user):
        again = [pictures.png(learning()), pictures.png(architecture.architecture_figure(network))]
        assert mpl.rcParams["text.usetex"]  # and their own pictures are as they want them
    assert again == drawn


def test_a_film_does_not_depend_on_the_matplotlibrc_of_a_user(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    stress = np.arange(32.0).reshape(2, 4, 4)
    for name, of_user in (("plain", {}), ("latex", {"text.usetex": True})):
        with mpl.rc_context(of_user):
            film = figures.loading_film(np.array([1.001, 1.002]), stress, stress + 1)
            pictures.save_film(tmp_path / f"{name}.gif", film)
    assert (tmp_path / "plain.gif").read_bytes() == (tmp_path / "latex.gif").read_bytes()


def test_a_picture_that_cannot_be_drawn_is_one_line(tmp_path, capsys):
    def fail():
        raise RuntimeError("no\nLaTeX")

    pictures.save_if_possible(tmp_path / "a.png", fail)
    said = f"{tmp_path / 'a.png'} could not be drawn (RuntimeError: no LaTeX)\n"
    assert capsys.readouterr().out == said
    pictures.save_if_possible(tmp_path / "a.png", learning)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
