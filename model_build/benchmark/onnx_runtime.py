"""onnxruntime on Optimum's export, at full precision and as Optimum quantizes it by default."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from model_build.benchmark.folders import Folders


class OrtFp32:
    """Optimum's export, with all of onnxruntime's own optimizations at load."""

    name: ClassVar[str] = "ort_fp32"
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime", "optimum-onnx")
    settings: ClassVar[str] = "Optimum's export at its default opset, all graph optimizations"

    def __init__(self, folders: Folders, threads: int) -> None:
        import onnxruntime

        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(self._graph(folders)), options, providers=["CPUExecutionProvider"]
        )

    @staticmethod
    def prepare(folders: Folders) -> None:
        """Export the checkpoint."""
        export(folders)

    def logits(self, ids: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the logits of one sequence, special tokens included."""
        (found,) = self._session.run(["logits"], as_inputs(ids))
        return np.asarray(found[0], dtype=np.float64)

    @staticmethod
    def _graph(folders: Folders) -> Path:
        return folders.exported / "model.onnx"


class OrtInt8Stock(OrtFp32):
    """What the article's recipe yields: the export, quantized with Optimum's preset."""

    name: ClassVar[str] = "ort_int8_stock"
    settings: ClassVar[str] = "ORTQuantizer, preset avx512_vnni, dynamic, one scale a matrix, all graph optimizations"

    @staticmethod
    def prepare(folders: Folders) -> None:
        """Export the checkpoint and quantize it."""
        export(folders)
        from optimum.onnxruntime import ORTQuantizer
        from optimum.onnxruntime.configuration import AutoQuantizationConfig

        # One scale a matrix is what Optimum's command line and documentation do; it is no slower than one a column.
        preset = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=False)
        quantizer = ORTQuantizer.from_pretrained(folders.exported, file_name="model.onnx")
        quantizer.quantize(save_dir=folders.stock, quantization_config=preset)

    @staticmethod
    def _graph(folders: Folders) -> Path:
        return folders.stock / "model_quantized.onnx"


def export(folders: Folders) -> None:
    """Write Optimum's export of the checkpoint, unless another runtime has asked for it before."""
    if folders.exported.exists():
        return
    import torch
    import transformers
    from optimum.exporters.onnx import onnx_export_from_model

    module = transformers.AutoModelForSequenceClassification.from_pretrained(folders.checkpoint, dtype=torch.float32)
    logging.getLogger("optimum").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # Whether the export computes the same is found out by its logits.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        onnx_export_from_model(module.eval(), folders.exported, task="text-classification", do_validation=False)


def as_inputs(ids: Sequence[int]) -> dict[str, npt.NDArray[np.int64]]:
    """Return one sequence as the inputs of the exported graph."""
    input_ids = np.array([ids], dtype=np.int64)
    return {"input_ids": input_ids, "attention_mask": np.ones_like(input_ids)}
