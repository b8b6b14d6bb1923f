"""A classifier and texts come in, its probability of toxic for each text comes out: what a student learns from.

Any sequence classifier that the Auto classes of transformers load will do, of any size and number of labels, as long
as its labels say which of them are toxic.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from model_build.source import toxic_labels
from model_build.train.run import say
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from model_build.source import Source

BATCH = 64
LONGEST = 512  # tokens read of a text
TELL_EVERY = 60.0  # seconds


class Teacher:
    """Raises ModelBuildError if the checkpoint's labels do not say which are toxic; `toxic` names them otherwise."""

    def __init__(self, source: Source, toxic: Sequence[str] = (), *, cpu: bool = False) -> None:
        config: Any = AutoConfig.from_pretrained(source.folder)
        labels = [config.id2label[place] for place in range(config.num_labels)]
        one_of_them = config.num_labels > 1 and config.problem_type != "multi_label_classification"
        self._softmax = one_of_them
        named = toxic_labels(labels, toxic or source.toxic_labels, "softmax" if one_of_them else "sigmoid")
        self._toxic = [labels.index(label) for label in named]
        self._device = torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")
        self._tokenizer: Any = AutoTokenizer.from_pretrained(source.folder)
        self._model: Any = AutoModelForSequenceClassification.from_pretrained(source.folder, dtype=torch.float32)
        self._model.eval().to(self._device)
        # Some kinds count positions from the padding token's id plus one; for the others a token less does no harm.
        positions = getattr(config, "max_position_embeddings", LONGEST) - (config.pad_token_id or 0) - 1
        self._max_length = min(LONGEST, positions, self._tokenizer.model_max_length)

    def fill(self, texts: Sequence[str], found: npt.NDArray[np.float32], until: float = float("inf")) -> bool:
        """Put the probabilities, (texts,), where `found` has NaN; return False if time.monotonic passed `until`."""
        missing = [int(place) for place in np.flatnonzero(np.isnan(found))]
        missing.sort(key=lambda place: len(texts[place]))
        told = time.monotonic()
        for done, batch in _batches(missing):
            found[batch] = self._probabilities([fold(texts[place]) for place in batch])
            if time.monotonic() >= until:
                return False
            if time.monotonic() >= told + TELL_EVERY:
                told = time.monotonic()
                say(f"teacher: {done:,} of {len(missing):,} texts")
        return True

    def _probabilities(self, texts: list[str]) -> npt.NDArray[np.float32]:
        inputs = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self._max_length, return_tensors="pt"
        ).to(self._device)
        with torch.inference_mode():
            logits = self._model(**inputs).logits.float()
        shares = (
            logits.softmax(-1)[:, self._toxic].sum(-1) if self._softmax else logits.sigmoid()[:, self._toxic].amax(-1)
        )
        return shares.cpu().numpy().astype(np.float32)  # type: ignore[no-any-return]


def _batches(places: list[int]) -> Iterator[tuple[int, list[int]]]:
    for start in range(0, len(places), BATCH):
        batch = places[start : start + BATCH]
        yield start + len(batch), batch
