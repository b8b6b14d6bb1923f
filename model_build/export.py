"""Step 1: a checkpoint comes in, the ONNX graph of its serving form at full precision and its tokenizer come out.

Optimum exports. Also writes down what the later steps must know, with PyTorch's scores of the reference texts, so that
none of them needs torch.
"""

from __future__ import annotations

import json
import logging
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING

import onnx
import torch
from optimum.exporters.onnx import onnx_export_from_model

from model_build.checkpoint import Checkpoint
from model_build.errors import ModelBuildError
from model_build.reference import TEXTS
from model_build.serving_form import to_serving_form
from model_build.torch_model import TorchModel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from model_build.source import Source

EXACT = 1e-5  # of toxicity; 32-bit rounding leaves about 1e-7
OPSET = 18  # the newest that both the exporter's tracer writes and onnxruntime's fusions know


def export(source: Source, folder: Path, toxic: Sequence[str] = ()) -> Checkpoint:
    """Write model.onnx, tokenizer.json and checkpoint.json into `folder`."""
    print(f"export: reading {source.name} ({source.revision})", flush=True)
    model = TorchModel(source, toxic)
    parameters = sum(parameter.numel() for parameter in model.module.parameters())
    reference = dict(zip(TEXTS, model.toxicities(TEXTS), strict=True))
    to_serving_form(model.module)
    difference = max(
        abs(found - expected) for found, expected in zip(model.toxicities(TEXTS), reference.values(), strict=True)
    )
    if not difference <= EXACT:
        raise ModelBuildError(
            f"the serving form differs by {difference:.1e} from the checkpoint: "
            "install the versions of requirements/build.txt"
        )
    folder.mkdir(parents=True, exist_ok=True)
    _trace(model, folder)
    backend = model.tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    # Without the indentation that it would be saved with, half the bytes to read at every start.
    compact = json.dumps(json.loads(backend.to_str()), ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(compact, encoding="utf-8")
    checkpoint = Checkpoint(
        source=source.name,
        revision=source.revision,
        licence=source.licence,
        labels=model.labels,
        toxic_labels=model.toxic_labels,
        activation=model.activation,
        max_length=model.max_length,
        special_token_ids={
            "bos": model.tokenizer.cls_token_id,
            "eos": model.tokenizer.sep_token_id,
            "pad": model.tokenizer.pad_token_id,
        },
        input_names=_input_names(folder / "model.onnx"),
        layers=model.config.num_hidden_layers,
        heads=model.config.num_attention_heads,
        hidden_size=model.config.hidden_size,
        parameters=parameters,
        reference=reference,
        versions={name: version(name) for name in ("torch", "transformers", "tokenizers", "optimum", "optimum-onnx")},
    )
    checkpoint.write(folder)
    print(
        f"export: {checkpoint.parameters:,} parameters, toxic labels: {', '.join(checkpoint.toxic_labels)}, "
        f"serving form within {difference:.1e}",
        flush=True,
    )
    return checkpoint


def _trace(model: TorchModel, folder: Path) -> None:
    logging.getLogger("optimum").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # Shapes that tracing turns into constants are checked by comparing scores, not by reading warnings.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        onnx_export_from_model(model.module, folder, task="text-classification", opset=OPSET, do_validation=False)


def _input_names(path: Path) -> list[str]:
    graph = onnx.load(path, load_external_data=False).graph
    weights = {initializer.name for initializer in graph.initializer}
    return [item.name for item in graph.input if item.name not in weights]
