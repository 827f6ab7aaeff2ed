import gzip

import numpy as np
import pytest

from lcbench.datasets.tables import delimited
from lcbench.datasets.tables.reading import read_table
from table_errors import table_error

ROWS = [f"{i},{i / 4},{'cat' if i % 2 else 'dog'}" for i in range(12)]


@pytest.fixture
def table(tmp_path):
    def write(lines, name="pets.csv", encoding="utf-8"):
        path = tmp_path / name
        text = lines if isinstance(lines, str) else "".join(f"{line}\n" for line in lines)
        path.write_bytes(text.encode(encoding))
        return path

    return write


def read_all(path, **options):
    """Return all rows as training rows, in the order of the file."""
    found = read_table(path, validation=0, test=0, **options)
    return found.train.X, found.train.y, found.class_names


def assert_pets(found):
    X, y, class_names = found
    np.testing.assert_array_equal(X, [[i, i / 4] for i in range(12)])
    np.testing.assert_array_equal(y, [1 - i % 2 for i in range(12)])
    assert X.dtype == np.float64
    assert X.flags.c_contiguous
    assert y.dtype == np.int64
    assert class_names == ("cat", "dog")


@pytest.mark.parametrize("header", [[], ["age,weight,species"], ["# age,weight,species"], ["0,1,species"]])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_reads_any_delimiter_line_ending_and_header(table, header, mark, end):
    options = {"label": "species"} if header == ["0,1,species"] else {}
    text = end.join([*header, *ROWS, ""]).replace(",", mark)
    assert_pets(read_all(table(text), **options))
    assert_pets(read_all(table(text, "pets.tsv"), **options))
    assert_pets(read_all(table(text, encoding="utf-8-sig"), **options))


def test_reads_a_gzipped_table(tmp_path):
    path = tmp_path / "PETS.CSV.GZ"
    path.write_bytes(gzip.compress("\n".join(ROWS).encode()))
    assert_pets(read_all(path))
    assert read_table(path).source == "PETS.CSV.GZ"


def test_blank_lines_quotes_and_spaces_are_ignored(table):
    quoted = [f'"{a}", {b} ,"{c} "' for a, b, c in (row.split(",") for row in ROWS)]
    assert_pets(read_all(table(["", '"age","weight","species"', "", *quoted[:5], "", *quoted[5:], ""])))


@pytest.mark.parametrize("label", [None, "species", "2", 2, "-1", -1])
def test_the_label_column_is_the_last_or_given_by_name_or_index(table, label):
    assert_pets(read_all(table(["age,weight,species", *ROWS]), label=label))


@pytest.mark.parametrize("name", ["label", "Class", "y", "TARGET", "# label"])
def test_a_column_with_a_usual_label_name_is_the_label(table, name):
    turned = [",".join((c, a, b)) for a, b, c in (row.split(",") for row in ROWS)]
    assert_pets(read_all(table([f"{name},age,weight", *turned])))
    assert_pets(read_all(table(turned), label=0))


def test_a_label_column_in_the_middle_keeps_the_order_of_the_others(table):
    turned = [",".join((a, c, b)) for a, b, c in (row.split(",") for row in ROWS)]
    assert_pets(read_all(table(turned), label=1))
    assert "line 3, column 'weight' is nan" in table_error(
        table(["age,species,weight", turned[0], "1,cat,nan"]), label="species"
    )


@pytest.mark.parametrize("as_written", ["{}", "{}.0", "{}.000000000000000000e+00", " {} "])
def test_labels_may_be_numbers_in_any_notation(table, as_written):
    _, y, class_names = read_all(table([f"{i},{as_written.format(i % 3)}" for i in range(12)]))
    np.testing.assert_array_equal(y, np.arange(12) % 3)
    assert class_names == ("0", "1", "2")


def test_labels_are_text_if_one_of_them_is(table):
    _, y, class_names = read_all(table(["1,10", "2,b", "3,9", "4,b"]))
    np.testing.assert_array_equal(y, [0, 2, 1, 2])
    assert class_names == ("10", "9", "b")


