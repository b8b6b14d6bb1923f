"""Token ids come in, a batch with some of them masked comes out: single tokens or whole words, 15 % of them.

Masking is that of BERT (Devlin and others, 2019, https://arxiv.org/abs/1810.04805), drawn anew in each epoch as
RoBERTa has it (https://arxiv.org/abs/1907.11692). The draw depends on the batch alone, so that a run can go on after a
stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import DataCollatorForLanguageModeling

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerFast

SPACE = "Ġ"  # how a byte-level token that begins a word begins
MOST_DRAWS = 1 << 40  # one seed's draws are not the next seed's


class Masking(DataCollatorForLanguageModeling):  # type: ignore[misc]  # transformers has no types
    """Pads and masks a batch of examples with `input_ids` and `draw`.

    Raises ModelBuildError if whole words are wanted of a tokenizer whose tokens do not say where one begins.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, share: float, seed: int, *, whole_words: bool) -> None:
        # Of a masked word nothing is left as it was: transformers has no random words there.
        replaced = {"mask_replace_prob": 1.0, "random_replace_prob": 0.0} if whole_words else {}
        super().__init__(tokenizer, mlm_probability=share, whole_word_mask=whole_words, **replaced)
        self._seed = seed
        tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        self._special = torch.zeros(len(tokens), dtype=torch.bool)
        self._special[tokenizer.all_special_ids] = True
        self._begins = torch.tensor([token.startswith(SPACE) for token in tokens])
        if whole_words and not self._begins.any():
            raise ModelBuildError("--whole-words needs a byte-level tokenizer of RoBERTa's kind: leave it out")

    def torch_call(self, examples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return input_ids, attention_mask and labels, (batch, tokens); labels are -100 where nothing is masked."""
        self.generator = torch.Generator().manual_seed(self._seed * MOST_DRAWS + examples[0]["draw"])
        batch = super().torch_call([{"input_ids": example["input_ids"]} for example in examples])
        return dict(batch)

    def torch_mask_tokens(self, inputs: Any, special_tokens_mask: Any = None, offset_mapping: Any = None) -> Any:
        """Return ids and labels; which tokens are special and where words begin is read from the tokens themselves."""
        del special_tokens_mask
        if self.whole_word_mask:
            # Words are told apart by gaps between the tokens' places in the text, which nobody has kept.
            places = 2 * torch.arange(inputs.shape[1]).expand_as(inputs)
            offset_mapping = torch.stack([places + self._begins[inputs].long(), places + 2], dim=-1)
        return super().torch_mask_tokens(inputs, self._special[inputs], offset_mapping)
