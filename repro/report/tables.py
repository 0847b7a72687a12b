"""Markdown tables from result rows; nothing in them is typed by hand."""

import pandas as pd

from repro import paper
from repro.evaluation.metrics import QUANTILES
from repro.evaluation.results import select
from repro.files import atomic_path

# The paper's MAE for (suite, split, mode); it reports one number and does not name the mode.
PAPER_MAE = {
    ("paper", "training"): paper.MAE_TRAINING,
    ("paper", "validation"): paper.MAE_VALIDATION,
    **{(f"grains{g}", "all"): mae for g, mae in paper.MAE_GRAINS.items()},
    **{(f"case{k}", "all"): mae for k, mae in paper.MAE_CASES.items()},
    ("circle", "all"): paper.MAE_CIRCLE,
    ("square", "all"): paper.MAE_SQUARE,
}


def markdown(table: pd.DataFrame) -> str:
    """A pipe table of the columns of `table`, missing values as a dash."""

    def text(value):
        return "–" if pd.isna(value) else f"{value:.4g}" if isinstance(value, float) else str(value)

    rows = [[text(value) for value in row] for row in table.itertuples(index=False)]
    lines = [list(table.columns), ["---"] * len(table.columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def errors(results: pd.DataFrame) -> pd.DataFrame:
    """One row a model, suite, split, mode and stride: its errors, and the paper's MAE."""
    about = ["model", "suite", "split", "mode", "stride"]
    whole = select(results)
    wide = whole.pivot(index=[*about, "n"], columns="metric", values="value").reset_index()
    paper_mae = [PAPER_MAE.get(key) for key in zip(wide["suite"], wide["split"], strict=True)]
    errors = wide[["MAE", "RMSE", *QUANTILES]].add_suffix(" / MPa")
    return pd.concat([wide[about], errors, wide["n"]], axis=1).assign(
        **{"paper MAE / MPa": paper_mae}
    )


def write_report(results: pd.DataFrame, path, title: str) -> None:
    """The Markdown page of a single run's results table."""
    page = f"# {title}\n\nGenerated; do not edit.\n\n{markdown(errors(results))}\n"
    with atomic_path(path) as temporary:
        temporary.write_text(page)
