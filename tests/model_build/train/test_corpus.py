"""Plain text corpora: the files that are read, and token ids on disk."""

from pathlib import Path
from typing import Any

import pytest

from model_build.errors import ModelBuildError
from model_build.train import corpus
from tests.model_build.conftest import write_rows


def test_the_corpus_has_the_texts_of_all_files_and_of_the_train_split(
    messages: Path, text_files: list[str], tmp_path: Path
) -> None:
    found = list(corpus.texts(corpus.files([str(messages), *text_files, str(messages)])))
    assert len(found) == 160 + 240
    shouted = write_rows(tmp_path / "ROWS.JSONL", {"text": "hello", "label": 0})
    assert list(corpus.texts([shouted])) == ["hello"]
    with pytest.raises(ModelBuildError, match=r"none\.\* matches no file: pass a file"):
        corpus.files(["none.*"])
    (tmp_path / "a.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(ModelBuildError, match=r"a\.txt is not UTF-8"):
        list(corpus.texts([tmp_path / "a.txt"]))


def test_a_long_text_is_split_and_the_last_texts_are_held_out(tokenizer: Any, tmp_path: Path) -> None:
    corpus.tokenize(["the code " * 30, "of this release"], tokenizer, tmp_path, 18)
    train, held_out = corpus.load(tmp_path, tokenizer).split(1)
    assert train.lengths() == [18, 18, 18, 15]
    assert all(train[index]["input_ids"][0] == 0 and train[index]["input_ids"][-1] == 2 for index in range(4))
    assert len(held_out) == 1
    assert tokenizer.decode(held_out[0]["input_ids"], skip_special_tokens=True) == "of this release"


def test_a_corpus_without_text_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelBuildError, match="the data contains no text to train on"):
        corpus.tokenize([], tokenizer, tmp_path, 32)
