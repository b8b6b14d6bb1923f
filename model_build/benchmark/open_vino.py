"""OpenVINO on Optimum's export, quantized by NNCF after training."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from model_build.benchmark.onnx_runtime import as_inputs, export
from model_build.benchmark.reference_ids import reference_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from model_build.benchmark.folders import Folders


class OpenVinoInt8:
    """The precision between the matrix products is OpenVINO's own choice, bfloat16 on CPUs with AMX."""

    name: ClassVar[str] = "openvino_int8"
    packages: ClassVar[tuple[str, ...]] = ("openvino", "nncf")
    settings: ClassVar[str] = (
        "nncf.quantize for transformers, calibrated on the reference texts, latency hint, one stream, any length"
    )

    def __init__(self, folders: Folders, threads: int) -> None:
        _refuse_telemetry()
        import openvino

        hints = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads}
        compiled = openvino.Core().compile_model(folders.openvino / "model.xml", "CPU", hints)
        self._request: Any = compiled.create_infer_request()

    @staticmethod
    def prepare(folders: Folders) -> None:
        """Export the checkpoint, convert it, calibrate and quantize it."""
        _refuse_telemetry()
        export(folders)
        import nncf
        import openvino

        nncf.set_log_level(logging.ERROR)
        calibration = nncf.Dataset([as_inputs(ids) for ids in reference_ids(folders.checkpoint)])
        with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
            quantized = nncf.quantize(
                openvino.convert_model(folders.exported / "model.onnx"),
                calibration,
                model_type=nncf.ModelType.TRANSFORMER,
            )
        openvino.save_model(quantized, folders.openvino / "model.xml")

    def logits(self, ids: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the logits of one sequence, special tokens included."""
        outputs = self._request.infer(as_inputs(ids), share_inputs=True, share_outputs=True)
        return np.array(outputs["logits"][0], dtype=np.float64)  # a copy: the next call writes over its outputs


def _refuse_telemetry() -> None:
    """OpenVINO and NNCF report their use to their maker, but not from a continuous integration."""
    os.environ["CI"] = "true"
