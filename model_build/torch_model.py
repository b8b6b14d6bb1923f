"""A checkpoint loaded into PyTorch at full precision: what every later form of the model is compared with.

Tokenizes with transformers rather than with the bot's own code, so that a difference there shows as well. Knows
nothing of ONNX.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers

from model_build.errors import ModelBuildError
from model_build.serving_form import FAMILIES, first_position
from model_build.source import toxic_labels
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_build.source import Source

BATCH = 16  # texts of like length; more do not fit into two cores' caches


class TorchModel:
    """Raises ModelBuildError if the checkpoint is of another kind or its labels do not say which are toxic.

    The temperature divides its logits, and a text of more tokens than the window does not fit, as in the bot's own
    classifier; without a window, it is all that the model can read.
    """

    def __init__(self, source: Source, toxic: Sequence[str] = (), temperature: float = 1.0, window: int = 0) -> None:
        self.config: Any = transformers.AutoConfig.from_pretrained(source.folder)
        if self.config.model_type not in FAMILIES:
            kinds = ", ".join(FAMILIES)
            raise ModelBuildError(f"{source.name} is a {self.config.model_type}; {kinds} can be built: pass another")
        self.activation = "sigmoid" if self.config.problem_type == "multi_label_classification" else "softmax"
        self.labels = [self.config.id2label[index] for index in range(self.config.num_labels)]
        self.toxic_labels = list(toxic_labels(self.labels, toxic or source.toxic_labels, self.activation))
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(source.folder, split_special_tokens=True)
        if not self.tokenizer.is_fast:
            raise ModelBuildError(f"the tokenizer of {source.name} has no fast form, so no tokenizer.json can be made")
        self._temperature = temperature
        positions: int = self.config.max_position_embeddings - first_position(self.config)
        self.max_length = window or positions
        # "eager" is the attention whose mask `serving_form` reads.
        self.module: Any = transformers.AutoModelForSequenceClassification.from_pretrained(
            source.folder, dtype=torch.float32, attn_implementation="eager"
        ).eval()

    def fits(self, text: str) -> bool:
        """Whether the folded text is one window, which is all that `toxicities` can score."""
        return len(self.tokenizer(fold(text), verbose=False)["input_ids"]) <= self.max_length

    def toxicities(self, texts: Sequence[str]) -> list[float]:
        """Return the probability that each text is toxic; each must fit into one window."""
        folded = [fold(text) for text in texts]
        order = sorted(range(len(folded)), key=lambda index: len(folded[index]))
        scores = [0.0] * len(folded)
        for start in range(0, len(order), BATCH):
            indices = order[start : start + BATCH]
            inputs = self.tokenizer([folded[index] for index in indices], padding=True, return_tensors="pt")
            with torch.inference_mode():
                logits = self.module(inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
            for index, score in zip(indices, self._toxicity(logits / self._temperature), strict=True):
                scores[index] = score
        return scores

    def _toxicity(self, logits: Any) -> list[float]:
        toxic = [self.labels.index(label) for label in self.toxic_labels]
        if self.activation == "softmax":
            return [float(score) for score in logits.softmax(-1)[:, toxic].sum(-1)]
        return [float(score) for score in logits.sigmoid()[:, toxic].amax(-1)]
