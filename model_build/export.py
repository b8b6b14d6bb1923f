"""Step 1: export a checkpoint to ONNX at full precision with Optimum; save its tokenizer and PyTorch's scores."""

from __future__ import annotations

import json
import logging
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING

import onnx
import torch
from optimum.exporters.onnx import onnx_export_from_model

from model_build.errors import ModelBuildError
from model_build.manifest import CHECKPOINT_NAME, REFERENCE_TEXTS, check_window, write_json
from model_build.serving_form import smooth, to_serving_form
from model_build.torch_model import TorchModel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from model_build.source import Source

MAX_DIFFERENCE = 1e-5  # of toxicity; 32-bit rounding causes about 1e-7
OPSET = 18  # the newest that both the exporter's tracer and onnxruntime's fusions support
PACKAGES = ("torch", "transformers", "tokenizers", "optimum", "optimum-onnx")


def export(source: Source, folder: Path, toxic: Sequence[str] = (), window: int | None = None) -> None:
    """Write model.onnx, tokenizer.json and checkpoint.json into `folder`.

    Raises ModelBuildError if `window`, which only `assemble` uses, is longer than the model's maximum.
    """
    print(f"export: reading {source.name} ({source.revision})", flush=True)
    model = TorchModel(source, toxic)
    check_window(window, model.max_length)
    if not all(map(model.fits, REFERENCE_TEXTS)):
        raise ModelBuildError(
            f"{source.name} reads {model.max_length} tokens, fewer than the longest text of the self-test has: "
            "pass a model with more positions"
        )
    parameters = sum(parameter.numel() for parameter in model.module.parameters())
    expected = model.toxicities(REFERENCE_TEXTS)
    to_serving_form(model.module)
    channels = smooth(model.module, lambda: model.toxicities(REFERENCE_TEXTS))
    found = model.toxicities(REFERENCE_TEXTS)
    difference = max(abs(one - other) for one, other in zip(found, expected, strict=True))
    if not difference <= MAX_DIFFERENCE:
        raise ModelBuildError(
            f"the model rewritten for serving differs from the checkpoint by {difference:.1e}: "
            "install the versions of requirements/build.txt"
        )
    folder.mkdir(parents=True, exist_ok=True)
    _write_graph(model, folder)
    _write_tokenizer(model, folder)
    facts = {
        "source": source.name,
        "revision": source.revision,
        "licence": source.licence,
        "labels": model.labels,
        "toxic_labels": model.toxic_labels,
        "activation": model.activation,
        "max_length": model.max_length,
        "special_token_ids": {
            name: getattr(model.tokenizer, f"{kind}_token_id")
            for name, kind in (("bos", "cls"), ("eos", "sep"), ("pad", "pad"))
        },
        "input_names": [given.name for given in onnx.load(folder / "model.onnx", load_external_data=False).graph.input],
        "layers": model.config.num_hidden_layers,
        "heads": model.config.num_attention_heads,
        "hidden_size": model.config.hidden_size,
        "parameters": parameters,
        "reference": dict(zip(REFERENCE_TEXTS, expected, strict=True)),
        "versions": {name: version(name) for name in PACKAGES},
    }
    write_json(folder / CHECKPOINT_NAME, facts)
    print(
        f"export: {parameters:,} parameters, toxic labels: {', '.join(model.toxic_labels)}, "
        f"{channels} large channels scaled in all layers, scores within {difference:.1e} of the checkpoint",
        flush=True,
    )


def _write_graph(model: TorchModel, folder: Path) -> None:
    logging.getLogger("optimum").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The tracer warns about shapes that become constants. The comparison of scores shows whether any matters.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        onnx_export_from_model(model.module, folder, task="text-classification", opset=OPSET, do_validation=False)


def _write_tokenizer(model: TorchModel, folder: Path) -> None:
    backend = model.tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    # No indentation, which halves the bytes to read at every start.
    compact = json.dumps(json.loads(backend.to_str()), ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(compact, encoding="utf-8")
