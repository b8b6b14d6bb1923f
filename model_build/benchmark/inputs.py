"""How long the measured texts are, and their token ids: drawn at random once, the same for every runtime."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from model_build.benchmark.folders import Folders

SEED = 20260401
# A remark, a message, a long message, all that the model reads at once; and how often each is measured on one number of
# threads: enough that the medians of both halves agree, and no more than minutes.
SAMPLES = {12: 100, 32: 100, 128: 60, 512: 20}


def sequences(folders: Folders, lengths: Iterable[int]) -> dict[int, Sequence[int]]:
    """Return ids by number of tokens, special ones included; raises ModelBuildError if the model reads fewer."""
    fields = json.loads((folders.model / "model.json").read_text(encoding="utf-8"))
    special = fields["special_token_ids"]
    first = max(special.values()) + 1
    end = Tokenizer.from_file(str(folders.model / "tokenizer.json")).get_vocab_size()
    if folders.checkpoint.is_dir():
        config = json.loads((folders.checkpoint / "config.json").read_text(encoding="utf-8"))
        end = min(end, config["vocab_size"])
    draw = random.Random(SEED)  # noqa: S311 - tokens, not secrets
    found: dict[int, Sequence[int]] = {}
    for tokens in lengths:
        if not 2 < tokens <= fields["max_length"]:
            raise ModelBuildError(f"the model reads 3 to {fields['max_length']} tokens, not {tokens}: pass --tokens")
        found[tokens] = [special["bos"], *(draw.randrange(first, end) for _ in range(tokens - 2)), special["eos"]]
    return found
