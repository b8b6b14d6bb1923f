"""What runs on the CPU that is compared: a request comes in by stdin, its answer goes out by stdout, both JSON.

Imports what the bot's image has and nothing else, since on arm64 there is nothing else. Texts are not printed.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from toxicity_bot.classifier import Classifier
from toxicity_bot.model_directory import ModelDirectory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class _Untested(Classifier):
    """Serves what its self-test may refuse: whoever asks compares all scores, and says what is wrong with them."""

    def _check_references(self) -> None:
        pass


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores, the seconds that all of them took, and the errors of the products where any are asked for."""
    model = Path(request["model"])
    product_errors = multiply(Path(request["products"]), ModelDirectory.read(model)) if request["products"] else {}
    classifier = _Untested(model, threads=1)
    start = time.perf_counter()
    scores = list(_score(classifier, request["texts"], request["name"]))
    return {
        "scores": scores,
        "seconds": time.perf_counter() - start,
        "architecture": platform.machine(),
        "product_errors": product_errors,
    }


def multiply(products: Path, model: ModelDirectory) -> dict[str, int]:
    """Return how far each product in the folder is from the exact one, with the session's settings of the model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for key, value in model.session_config.items():
        options.add_session_config_entry(key, value)
    session = onnxruntime.InferenceSession(str(products / "products.onnx"), options, ["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    with np.load(products / "inputs.npz") as inputs, np.load(products / "exact.npz") as exact:
        found = session.run(names, dict(inputs))
        return {
            name: int(np.abs(product.astype(np.int64) - exact[name]).max())
            for name, product in zip(names, found, strict=True)
        }


def _score(classifier: Classifier, texts: Sequence[str], name: str) -> Any:
    for number, text in enumerate(texts, start=1):
        yield classifier.toxicity(text)
        if number % 50 == 0:
            print(f"cpus: {name}: {number} of {len(texts)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
