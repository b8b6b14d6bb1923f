"""A pretrained encoder with a WordPiece vocabulary comes in, the same encoder in RoBERTa's form over another vocabulary
comes out.

Each byte-level token begins as the mean of the pieces that spell it (fast vocabulary transfer: Gee and others, EMNLP
2022, https://aclanthology.org/2022.emnlp-industry.41). Layers are copied as they are; BERT and RoBERTa compute the
same.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import torch
from transformers import AutoConfig, AutoTokenizer, BertModel, RobertaConfig, RobertaForSequenceClassification

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from transformers import BertConfig, PreTrainedTokenizerFast

# RoBERTa counts positions from the padding token's id plus one.
FIRST_POSITION = 2


def transfer(
    encoder: Path, tokenizer: PreTrainedTokenizerFast, labels: tuple[str, str]
) -> RobertaForSequenceClassification:
    """Return the encoder in `encoder`, a folder with a BERT, as a RoBERTa that reads `tokenizer`'s tokens.

    Raises ModelBuildError if the folder holds another architecture.
    """
    pieces = AutoTokenizer.from_pretrained(encoder)
    config = AutoConfig.from_pretrained(encoder)
    if config.model_type != "bert" or config.position_embedding_type != "absolute":
        raise ModelBuildError(f"{encoder} holds no BERT with absolute positions: its vocabulary cannot be exchanged")
    bert = BertModel.from_pretrained(encoder, add_pooling_layer=False)
    model = RobertaForSequenceClassification(_config(bert.config, tokenizer, labels))
    with torch.no_grad():
        ours, theirs = model.roberta.embeddings, bert.embeddings
        ours.word_embeddings.weight.copy_(_words(theirs.word_embeddings.weight, pieces, tokenizer))
        ours.position_embeddings.weight[FIRST_POSITION:] = theirs.position_embeddings.weight
        ours.position_embeddings.weight[:FIRST_POSITION] = 0
        ours.token_type_embeddings.weight.copy_(theirs.token_type_embeddings.weight[:1])
        ours.LayerNorm.load_state_dict(theirs.LayerNorm.state_dict())
    # The modules have the same names in both.
    model.roberta.encoder.load_state_dict(bert.encoder.state_dict())
    return model


def spelling(text: str, pieces: PreTrainedTokenizerFast, vocabulary: Mapping[str, int]) -> list[int]:
    """Return the ids of the pieces that spell a token's text; none where it is half a character or a space alone."""
    word = text.strip().lower()
    if not word or "\ufffd" in word:
        return []
    whole, inside = _known(word, pieces), vocabulary.get(f"##{word}")
    if not whole and inside is None and len(word) == 1:
        # An emoji, say: its name in Unicode spells what it shows.
        return _known(unicodedata.name(word, "").lower(), pieces)
    if text.startswith(" ") or inside is None:
        return whole
    # Without a space before it, it stands inside a word or begins the text.
    return [inside, *whole] if len(whole) == 1 else [inside]


def _known(text: str, pieces: PreTrainedTokenizerFast) -> list[int]:
    return [id_ for id_ in pieces(text, add_special_tokens=False).input_ids if id_ != pieces.unk_token_id]


def _words(weights: torch.Tensor, pieces: PreTrainedTokenizerFast, tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    vectors = weights.mean(dim=0).repeat(len(tokenizer), 1)
    vocabulary = pieces.get_vocab()
    spelt = {id_: spelling(tokenizer.decode([id_]), pieces, vocabulary) for id_ in range(len(tokenizer))}
    for role in ("bos", "eos", "pad", "unk", "mask"):
        theirs = {"bos": "cls", "eos": "sep"}.get(role, role)
        spelt[getattr(tokenizer, f"{role}_token_id")] = [getattr(pieces, f"{theirs}_token_id")]
    for id_, spelling_ids in spelt.items():
        if spelling_ids:
            vectors[id_] = weights[spelling_ids].mean(dim=0)
    return vectors


def _config(bert: BertConfig, tokenizer: PreTrainedTokenizerFast, labels: tuple[str, str]) -> RobertaConfig:
    return RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=bert.hidden_size,
        num_hidden_layers=bert.num_hidden_layers,
        num_attention_heads=bert.num_attention_heads,
        intermediate_size=bert.intermediate_size,
        hidden_act=bert.hidden_act,
        max_position_embeddings=bert.max_position_embeddings + FIRST_POSITION,
        type_vocab_size=1,
        layer_norm_eps=bert.layer_norm_eps,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