def test_a_header_of_column_numbers_is_recognised(table):
    X, _, _ = read_all(table(["0,1,2,3", *(f"{i + 5},0,0,{i % 2}" for i in range(6))]))
    np.testing.assert_array_equal(X[:, 0], np.arange(5, 11))


def test_a_first_row_of_numbers_and_gaps_is_no_header(table):
    assert table_error(table(["1,,cat", "2,3,dog"])).startswith("pets.csv: line 1, column 1 (from 0) is empty")
    assert table_error(table(["1,?,cat", "2,3,dog"])).startswith("pets.csv: line 1, column 1 (from 0) holds '?'")
    assert table_error(table(["1;2,5;cat", "2;3;dog"])).startswith(
        "pets.csv: line 1, column 1 (from 0) holds '2,5'; write"
    )


@pytest.mark.parametrize("header", [",a,b,c,label", "Unnamed: 0,a,b,c,label", ",0,1,2,3"])
@pytest.mark.parametrize("start", [0, 1])
def test_an_index_column_without_a_name_is_rejected(table, header, start):
    message = table_error(table([header, *(f"{start + i},2,3,4,{i % 2}" for i in range(6))]))
    assert message.startswith("pets.csv: its first column has no name and counts the rows")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["age,colour,species", "1,red,cat"], "line 2, column 'colour' holds 'red', which is no number; encode it"),
        (["1,2,cat", "1,red,cat"], "line 2, column 1 (from 0) holds 'red', which is no number"),
        (["age,weight,species", "", "1,2,cat", "2,1_0,dog"], "cannot be read as CSV"),
        (["age,weight,species", "", "1,2,cat", "2,,dog"], "line 4, column 'weight' is empty, and a number is expected"),
        (["age,weight,species", "1,2,cat", "NA,2,dog"], "line 3, column 'age' holds 'NA', and a number is expected"),
        (["age,weight,species", "1,2,cat", "2,nan,dog"], "line 3, column 'weight' is nan;"),
        (["1,2,cat", "2,inf,dog", "nan,1,dog"], "line 2, column 1 (from 0) is inf, the first of 2 values"),
        (["1,1e999,cat", "2,1,dog"], "line 1, column 1 (from 0) is inf"),
        (["1,2,cat", "1,2", "1,2,dog"], "line 2 has 2 fields, and the first line has 3"),
        (["1,2,cat", "1,2,3,dog"], "line 2 has 4 fields, and the first line has 3"),
        (["age,species", "1,2,cat", "1,2,dog"], "line 2 has 3 fields, and the first line has 2"),
        (["age,label", "1,0,2", "2,1,3"], "line 2 has 3 fields, and the first line has 2"),
        (["age,weight,species"], "has a header and no rows"),
        (["", "  "], "has no rows"),
        ("", "is empty"),
        (["1", "2"], "has one column"),
        (["1 2 cat", "2 3 dog"], "has one column"),
        (["1,2,cat"], "the only row is of class 'cat'"),
        (["1,2,cat", "1,3,cat"], "all 2 rows are of class 'cat'"),
        (["a,species", "1,0", "2,1", "3,"], "line 4, the label in column 'species' is empty"),
        (["1,cat", "2,nan", "3,dog"], "line 2, the label in column 1 (from 0) is 'nan'"),
        (["1,0", "2,1", "3,-1"], "line 3, the label in column 1 (from 0) is -1: labels are numbered from 0"),
        (["1,0", "2,0.5", "3,1"], "line 2, the label in column 1 (from 0) is 0.5: labels are whole numbers"),
        (["1,0", "2,nan", "3,1"], "line 2, the label in column 1 (from 0) is nan: labels are whole numbers"),
        (["1,0", "2,3", "3,1"], "line 2, the label in column 1 (from 0) is 3, and no training row has the label 2"),
        (["1,1", "2,2"], "line 2, the label in column 1 (from 0) is 2, and no training row has the label 0"),
        (["1,0", "2,1000000000"], "is 1000000000, and no training row has the label 1"),
        (["1,0", "2,1e300"], "is 1e+300: labels are numbered from 0"),
        (["1,a", "2,a", "3,a", "4,b"], "class 'b' has 1 row, and train, validation and test need one each"),
        ([f"1,{i}" for i in range(9)], "9 of 9 classes have too few rows (class '0' has 1 row"),
        ("1,2,cat\n1,\0,cat\n", "is not text"),
        ("1,2,cat\n" * 30 + "1,\0,cat\n", "line 31, column 1 (from 0) holds '\\x00'"),
        ('1,2,"' + "x" * 200_000, "the only row is of class 'xxx"),
    ],
)
def test_errors_in_a_table_are_named_in_one_line(table, lines, message):
    assert message in table_error(table(lines))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("speces", "has no column 'speces': did you mean 'species'?"),
        ("price", "has no column 'price': there are 'age', 'weight', 'species'"),
        ("3", "has no column 3: there are 3, 0 to 2"),
        (-4, "has no column -4: there are 3, 0 to 2"),
        ("age", "column 'species' holds 'dog', which is no number"),
    ],
)
def test_a_missing_label_column_is_named(table, label, message):
    assert message in table_error(table(["age,weight,species", *ROWS]), label=label)


