"""Text files and tables as editors, spreadsheets and pandas write them."""

import codecs
import csv
import io
from pathlib import Path

_MARKS = (  # of byte order; those of UTF-32 begin like those of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_SEPARATORS = (",", ";", "\t", "|")


def read_text(path: Path) -> str:
    """The text of a file: in the encoding that its byte order mark tells, else UTF-8, else Latin-1.

    Raises ValueError for what is no text, OSError where it can't be read.
    """
    data = path.read_bytes()
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError as error:
                raise ValueError(f"{path}: damaged {encoding.upper()} ({error.reason} at byte {error.start})") from None
    if b"\0" in data:
        raise ValueError(f"{path}: holds null bytes; expected text in UTF-8, or in UTF-16 with a byte order mark")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Names of the columns, in small letters without blanks around, and the rows with the lines they stand in.

    The separator is the one of comma, semicolon, tab and bar that the first line has most of. Comments before it (#)
    and Excel's ``sep=;`` are no rows. A column without a name is left out.
    Raises ValueError, naming the line, for rows of another length, a column that is there twice, or a field
    without end; what `read_text` raises.
    """
    lines = list(io.StringIO(read_text(path), newline=""))
    start = next((i for i, line in enumerate(lines) if line.strip() and not _is_preface(line)), len(lines))
    head = lines[start] if start < len(lines) else ""
    separator = max(_SEPARATORS, key=head.count)
    reader = csv.reader(["\n"] * start + lines[start:], delimiter=separator, skipinitialspace=True)
    columns: list[str] = []
    rows = []
    try:
        for row in reader:
            if not any(field.strip() for field in row):
                continue
            if not columns:
                columns = _names(path, row)
                continue
            if len(row) != len(columns):
                raise ValueError(f"{path}, line {reader.line_num}: expected {len(columns)} fields, got {len(row)}")
            rows.append((reader.line_num, {name: field for name, field in zip(columns, row, strict=True) if name}))
    except csv.Error as error:  # a quote that does not end takes the rest of the file for one field
        raise ValueError(f"{path}, line {reader.line_num}: {error}; is a quote not closed?") from None
    return [name for name in columns if name], rows


def _is_preface(line: str) -> bool:
    return line.startswith("#") or (line.lower().startswith("sep=") and len(line.strip()) <= 5)


def _names(path: Path, row: list[str]) -> list[str]:
    names = [field.strip().lower() for field in row]
    names = ["" if name.startswith("unnamed: ") else name for name in names]  # an index, written twice by pandas
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise ValueError(f"{path}: has the column {twice[0]!r} twice")
    return names
