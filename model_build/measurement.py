"""Measure the result of a build step: operators, size, speed and distance from PyTorch.

Every step is scored by the bot's own session, so that their figures can be compared.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from model_build import manifest
from model_build.optimize import PRODUCTS
from model_build.steps import Checkpoint, operators
from toxicity_bot.message_text import fold
from toxicity_bot.model_directory import ModelDirectory
from toxicity_bot.model_session import ModelSession

if TYPE_CHECKING:
    from pathlib import Path

TOKENS = (12, 32, 128)  # a remark, a message, a long message; special tokens included
ROUNDS = 20  # the best one counts, since the machine may be shared
SHOWN_OPERATORS = ("MatMul", "MatMulInteger", *PRODUCTS, "MultiHeadAttention", "LayerNormalization", "Gelu")


def measure(folder: Path) -> dict[str, Any]:
    """Return the figures of a step's folder, on one thread, as `model.json` records them; print them as well.

    `difference` is the largest one from PyTorch's toxicity over the reference texts.
    """
    checkpoint = Checkpoint.read(folder)
    fields = manifest.describe(checkpoint, folder, threshold=0.5, reference=checkpoint.reference, measured={})
    session = ModelSession(ModelDirectory.from_fields(folder, fields), threads=1)
    kinds = operators(folder)
    found: dict[str, Any] = {
        "name": folder.name,
        "nodes": kinds.total(),
        "operators": {kind: kinds[kind] for kind in SHOWN_OPERATORS if kinds[kind]},
        "bytes": sum(path.stat().st_size for path in folder.glob("model.onnx*")),
        "milliseconds": {
            tokens: _best_milliseconds(session, checkpoint, tokens)
            for tokens in TOKENS
            if tokens <= checkpoint.max_length
        },
        "difference": max(
            abs(_toxicity(session, checkpoint, text) - expected) for text, expected in checkpoint.reference.items()
        ),
    }
    speed = ", ".join(f"{tokens} tokens in {taken} ms" for tokens, taken in found["milliseconds"].items())
    print(
        f"assemble: {found['name']}: {found['nodes']} operators, {found['bytes'] / 1e6:.1f} MB, {speed}, "
        f"largest difference from PyTorch {found['difference']:.6f}",
        flush=True,
    )
    return found


def _toxicity(session: ModelSession, checkpoint: Checkpoint, text: str) -> float:
    toxic = [checkpoint.labels.index(label) for label in checkpoint.toxic_labels]
    probabilities = session.probabilities([session.encode(fold(text))[0]])[0, toxic]
    return float(probabilities.sum() if checkpoint.activation == "softmax" else probabilities.max())


def _best_milliseconds(session: ModelSession, checkpoint: Checkpoint, tokens: int) -> float:
    ids = [checkpoint.special_token_ids["eos"] + 1 + index for index in range(tokens - 2)]
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        session.probabilities([ids])
        best = min(best, time.perf_counter() - start)
    return round(best * 1000, 2)
