import pandas as pd
import pytest

from repro.tools.csv_files import update_csv, write_csv
from repro.tools.files import atomic_path, write_text


def test_a_text_is_utf_8_with_plain_line_ends_in_a_new_folder(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_text(path, "σvM\n")
    assert path.read_bytes() == "σvM\n".encode()


def test_a_text_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "b.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("digits, wanted", [(3, "0.333"), (None, "0.3333333333333333")])
def test_a_table_is_written_to_the_digits_that_are_asked_for(tmp_path, digits, wanted):
    write_csv(tmp_path / "t.csv", pd.DataFrame({"x": [1 / 3], "n": [1]}), digits)
    assert (tmp_path / "t.csv").read_bytes() == f"x,n\n{wanted},1\n".encode()


def test_rows_on_the_same_subject_are_replaced(tmp_path):
    path = tmp_path / "new" / "table.csv"
    for subject, value in (("a", 1.0), ("b", 2.0), ("a", 3.0)):
        table = update_csv(path, pd.DataFrame({"value": [value], "data": [subject]}), ["data"])
    assert path.read_text().splitlines() == ["value,data", "3.0,a", "2.0,b"]
    assert len(table) == 2


def test_two_writers_of_one_file_in_one_process_do_not_write_into_each_other(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_path(path) as first, atomic_path(path) as second:
        first.write_text("first")
        second.write_text("second, which is not finished")
    assert path.read_text() == "first"  # the last one to end
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("exists", [True, False])
def test_the_file_behind_a_link_is_replaced(tmp_path, exists):
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "shared.csv", tmp_path / "table.csv"
    if exists:
        target.write_text("old")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    assert list((tmp_path / "disk").iterdir()) == [target]
