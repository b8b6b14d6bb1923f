"""Pretraining: a tokenizer, token ids on disk, masks, and a model that fine-tuning takes."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from model_build.errors import ModelBuildError
from model_build.train import finetune, texts, tokens, words
from model_build.train.masking import Masking
from model_build.train.pretrain import Shape, Task, pretrain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_build.train.run import Run

    Sentences = Callable[..., list[tuple[str, int]]]

pytestmark = pytest.mark.filterwarnings("ignore:mtime may not be reliable:UserWarning")
SMALL = Shape(layers=1, width=32, heads=2, inner=64)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, sentences: Sentences) -> list[str]:
    folder = tmp_path_factory.mktemp("corpus")
    for part in (1, 2):
        lines = "".join(text + "\n" for text, _ in sentences(120, seed=part))
        (folder / f"part.{part}.txt.xz").write_bytes(lzma.compress(lines.encode()))
    return [str(folder / "part.*.xz")]


@pytest.fixture(scope="module")
def tokenizer(base: Path) -> Any:
    return AutoTokenizer.from_pretrained(base)


def test_from_random_weights_to_a_classifier(
    corpus: list[str], messages: Path, a_run: Callable[..., Run], tmp_path: Path
) -> None:
    task = Task(tuple(corpus), vocabulary=300, shape=SMALL, evaluate_every=30)
    assert pretrain(task, a_run(steps=30, rate=1e-2))
    told = json.loads((tmp_path / "out" / "training.json").read_text())
    # An even guess among 300 tokens is 5.7.
    assert told["measured"][-1]["loss"] < 5.0
    assert told["shape"] == {"layers": 1, "width": 32, "heads": 2, "inner": 64}
    fine = finetune.Task(messages, str(tmp_path / "out"))
    assert finetune.finetune(fine, a_run(steps=1, out=tmp_path / "fine"))
    learnt = load_file(tmp_path / "out" / "model.safetensors")["roberta.embeddings.word_embeddings.weight"]
    begun = load_file(tmp_path / "fine" / "checkpoint-1" / "model.safetensors")[
        "roberta.embeddings.word_embeddings.weight"
    ]
    assert float((learnt - begun).abs().max()) < 0.01


def test_a_stop_while_tokenizing_and_training(
    corpus: list[str], base: Path, a_run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "PIECE", 100)
    task = Task(tuple(corpus), base=str(base), whole_words=True)
    whole, cut = a_run(steps=4, out=tmp_path / "whole"), a_run(steps=4, out=tmp_path / "cut", minutes=1e-6)
    assert pretrain(task, whole)
    for _ in range(3):
        assert not pretrain(task, cut)
        assert not list(cut.out.glob("checkpoint-*"))
    assert not pretrain(task, cut)
    assert [path.name for path in cut.out.glob("checkpoint-*")] == ["checkpoint-1"]
    assert pretrain(task, replace(cut, minutes=0.0))
    first, second = (load_file(out / "model.safetensors") for out in (whole.out, cut.out))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_tokens_of_a_piece_that_was_not_finished_are_written_again(
    tokenizer: Any, tmp_path: Path, sentences: Sentences
) -> None:
    lines = [text for text, _ in sentences(50, seed=9)]
    assert tokens.write(lines, tokenizer, tmp_path / "whole", 32)
    assert tokens.write(lines[:20], tokenizer, tmp_path / "cut", 32)
    progress = tokens.Progress.read(tmp_path / "cut")
    replace(progress, done=False).write(tmp_path / "cut")
    with (tmp_path / "cut" / "ids.bin").open("ab") as file:
        file.write(b"half a piece")
    assert tokens.write(lines, tokenizer, tmp_path / "cut", 32)
    first, second = (tokens.read(tmp_path / name, tokenizer) for name in ("whole", "cut"))
    assert [first[place] for place in range(50)] == [second[place] for place in range(50)]
    assert tokenizer.decode(first[7]["input_ids"], skip_special_tokens=True) == lines[7]


def test_a_long_text_becomes_several(tokenizer: Any, tmp_path: Path) -> None:
    assert tokens.write(["the code " * 30], tokenizer, tmp_path, 18)
    found = tokens.read(tmp_path, tokenizer)
    assert found.lengths() == [18, 18, 18, 15]
    assert all(found[place]["input_ids"][0] == 0 and found[place]["input_ids"][-1] == 2 for place in range(4))


def test_the_texts_of_labelled_rows_and_of_several_files(messages: Path, corpus: list[str]) -> None:
    found = list(texts.lines(texts.files([str(messages), *corpus, str(messages)])))
    assert len(found) == 160 + 240
    with pytest.raises(ModelBuildError, match=r"none\.\* names no file"):
        texts.files(["none.*"])


def test_a_tokenizer_is_of_robertas_kind(sentences: Sentences) -> None:
    made = words.train((text for text, _ in sentences(300, seed=4)), 310)
    assert [made.bos_token_id, made.pad_token_id, made.eos_token_id, made.unk_token_id] == [0, 1, 2, 3]
    assert made.mask_token_id == 4
    assert made("the code")["input_ids"][0] == 0
    assert made.decode(made("naïve ☺ text")["input_ids"], skip_special_tokens=True) == "naïve ☺ text"


@pytest.mark.parametrize("whole_words", [False, True])
def test_fifteen_in_a_hundred_are_masked_and_nothing_special(tokenizer: Any, whole_words: bool) -> None:
    mask = Masking(tokenizer, 0.15, seed=1, whole_words=whole_words)
    ids = tokenizer("the unbuilt codebase is releasable today and mergeable")["input_ids"]
    shares = []
    for draw in range(300):
        batch = mask([{"input_ids": ids, "draw": draw}, {"input_ids": ids[:5], "draw": 0}])
        masked = batch["labels"] != -100
        assert not masked[batch["attention_mask"] == 0].any()
        assert not masked[:, 0].any()
        shares.append(float(masked[0].sum()) / (len(ids) - 2))
    assert 0.12 < np.mean(shares) < 0.18


def test_a_word_is_masked_whole(tokenizer: Any) -> None:
    ids = tokenizer("the unbuilt codebase is releasable")["input_ids"]
    begins = [token.startswith("Ġ") for token in tokenizer.convert_ids_to_tokens(ids)]
    mask = Masking(tokenizer, 0.3, seed=1, whole_words=True)
    seen: Counter[bool] = Counter()
    for draw in range(100):
        masked = (mask([{"input_ids": ids, "draw": draw}])["labels"][0] != -100).tolist()
        for place in range(2, len(ids) - 1):
            if not begins[place]:
                assert masked[place] == masked[place - 1]
                seen[masked[place]] += 1
    assert min(seen[True], seen[False]) > 20


def test_a_draw_gives_the_same_mask_whatever_came_before(tokenizer: Any) -> None:
    example = {"input_ids": tokenizer("the code is in the build " * 5)["input_ids"]}
    first, second = (Masking(tokenizer, 0.15, seed=1, whole_words=False) for _ in range(2))
    second([{**example, "draw": 1}])
    assert torch.equal(first([{**example, "draw": 7}])["input_ids"], second([{**example, "draw": 7}])["input_ids"])
    assert not torch.equal(first([{**example, "draw": 7}])["labels"], first([{**example, "draw": 8}])["labels"])


def test_a_bert_goes_on_in_its_own_vocabulary(
    bert: Path, corpus: list[str], a_run: Callable[..., Run], tmp_path: Path
) -> None:
    task = Task(tuple(corpus), base=str(bert))
    assert pretrain(task, a_run(steps=1))
    (folder,) = (tmp_path / "out").glob("tokens-*")
    words_of = AutoTokenizer.from_pretrained(bert)
    ids = tokens.read(folder, words_of)[0]["input_ids"]
    assert words_of.convert_ids_to_tokens([ids[0], ids[-1]]) == ["[CLS]", "[SEP]"]
    with pytest.raises(ModelBuildError, match="--whole-words needs a byte-level tokenizer of RoBERTa's kind"):
        pretrain(replace(task, whole_words=True), a_run(steps=1, out=tmp_path / "words"))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"shape": Shape(1, 33, 2), "vocabulary": 300}, "--width 33 is no multiple of --heads 2"),
        ({}, "pass --tokenizer FOLDER, or --train-tokenizer 32768"),
        ({"tokenizer": "no-such-folder"}, "no-such-folder has no tokenizer that can be read"),
    ],
)
def test_what_does_not_fit_together(
    corpus: list[str], a_run: Callable[..., Run], other: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelBuildError, match=message):
        pretrain(Task(tuple(corpus), **other), a_run())


def test_a_base_has_its_own_tokenizer(corpus: list[str], base: Path, a_run: Callable[..., Run]) -> None:
    with pytest.raises(ModelBuildError, match="a base brings its own tokenizer"):
        pretrain(Task(tuple(corpus), base=str(base), vocabulary=300), a_run())
