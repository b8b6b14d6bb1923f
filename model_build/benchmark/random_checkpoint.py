"""A model directory comes in, a checkpoint of its shape with random weights comes out, so that no hub is needed.

Speed does not depend on what the weights are, only on how many there are: the shape is DistilRoBERTa's with the
model's own vocabulary, and must have as many parameters as the model says it has.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from pathlib import Path

SEED = 20260401  # any will do: two runs measure the same weights
LAYERS, HEADS, WIDTH, INNER_WIDTH = 6, 12, 768, 3072  # DistilRoBERTa's

# Wider than the 0.02 that training starts from, with which a layer hardly changes what it is given: the texts' logits
# would be all alike, and a broken runtime could not be told from a right one.
SPREAD = 0.05


def write_random_checkpoint(model: Path, folder: Path) -> None:
    """Write the checkpoint and the model's tokenizer into `folder`; raises ModelBuildError if the shape is another."""
    import torch
    import transformers

    fields = json.loads((model / "model.json").read_text(encoding="utf-8"))
    ids = fields["special_token_ids"]
    tokenizer = transformers.RobertaTokenizerFast(tokenizer_file=str(model / "tokenizer.json"))
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INNER_WIDTH,
        max_position_embeddings=fields["max_length"] + ids["pad"] + 1,  # RoBERTa counts from after the padding id
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        num_labels=len(fields["labels"]),
        initializer_range=SPREAD,
        bos_token_id=ids["bos"],
        eos_token_id=ids["eos"],
        pad_token_id=ids["pad"],
    )
    torch.manual_seed(SEED)
    module = transformers.RobertaForSequenceClassification(config)
    found = sum(parameter.numel() for parameter in module.parameters())
    if found != fields["parameters"]:
        raise ModelBuildError(
            f"{model} has {fields['parameters']:,} parameters, a DistilRoBERTa with its vocabulary has {found:,}: "
            "pass the checkpoint that it was built from with --source FOLDER"
        )
    module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
