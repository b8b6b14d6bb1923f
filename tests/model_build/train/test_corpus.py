"""Plain text: which files are read, and how texts become token ids on disk."""

import time
from pathlib import Path
from typing import Any

import pytest

from model_build.errors import ModelBuildError
from model_build.train import corpus
from tests.model_build.train.conftest import sentences


def test_texts_are_those_of_all_files_and_of_split_train(messages: Path, text_files: list[str]) -> None:
    found = list(corpus.texts(corpus.files([str(messages), *text_files, str(messages)])))
    assert len(found) == 160 + 240


def test_a_pattern_that_names_no_file_is_refused() -> None:
    with pytest.raises(ModelBuildError, match=r"none\.\* names no file"):
        corpus.files(["none.*"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("a.txt", b"caf\xe9\n", "is not UTF-8"), ("a.txt.xz", b"nonsense", "damaged or no xz file")],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelBuildError, match=f"{name} {message}|{name} is {message}"):
        list(corpus.texts([tmp_path / name]))


def test_a_long_text_becomes_several(tokenizer: Any, tmp_path: Path) -> None:
    corpus.tokenize(["the code " * 30], tokenizer, tmp_path, 18)
    found = corpus.load(tmp_path, tokenizer)
    assert found.lengths() == [18, 18, 18, 15]
    assert all(found[index]["input_ids"][0] == 0 and found[index]["input_ids"][-1] == 2 for index in range(4))


def test_tokenizing_stops_in_time_and_continues(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "PIECE", 20)
    lines = [text for text, _ in sentences(50, seed=9)]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    corpus.tokenize(lines, tokenizer, whole, 32, lower_cased=0.5)
    for _ in range(3):
        corpus.tokenize(lines, tokenizer, cut, 32, lower_cased=0.5, until=time.monotonic())
        assert not corpus.is_tokenized(cut)
    corpus.tokenize(lines, tokenizer, cut, 32, lower_cased=0.5)
    first, second = corpus.load(whole, tokenizer), corpus.load(cut, tokenizer)
    assert [first[index] for index in range(50)] == [second[index] for index in range(50)]
    assert tokenizer.decode(first[7]["input_ids"], skip_special_tokens=True) == lines[7]
    assert sorted(file.name for file in cut.iterdir()) == ["ids.npy", "lengths.npy"]


def test_held_out_texts_are_the_last(tokenizer: Any, tmp_path: Path) -> None:
    corpus.tokenize(["the code", "a test", "of this release"], tokenizer, tmp_path, 32)
    train, held_out = corpus.load(tmp_path, tokenizer).split(1)
    assert (len(train), len(held_out)) == (2, 1)
    assert tokenizer.decode(held_out[0]["input_ids"], skip_special_tokens=True) == "of this release"


def test_a_corpus_without_text_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelBuildError, match="the data has no text to learn from"):
        corpus.tokenize([], tokenizer, tmp_path, 32)
