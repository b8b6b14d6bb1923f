"""One form of the model, as a step left it, comes in; its size, its speed and its distance from PyTorch come out.

Every form is scored by the bot's own session, so that the table at the end of a build compares like with like.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import onnx

from model_build import manifest
from model_build.checkpoint import Checkpoint
from model_build.optimize import PRODUCTS
from toxicity_bot.message_text import fold
from toxicity_bot.model_directory import ModelDirectory
from toxicity_bot.model_session import ModelSession

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TOKENS = (12, 32, 128)  # a remark, a message, a long message; special tokens included
ROUNDS = 20  # of which the best counts: the machine may be shared
SHOWN_OPERATORS = (
    "MatMul",
    "MatMulInteger",
    *PRODUCTS,
    "MultiHeadAttention",
    "LayerNormalization",
    "Gelu",
)


@dataclass(frozen=True)
class Stage:
    """What a step is judged by; `difference` is the largest one of toxicity to PyTorch's, over the reference texts."""

    name: str
    nodes: int
    operators: dict[str, int]
    bytes: int
    milliseconds: dict[int, float]
    difference: float

    def as_json(self) -> dict[str, Any]:
        """Return the fields for `model.json`."""
        return asdict(self)


def measure(folder: Path) -> Stage:
    """Measure the model in a step's folder, on one thread."""
    checkpoint = Checkpoint.read(folder)
    fields = manifest.describe(checkpoint, folder, threshold=0.5, reference=checkpoint.reference, measured={})
    session = ModelSession(ModelDirectory.from_fields(folder, fields), threads=1)
    toxic = [checkpoint.labels.index(label) for label in checkpoint.toxic_labels]
    differences = []
    for text, expected in checkpoint.reference.items():
        probabilities = session.probabilities([session.encode(fold(text))[0]])[0, toxic]
        found = probabilities.sum() if checkpoint.activation == "softmax" else probabilities.max()
        differences.append(abs(float(found) - expected))
    kinds = Counter(node.op_type for node in onnx.load(folder / "model.onnx", load_external_data=False).graph.node)
    return Stage(
        name=folder.name,
        nodes=kinds.total(),
        operators={kind: kinds[kind] for kind in SHOWN_OPERATORS if kinds[kind]},
        bytes=sum(path.stat().st_size for path in folder.glob("model.onnx*")),
        milliseconds={
            tokens: _best_milliseconds(session, checkpoint, tokens)
            for tokens in TOKENS
            if tokens <= checkpoint.max_length
        },
        difference=max(differences),
    )


def table(stages: Sequence[Stage]) -> str:
    """Return the stages as lines to read, one each."""
    speeds = " ".join(f"{f'{tokens} tokens':>10}" for tokens in stages[0].milliseconds)
    lines = [f"{'step':<10} {'nodes':>5} {'MB':>6} {speeds}  difference  operators"]
    for stage in stages:
        speeds = " ".join(f"{milliseconds:>7.2f} ms" for milliseconds in stage.milliseconds.values())
        operators = ", ".join(f"{count} {kind}" for kind, count in stage.operators.items())
        size = f"{stage.bytes / 1e6:>6.1f}"
        lines.append(f"{stage.name:<10} {stage.nodes:>5} {size} {speeds}  {stage.difference:>10.6f}  {operators}")
    return "\n".join(lines)


def _best_milliseconds(session: ModelSession, checkpoint: Checkpoint, tokens: int) -> float:
    ids = [checkpoint.special_token_ids["eos"] + 1 + index for index in range(tokens - 2)]
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        session.probabilities([ids])
        best = min(best, time.perf_counter() - start)
    return round(best * 1000, 2)
