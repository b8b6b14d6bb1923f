"""The evaluation set: the rows that are scored, and their slices."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from model_build.data import checksum, read
from model_build.errors import ModelBuildError
from model_build.evaluate import evaluation_set as module
from model_build.evaluate.evaluation_set import CHANGES, EvaluationSet, disguise, load, slices
from tests import ROOT
from tests.model_build.conftest import write_rows
from tests.model_build.evaluate.conftest import evaluation_set
from toxicity_bot.message_text import fold

TEXTS = [
    "Some women wrote it.",
    "I don't think so.",
    "That talk was damn good!",
    "Thanks for the class notes and the assistance.",
]


def written(folder: Path, *rows: tuple[str, int, str, str]) -> Path:
    keys = ("text", "label", "source", "split")
    return write_rows(folder / "rows.jsonl", *(dict(zip(keys, row, strict=True)) for row in rows))


def test_only_rows_of_the_split_that_are_not_empty_after_folding_are_scored(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        ("a &amp; b", 0, "x", "test"),
        ("c", 1, "", "test"),
        ("\u200b", 1, "x", "test"),
        ("d", 1, "x", "train"),
        ("e", 0, "x", ""),
        ("f", 0, "x", "dev"),
    )
    assert load(read(path), "train").texts == ["d", "e"], "a row without a split belongs to train"
    found = load(read(path), "test")
    assert found.texts == ["a & b", "c"]
    assert found.originals == ["a &amp; b", "c"]
    assert found.labels.tolist() == [0, 1]
    assert found.as_json()["sources"] == {"all": {"rows": 1, "toxic": 1}, "x": {"rows": 1, "toxic": 0}}
    assert "a & b" not in f"{found} {found.as_json()}"
    with pytest.raises(ModelBuildError, match="rows of both labels, 0 and 1, in split dev"):
        load(read(path), "dev")


@pytest.mark.parametrize("nothing", ["\ufffd", "\ufffd \ufffd", "\u1734"])
def test_texts_without_tokens_are_left_out(tmp_path: Path, nothing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = Tokenizer.from_file(str(ROOT / "model" / "tokenizer.json"))
    assert not tokenizer.encode(fold(nothing), add_special_tokens=False).ids
    path = written(tmp_path, (nothing, 1, "x", "test"), ("a \ufffd", 0, "x", "test"), ("!?", 1, "x", "test"))
    (tmp_path / "chat.txt").write_text(f"{nothing}\n{nothing}{nothing}\n")
    found = load(read(path), "test", tmp_path / "chat.txt")
    assert (found.texts, found.chat) == (["a \ufffd", "!?"], [])
    monkeypatch.setattr(module, "_SPELLINGS", {"lost": ("", lambda *_: nothing)})
    assert slices(found, seed=1)[-1].texts == found.texts


def test_bad_rows_are_skipped_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, ("a", 0, "x", "test"), ("b", 2, "x", "test"), ("c", 1, "x", "test"))
    assert load(read(path, skip_bad_rows=True), "test").texts == ["a", "c"]
    assert capsys.readouterr().out == "skipped: rows.jsonl, line 2: label is 2, not 0 or 1\n1 bad rows skipped.\n"


def test_several_files_are_combined_with_their_details(tmp_path: Path) -> None:
    first = written(tmp_path, ("a", 0, "x", "test"), ("b", 1, "x", "train"))
    second = write_rows(tmp_path / "second.jsonl", {"text": "c", "label": 1, "split": "test", "detail": {"kind": "k"}})
    found = load(read(first, second), "test")
    assert (found.texts, found.labels.tolist(), found.details) == (["a", "c"], [0, 1], [{}, {"kind": "k"}])
    assert (found.file, found.sha256) == ("rows.jsonl, second.jsonl", checksum(first, second))


@pytest.mark.parametrize(("most", "found"), [(100, 100), (10_000, 250)])
def test_each_split_has_its_own_sample_of_chat(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, found: int
) -> None:
    monkeypatch.setattr(module, "CHAT_MESSAGES", most)
    chat = tmp_path / "chat.txt"
    chat.write_text("".join(f"ok &amp; fine\n\n  message {number}\n" for number in range(500)), encoding="utf-8")
    test, again, dev = (load(read(labelled), split, chat=chat).chat for split in ("test", "test", "dev"))
    assert test == again
    assert len({*test, *dev}) == len(test) + len(dev) == 2 * found, "no message may occur twice"
    assert all(text == text.strip() for text in test)
    assert load(read(labelled), "test").chat == []


@pytest.fixture
def data() -> EvaluationSet:
    return evaluation_set(TEXTS, [0, 1, 0, 0], ["forum", "gh_incivility", "forum", "forum"])


@pytest.mark.parametrize(
    ("name", "rows"), [("identity terms", [0]), ("negation", [1]), ("swearing", [2]), ("work discussions", [1])]
)
def test_a_slice_contains_the_rows_that_match_its_rule(data: EvaluationSet, name: str, rows: list[int]) -> None:
    (found,) = (part for part in slices(data, seed=1) if part.name == name)
    assert found.rows.tolist() == rows
    assert found.texts == [TEXTS[row] for row in rows]


def test_changed_spelling_changes_every_text(data: EvaluationSet) -> None:
    found = {part.name: part.texts for part in slices(data, seed=1)}
    assert found["as written"] == TEXTS
    assert found["lower case"] == [text.lower() for text in TEXTS]
    assert found["capitals"] == [text.upper() for text in TEXTS]
    assert found["no punctuation"] == [text.translate(dict.fromkeys(map(ord, ".!'"))) for text in TEXTS]
    for name in CHANGES:
        assert all(before != after for before, after in zip(TEXTS, found[name], strict=True)), found[name]


def test_a_text_without_letters_stays_as_it_is() -> None:
    data = evaluation_set(["?!", "You idiot."], [0, 1], ["forum", "forum"])
    assert [part.texts[0] for part in slices(data, seed=1) if part.name in CHANGES] == ["?!"] * len(CHANGES)


def test_spelling_is_changed_in_a_sample_that_is_the_same_for_all_models(
    data: EvaluationSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHANGED_ROWS", 2)
    found = [part.rows.tolist() for part in slices(data, seed=1) if part.name in ("as written", *CHANGES)]
    assert len(found) == 8
    assert len(found[0]) == 2
    assert all(rows == found[0] for rows in found)
    assert len({tuple(slices(data, seed)[-1].rows.tolist()) for seed in range(20)}) > 1, "the seed decides"


def test_a_letter_in_every_fourth_word_is_replaced_and_placeholders_stay() -> None:
    text = " ".join(["release"] * 40)
    found = disguise(text, seed=1)
    assert len(found) == len(text)
    assert sum(before != after for before, after in zip(text, found, strict=True)) == 10
    assert found == disguise(text, seed=1)
    assert found != disguise(text, seed=2)
    assert disguise("it is a bug", seed=1) == "it is a bug", "all words are short"
    text = " ".join(["@user http #channel about"] * 40)
    words = disguise(text, seed=1).split()
    assert [word for word in words if word in {"@user", "http", "#channel"}] == ["@user", "http", "#channel"] * 40
    assert len({word for word in words if word.startswith(("4b", "ab"))}) > 1
    assert "@bout" not in words, "the change must not create a user name"
