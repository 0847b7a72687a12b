"""Tables as CSV files: written whole or not at all, read as a spreadsheet may have saved them."""

import re
from pathlib import Path

import pandas as pd

from repro.tools.files import write_text


def write_csv(path, table: pd.DataFrame, digits: int | None = None) -> None:
    """Write a DataFrame without its index; `digits` are significant ones, by default all."""
    float_format = None if digits is None else f"%.{digits}g"
    write_text(path, table.to_csv(index=False, float_format=float_format, lineterminator="\n"))


def replaced(old: pd.DataFrame, new: pd.DataFrame, subject: list[str]) -> pd.DataFrame:
    """`new`, then those rows of `old` that are about no `subject` (columns) of it."""
    measured_again = pd.MultiIndex.from_frame(old[subject]).isin(
        pd.MultiIndex.from_frame(new[subject])
    )
    return pd.concat([new, old[~measured_again]], ignore_index=True)


def update_csv(
    path, new: pd.DataFrame, subject: list[str], digits: int | None = None
) -> pd.DataFrame:
    """Write `new` into the table of a file, in place of what it says of each `subject`; return it.

    Where there is no such file, it is written anew; `digits` are as for `write_csv`.
    """
    table = replaced(read_csv(path), new, subject) if Path(path).is_file() else new
    write_csv(path, table, digits)
    return table


def read_csv(path, **options) -> pd.DataFrame:
    """Read a table, also as a spreadsheet saves it: semicolons, decimal commas, UTF-16.

    Parameters
    ----------
    path : path-like
    **options
        Of `pandas.read_csv`.

    Raises
    ------
    ValueError
        If it cannot be read; the message names the file.
    """
    start = Path(path).read_bytes()[:4096]
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = start.decode(encoding, errors="ignore")
    separator = max(",;\t", key=text.partition("\n")[0].count)
    if separator != ",":
        comma = re.search(r"\d,\d", text)
        options |= {"sep": separator, "decimal": "," if comma else "."}
    try:
        return pd.read_csv(path, encoding=encoding, **options)
    except (ValueError, OverflowError) as error:  # pandas' and codecs' errors are ValueErrors
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{path}: not a table that can be read ({reason})") from None
