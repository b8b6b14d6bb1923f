"""Score text with a PyTorch checkpoint at full precision.

The build compares each later form of the model with these scores, and distillation learns from them. Transformers
tokenizes the texts, not the bot's own code, so the comparison would reveal a difference between the two. This module
does not use ONNX.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import transformers
from tqdm import tqdm

from model_build.errors import ModelBuildError
from model_build.safe_loading import from_pretrained
from model_build.serving_form import FAMILIES, first_position
from model_build.source import toxic_labels
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from model_build.source import Source

CPU_BATCH = 16  # texts of similar length; larger batches exceed the caches of two cores
GPU_BATCH = 64
TEACHER_MAX_LENGTH = 512  # tokens
LOG_INTERVAL = 60.0  # seconds between progress lines in a log; a terminal shows a moving bar


class Description(NamedTuple):
    """What the config.json of a classifier says."""

    config: Any
    activation: str
    labels: list[str]
    toxic_labels: list[str]


def read_description(source: Source, toxic: Sequence[str] = (), *, as_teacher: bool = False) -> Description:
    """Read the config.json of a classifier, without its weights. Raises ModelBuildError as `TorchModel` does."""
    config = from_pretrained(transformers.AutoConfig, source.folder)
    if not as_teacher and config.model_type not in FAMILIES:
        kinds = ", ".join(FAMILIES)
        raise ModelBuildError(f"{source.name} is a {config.model_type}, but only {kinds} can be built")
    exclusive = config.num_labels > 1 and config.problem_type != "multi_label_classification"
    activation = "softmax" if exclusive else "sigmoid"
    labels = [config.id2label[index] for index in range(config.num_labels)]
    found = list(toxic_labels(labels, toxic or source.toxic_labels, activation))
    return Description(config, activation, labels, found)


class TorchModel:
    """A sequence classifier.

    `temperature` divides the logits. `window` is the maximum number of tokens, as in the bot's own classifier; 0 means
    the model's maximum. With `as_teacher`, all architectures that transformers' Auto classes can load are accepted, and
    longer texts are truncated. Otherwise, only architectures that the build supports are accepted.

    Raises ModelBuildError for an unsupported architecture, for a tokenizer without a fast version, and if no label has
    a toxic name.
    """

    def __init__(
        self,
        source: Source,
        toxic: Sequence[str] = (),
        temperature: float = 1.0,
        window: int = 0,
        *,
        as_teacher: bool = False,
        device: str = "cpu",
    ) -> None:
        self._name = source.name
        self.config, self.activation, self.labels, self.toxic_labels = read_description(
            source, toxic, as_teacher=as_teacher
        )
        self.tokenizer: Any = from_pretrained(transformers.AutoTokenizer, source.folder, split_special_tokens=True)
        if not as_teacher and not self.tokenizer.is_fast:
            raise ModelBuildError(f"the tokenizer of {source.name} has no fast version, so it has no tokenizer.json")
        self._as_teacher, self._temperature, self._device = as_teacher, temperature, torch.device(device)
        # `serving_form` needs the mask of "eager" attention, which other architectures may not support.
        attention: dict[str, Any] = {} if as_teacher else {"attn_implementation": "eager"}
        self.module: Any = from_pretrained(
            transformers.AutoModelForSequenceClassification, source.folder, dtype=torch.float32, **attention
        )
        self.module.eval().to(self._device)
        positions = self._positions()
        self.max_length = min(window or positions, positions)

    def fits(self, text: str) -> bool:
        """Whether the folded text fits into the window. Without `as_teacher`, `toxicities` scores only such texts."""
        return len(self.tokenizer(fold(text), verbose=False)["input_ids"]) <= self.max_length

    def toxicities(self, texts: Sequence[str]) -> list[float]:
        """Return the toxicity of each text."""
        scores = np.full(len(texts), np.nan, dtype=np.float32)
        self.fill(texts, scores)
        return scores.tolist()

    def fill(
        self, texts: Sequence[str], scores: npt.NDArray[np.float32], until: float = float("inf"), progress: str = ""
    ) -> None:
        """Replace each NaN in `scores`, (texts,), with the toxicity of the text.

        Scoring stops once time.monotonic() passes `until`, and a later call can continue. `progress` is the label of
        the progress bar; without it, there is none.
        """
        missing = sorted(map(int, np.flatnonzero(np.isnan(scores))), key=lambda index: len(texts[index]))
        size = GPU_BATCH if self._device.type == "cuda" else CPU_BATCH
        starts = range(0, len(missing), size)
        interval = 0.1 if sys.stderr.isatty() else LOG_INTERVAL
        for start in tqdm(starts, progress, disable=not progress, unit_scale=size, mininterval=interval):
            batch = missing[start : start + size]
            scores[batch] = self._scores([fold(texts[index]) for index in batch])
            if time.monotonic() >= until:
                break

    def _scores(self, folded: list[str]) -> npt.NDArray[np.float32]:
        cut = {"truncation": True, "max_length": self.max_length} if self._as_teacher else {}
        inputs = self.tokenizer(folded, padding=True, return_tensors="pt", **cut).to(self._device)
        with torch.inference_mode():
            logits = self.module(inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits.float()
        logits = logits / self._temperature
        toxic = [self.labels.index(label) for label in self.toxic_labels]
        if self.activation == "softmax":
            found = logits.softmax(-1)[:, toxic].sum(-1)
        else:
            found = logits.sigmoid()[:, toxic].amax(-1)
        if not found.isfinite().all():  # NaN would mean that the text has not been scored yet
            raise ModelBuildError(
                f"{self._name} gives a text the score NaN, so its weights are wrong: pass another checkpoint"
            )
        return found.cpu().numpy()  # type: ignore[no-any-return]

    def _positions(self) -> int:
        if not self._as_teacher:
            return int(self.config.max_position_embeddings) - first_position(self.config)
        # RoBERTa and similar ones number positions from the padding id plus one, and only their table has that id.
        tables = (module for name, module in self.module.named_modules() if name.endswith("position_embeddings"))
        unused = max(
            (table.padding_idx + 1 for table in tables if getattr(table, "padding_idx", None) is not None), default=0
        )
        positions = getattr(self.config, "max_position_embeddings", 0)
        longest = positions - unused if positions > 0 else TEACHER_MAX_LENGTH  # -1 in XLNet, which has no limit
        return int(min(TEACHER_MAX_LENGTH, longest, self.tokenizer.model_max_length))
