"""Reading labelled rows from JSON lines and CSV. Errors name the line of an invalid row and never quote a message."""

import hashlib
import json
import lzma
from pathlib import Path

import pytest

from model_build.data import Row, checksum, lines, read
from model_build.errors import ModelBuildError

GOOD = '{"text": "well done", "label": 0}\n'
SECOND = {"text_sha256": hashlib.sha256("you fôol".encode()).hexdigest(), "label": 1, "source": "irc", "split": "test"}


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_json_lines_with_sources_splits_and_details(tmp_path: Path) -> None:
    second = {"text": "you fool", "label": 1, "source": "chat", "split": "dev", "detail": {"kind": "insult"}}
    third = {"text": "no object", "label": 0, "split": "dev", "detail": "praise"}
    lines = f"{GOOD}\n{json.dumps(second)}\n{json.dumps(third)}\n"
    found = read(written(tmp_path, "rows.jsonl", lines))
    dev = [Row("you fool", 1, "chat", "dev", {"kind": "insult"}), Row("no object", 0, "all", "dev")]
    assert found.rows == [Row("well done", 0, "all", ""), *dev]
    assert found.of_split("train") == found.rows[:1]
    assert found.of_split("dev") == dev
    assert found.bad == []


def test_texts_under_another_licence_are_looked_up_by_checksum(tmp_path: Path) -> None:
    rows = written(tmp_path, "rows.jsonl", GOOD + json.dumps(SECOND) + "\n")
    chat = written(tmp_path, "chat.txt.xz", lzma.compress("hello\n\n  you fôol \r\n".encode()))
    assert read(rows, chat=chat).rows == [Row("well done", 0), Row("you fôol", 1, "irc", "test")]
    assert read(rows, rows, chat=chat).of_split("test") == [Row("you fôol", 1, "irc", "test")] * 2
    assert list(lines(chat)) == ["hello", "you fôol"]


def test_a_text_that_is_not_in_the_chat_is_an_error(tmp_path: Path) -> None:
    rows = written(tmp_path, "rows.jsonl", json.dumps(SECOND) + "\n")
    with pytest.raises(ModelBuildError, match=r"rows\.jsonl has text_sha256 in place of 1 texts: .* --chat"):
        read(rows, skip_bad_rows=True)
    with pytest.raises(ModelBuildError, match=r"rows\.jsonl .* 1 of which are not in .*chat\.txt: .* --chat"):
        read(rows, chat=written(tmp_path, "chat.txt", "hello\n"))
    with pytest.raises(FileNotFoundError, match=r"none\.txt"):
        read(rows, chat=tmp_path / "none.txt")
    with pytest.raises(ModelBuildError, match=r"chat\.txt is not UTF-8"):
        read(rows, chat=written(tmp_path, "chat.txt", b"\xff\n"))


def test_several_files_have_one_checksum(tmp_path: Path) -> None:
    one, two = written(tmp_path, "one", "1"), written(tmp_path, "two", "2")
    assert checksum(one) == hashlib.sha256(b"1").hexdigest()
    assert len({checksum(one), checksum(two), checksum(one, two), checksum(two, one)}) == 4
    with pytest.raises(FileNotFoundError, match="three"):
        checksum(one, tmp_path / "three")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl.xz", lzma.compress(GOOD.encode())),
        ("rows.jsonl", b"\xef\xbb\xbf" + GOOD.encode()),  # a byte order mark, as spreadsheets write it
        ("rows.csv", b"\xef\xbb\xbftext,label\nwell done,0\n"),
    ],
)
def test_the_same_row_is_read_from_other_formats(tmp_path: Path, name: str, content: bytes) -> None:
    assert read(written(tmp_path, name, content)).rows == [Row("well done", 0)]


def test_csv_with_quoted_line_breaks_and_commas(tmp_path: Path) -> None:
    text = 'id,text,label\r\n1,"first, and\r\nsecond",1\r\n2,plain,0\r\n'
    assert read(written(tmp_path, "rows.csv", text)).rows == [Row("first, and\r\nsecond", 1), Row("plain", 0)]


def test_a_csv_file_can_have_checksums_in_place_of_texts(tmp_path: Path) -> None:
    chat, checksum = written(tmp_path, "chat.txt.XZ", lzma.compress("you fôol\n".encode())), SECOND["text_sha256"]
    expected = [Row("you fôol", 1), Row("well done", 0)]
    for name, text in (
        ("both.CSV", f"text,text_sha256,label\n,{checksum},1\nwell done,,0\n,,0\n"),
        ("one.csv", f"label,text_sha256\n1,{checksum}\n0,\n"),
    ):
        found = read(written(tmp_path, name, text), chat=chat, skip_bad_rows=True)
        assert found.rows == expected[: len(found.rows)]
        assert found.bad == [f"{name}, line {len(found.rows) + 2}: text is missing or empty"]


def test_a_csv_record_is_named_by_its_first_line(tmp_path: Path) -> None:
    text = 'text,label\n"one\ntwo\nthree",1\n"four\nfive",maybe\nsix,2\n'
    found = read(written(tmp_path, "rows.csv", text), skip_bad_rows=True)
    assert found.bad == [
        f"rows.csv, line {n}: label is {label}, not 0 or 1" for n, label in ((5, "'maybe'"), (7, "'2'"))
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{broken", "not JSON"),
        ("[1, 2]", "not a JSON object"),
        ("[" * 100_000, "not JSON"),
        ('{"label": 1}', "text is missing or empty"),
        ('{"text": "cut \\ud83d", "label": 1}', "text has half of a character"),
        ('{"text": "  ", "label": 1}', "text is missing or empty"),
        ('{"text": 5, "label": 1}', "text is missing or empty"),
        ('{"text_sha256": "abc", "label": 1}', "text_sha256 is not 64 hexadecimal digits"),
        ('{"text_sha256": 5, "label": 1}', "text_sha256 is not 64 hexadecimal digits"),
        ('{"text": "a"}', "label is None, not 0 or 1"),
        ('{"text": "a", "label": 2}', "label is 2, not 0 or 1"),
        ('{"text": "a", "label": true}', "label is True, not 0 or 1"),
        ('{"text": "a", "label": 1, "split": "valid"}', "split is 'valid', not one of train, dev, test"),
    ],
)
def test_invalid_rows_are_errors_or_are_skipped(tmp_path: Path, line: str, reason: str) -> None:
    path = written(tmp_path, "rows.jsonl", GOOD + line + "\n" + GOOD)
    with pytest.raises(ModelBuildError, match=rf"rows\.jsonl, line 2: {reason}.*--skip-bad-rows"):
        read(path)
    found = read(path, skip_bad_rows=True)
    assert len(found.rows) == 2
    assert reason in found.bad[0]


def test_a_message_in_the_wrong_column_is_not_printed(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.csv", "label,text\nyou are a secret person,1\n")
    with pytest.raises(ModelBuildError) as raised:
        read(path)
    assert "secret" not in str(raised.value)
    assert "secret" not in repr(Row("secret", 1))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("rows.jsonl.xz", lzma.compress(GOOD.encode() * 100)[:-20], r"rows\.jsonl\.xz is damaged or not an xz file"),
        ("rows.csv", "message,toxic\nhello,0\n", "the first line must be a header with the columns text and label"),
        ("rows.jsonl", "{}\n", "has no row with a text and a label"),
        ("rows.jsonl", '{"text": "café", "label": 0}'.encode("latin-1"), "is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, content: str | bytes, reason: str) -> None:
    with pytest.raises(ModelBuildError, match=reason):
        read(written(tmp_path, name, content), skip_bad_rows=True)
