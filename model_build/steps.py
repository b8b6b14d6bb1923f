"""What the build steps share: facts about the checkpoint, and the folder in which each step leaves its graph.

The export writes `checkpoint.json` beside its graph and every step hands it on, so that only the export needs torch.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import onnx

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_NAME = "checkpoint.json"

# The folders of the steps, in order.
FOLDERS = ("exported", "fused", "quantized", "optimized")

WEIGHTS = "model.onnx.data"  # beside the graph of the last step

# Products of 8-bit numbers as onnxruntime runs them: with a quantization of their own, or sharing one.
PRODUCTS = ("DynamicQuantizeMatMul", "MatMulIntegerToFloat")

# PyTorch scores these when a model is built; the served model must score them alike, at build time and later.
REFERENCE_TEXTS = (
    "Thanks a lot, the deployment went smoothly.",
    "Could you look at my pull request before lunch?",
    "You are an idiot.",
    "This is the dumbest idea I have ever read, you fool.",
    "Shut up, nobody wants to hear your stupid opinion.",
    "I disagree, but let us try it and measure.",
    "What a load of rubbish, did you even think before writing that?",
    "The build is broken again and I hate this flaky test.",
    "You people are pathetic losers.",
    "Happy birthday! 🎉 See you all at the party tonight.",
    "Damn, that was a hell of a good talk.",
    "Get lost, you are useless and everybody knows it.",
)


@dataclass(frozen=True)
class Checkpoint:
    """A sequence classifier: its origin, shape and labels, and PyTorch's scores of the reference texts."""

    source: str
    revision: str
    licence: str
    labels: list[str]
    toxic_labels: list[str]
    activation: str
    max_length: int
    special_token_ids: dict[str, int]
    input_names: list[str]
    layers: int
    heads: int
    hidden_size: int
    parameters: int
    reference: dict[str, float]
    versions: dict[str, str]

    def write(self, folder: Path) -> None:
        """Write the file into the folder of a step, last: it says that the step is complete."""
        (folder / FILE_NAME).write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Checkpoint:
        """Raises ModelBuildError if the step that writes this folder has not been run."""
        try:
            fields: dict[str, Any] = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ModelBuildError(
                f"{folder / FILE_NAME} is missing: run the steps in order, export, fuse, quantize, optimize, assemble"
            ) from error
        return cls(**fields)


@contextmanager
def step(before: Path, after: Path) -> Iterator[Checkpoint]:
    """Prepare the folder `after` for the graph of the next step; once that is written, copy what goes with it."""
    checkpoint = Checkpoint.read(before)
    after.mkdir(parents=True, exist_ok=True)
    (after / FILE_NAME).unlink(missing_ok=True)
    yield checkpoint
    shutil.copyfile(before / "tokenizer.json", after / "tokenizer.json")
    checkpoint.write(after)


def operators(folder: Path) -> Counter[str]:
    """Count the operators of a step's graph by kind."""
    graph = onnx.load(folder / "model.onnx", load_external_data=False).graph
    return Counter(node.op_type for node in graph.node)
