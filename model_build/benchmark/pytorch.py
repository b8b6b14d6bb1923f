"""PyTorch as it is, and with its own dynamic 8-bit quantization of the linear layers."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from model_build.benchmark.folders import Folders

# Measured in int8 at 12, 32 and 128 tokens on one core with AVX-512 VNNI and AMX: onednn 8.8, 11.7 and 23.5 ms; x86,
# the default, 9.6, 13.4 and 35.0 ms; fbgemm 10.3, 14.1 and 36.0 ms.
FASTEST_ENGINE = "onednn"


class TorchFp32:
    """The checkpoint as transformers loads it, run eagerly."""

    name: ClassVar[str] = "torch_fp32"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers")
    settings: ClassVar[str] = "eager, attention through scaled_dot_product_attention, inference_mode"

    def __init__(self, folders: Folders, threads: int) -> None:
        import torch
        import transformers

        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        self._torch: Any = torch
        self._module: Any = transformers.AutoModelForSequenceClassification.from_pretrained(
            folders.checkpoint, dtype=torch.float32
        ).eval()

    @staticmethod
    def prepare(folders: Folders) -> None:
        """Load the checkpoint as it is."""

    def logits(self, ids: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the logits of one sequence, special tokens included."""
        input_ids = self._torch.tensor([ids])
        with self._torch.inference_mode():
            found = self._module(input_ids=input_ids, attention_mask=self._torch.ones_like(input_ids)).logits
        return np.asarray(found[0].numpy(), dtype=np.float64)


class TorchInt8(TorchFp32):
    """The same with its linear layers quantized while they run."""

    name: ClassVar[str] = "torch_int8"
    settings: ClassVar[str] = (
        f"torch.ao.quantization.quantize_dynamic of Linear, engine {FASTEST_ENGINE} where there is one"
    )

    def __init__(self, folders: Folders, threads: int) -> None:
        super().__init__(folders, threads)
        torch = self._torch
        if FASTEST_ENGINE in torch.backends.quantized.supported_engines:
            torch.backends.quantized.engine = FASTEST_ENGINE
        with warnings.catch_warnings():
            # PyTorch wants to move this to a package of its own; it is what people run today.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", UserWarning)
            self._module = torch.ao.quantization.quantize_dynamic(self._module, {torch.nn.Linear}, dtype=torch.qint8)
