"""Pretraining: a tokenizer, masks, and a model for fine-tuning."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer, RobertaTokenizerFast

from model_build.errors import ModelBuildError
from model_build.train import corpus
from model_build.train.cli import FinetuneOptions, PretrainOptions
from model_build.train.finetune import finetune
from model_build.train.pretrain import Masking, pretrain, train_tokenizer
from tests.model_build.conftest import BERT_SHAPE, read_json, write_rows
from tests.model_build.train.conftest import BRIEFLY, WORDS, equal, sentences, weights

MakeOptions = Callable[..., PretrainOptions]

SMALL = BERT_SHAPE | {"num_hidden_layers": 1}


@pytest.fixture
def options(text_files: list[str], tmp_path: Path) -> MakeOptions:
    given = BRIEFLY | {"data": text_files, "out": tmp_path / "out"}
    return lambda **other: PretrainOptions(**given | other)


def test_pretraining_from_random_weights_leads_to_a_classifier(
    options: MakeOptions, finetune_options: Callable[..., FinetuneOptions], tmp_path: Path
) -> None:
    fine = tmp_path / "fine"
    asked = options(max_steps=30, learning_rate=1e-2, eval_steps=30, vocab_size=300, **SMALL)
    assert pretrain(asked)
    record = read_json(asked.out / "training.json")
    # A uniform guess over 300 tokens has a loss of 5.7.
    assert record["log"][-1]["eval_loss"] < 5.0
    assert {name: record[name] for name in SMALL} == SMALL
    assert finetune(finetune_options(base=str(asked.out), out=fine, max_steps=1))
    assert float((weights(asked.out)[WORDS] - weights(fine)[WORDS]).abs().max()) < 0.01


def test_pretraining_resumes_after_a_stop_during_tokenization_or_training(
    options: MakeOptions, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "PIECE", 100)
    whole = options(max_steps=4, base=str(base), lower_cased=0.5, whole_word_mask=True, out=tmp_path / "whole")
    cut = replace(whole, out=tmp_path / "cut", max_minutes=1e-6)
    assert pretrain(whole)
    for _ in range(3):
        assert not pretrain(cut)
        assert not list(cut.out.glob("checkpoint-*"))
    assert not pretrain(cut)
    assert [path.name for path in cut.out.glob("checkpoint-*")] == ["checkpoint-1"]
    assert pretrain(replace(cut, max_minutes=0.0))
    assert equal(whole.out, cut.out)
    assert sorted(file.name for file in cut.out.glob("tokens-*/*")) == ["ids.npy", "lengths.npy"]


def test_a_tokenizer_that_was_saved_only_partly_is_trained_again(
    options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_: Any, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "tokenizer.json").write_text("{")
        raise KeyboardInterrupt

    asked = options(vocab_size=300, max_steps=1, **SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(RobertaTokenizerFast, "save_pretrained", stopped)
        with pytest.raises(KeyboardInterrupt):
            pretrain(asked)
    assert pretrain(asked)


def test_a_bert_keeps_its_vocabulary(options: MakeOptions, bert: Path, tmp_path: Path) -> None:
    asked = options(base=str(bert), max_steps=1)
    assert pretrain(asked)
    (folder,) = asked.out.glob("tokens-*")
    own = AutoTokenizer.from_pretrained(bert)
    ids = corpus.load(folder, own)[0]["input_ids"]
    assert own.convert_ids_to_tokens([ids[0], ids[-1]]) == ["[CLS]", "[SEP]"]
    with pytest.raises(ModelBuildError, match="--whole-word-mask needs a byte-level tokenizer such as RoBERTa's"):
        pretrain(options(base=str(bert), whole_word_mask=True, out=tmp_path / "words"))


def test_other_options_are_refused_before_texts_are_tokenized(options: MakeOptions, base: Path) -> None:
    asked = options(base=str(base), max_steps=1)
    assert pretrain(asked)
    before = sorted(asked.out.rglob("*"))
    with pytest.raises(ModelBuildError, match="a run with another lower_cased: pass the values of that run"):
        pretrain(replace(asked, lower_cased=0.5))
    assert sorted(asked.out.rglob("*")) == before


def test_skipped_rows_are_printed_once(
    options: MakeOptions, messages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = write_rows(tmp_path / "bad.jsonl", {"text": "hello", "label": 0}, {"text": "a"})
    asked = options(data=[str(messages), str(bad)], vocab_size=300, max_steps=1, **SMALL)
    with pytest.raises(ModelBuildError, match=r"bad\.jsonl, line 2: .*--skip-bad-rows"):
        pretrain(asked)
    assert pretrain(replace(asked, skip_bad_rows=True))
    skipped = "skipped: bad.jsonl, line 2: label is None, not 0 or 1\n1 bad rows skipped.\n"
    assert capsys.readouterr().out.count(skipped) == 1


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (SMALL | {"hidden_size": 33, "vocab_size": 300}, "--hidden-size 33 is not a multiple of --num"),
        ({}, "pass --tokenizer FOLDER, or --vocab-size 32768"),
        ({"tokenizer": "no-such-folder"}, "no-such-folder is not a folder"),
        ({"base": "any", "vocab_size": 300}, "a base has its own tokenizer"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    options: MakeOptions, other: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelBuildError, match=message):
        pretrain(options(**other))


def test_a_trained_tokenizer_works_like_robertas() -> None:
    made = train_tokenizer((text for text, _ in sentences(300, seed=4)), 310)
    assert [made.bos_token_id, made.pad_token_id, made.eos_token_id, made.unk_token_id] == [0, 1, 2, 3]
    assert made.mask_token_id == 4
    assert made("the code")["input_ids"][0] == 0
    assert made.decode(made("naïve ☺ text")["input_ids"], skip_special_tokens=True) == "naïve ☺ text"


@pytest.mark.parametrize("whole_words", [False, True])
def test_15_percent_of_tokens_are_masked_and_no_special_tokens(tokenizer: Any, whole_words: bool) -> None:
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


def test_whole_words_are_masked(tokenizer: Any) -> None:
    ids = tokenizer("the unbuilt codebase is releasable")["input_ids"]
    begins = [token.startswith("Ġ") for token in tokenizer.convert_ids_to_tokens(ids)]
    mask = Masking(tokenizer, 0.3, seed=1, whole_words=True)
    seen: Counter[bool] = Counter()
    for draw in range(100):
        masked = (mask([{"input_ids": ids, "draw": draw}])["labels"][0] != -100).tolist()
        for index in range(2, len(ids) - 1):
            if not begins[index]:
                assert masked[index] == masked[index - 1]
                seen[masked[index]] += 1
    assert min(seen[True], seen[False]) > 20