def test_a_label_name_needs_a_header(table):
    assert "has no header to find 'species' in" in table_error(table(ROWS), label="species")


def test_a_label_name_of_two_columns_is_rejected(table):
    assert "has 2 columns 'age'" in table_error(table(["age,age,species", *ROWS]), label="age")


def test_other_encodings_than_utf_8_are_rejected(table):
    assert "is not text in UTF-8" in table_error(table(["größe,species", "1,a", "2,b"], encoding="latin-1"))
    assert "is not text in UTF-8" in table_error(table(ROWS, encoding="utf-16"))
    late = table([*(ROWS * 2000), "1,2,größe"], encoding="latin-1")
    assert "is not text in UTF-8" in table_error(late)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("header", [True, False])
def test_lines_may_be_long(table, mark, header):
    columns = 30_000
    lines = [mark.join([*(f"{row}.25" for _ in range(columns)), "cat" if row % 2 else "dog"]) for row in range(2)]
    names = [mark.join([*(f"x{column}" for column in range(columns)), "label"])] if header else []
    assert len(lines[0]) > 131_072
    X, _, class_names = read_all(table([*names, *lines]))
    assert X.shape == (2, columns)
    assert class_names == ("cat", "dog")


def test_a_line_without_end_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "_MAX_LINE", 1000)
    path = tmp_path / "pets.csv.gz"
    path.write_bytes(gzip.compress(b"1,2,cat\n" + b"1," * 600))
    assert "line 2 has more than 1,000 characters" in table_error(path)


def test_a_small_file_of_a_huge_table_is_stopped_when_memory_is_full(tmp_path, monkeypatch):
    path = tmp_path / "pets.csv.gz"
    path.write_bytes(gzip.compress(b"1,2,cat\n3,4,dog\n" * 20_000))
    monkeypatch.setattr(delimited, "fits_in_memory", lambda size: size < 200_000)
    assert "the first 12,288 lines fill the memory" in table_error(path)


def test_a_truncated_gzipped_table_is_rejected(tmp_path):
    path = tmp_path / "pets.csv.gz"
    noise = np.random.default_rng(0).random((2000, 3))
    whole = gzip.compress("\n".join(f"{a},{b},{c > 0.5:d}" for a, b, c in noise).encode())
    path.write_bytes(whole[: len(whole) // 2])
    assert "is damaged or not gzipped" in table_error(path)
    path.write_bytes(b"1,2,cat\n")
    assert "is damaged or not gzipped" in table_error(path)
