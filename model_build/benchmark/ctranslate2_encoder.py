"""CTranslate2: its converter and its encoder for RoBERTa, with the classification head, which it lacks, in numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from model_build.benchmark.folders import Folders

HEAD = ("dense.weight", "dense.bias", "out_proj.weight", "out_proj.bias")  # of RobertaClassificationHead


class CTranslate2Int8:
    """The head reads the first token alone: two small products, at full precision."""

    name: ClassVar[str] = "ctranslate2_int8"
    packages: ClassVar[tuple[str, ...]] = ("ctranslate2",)
    # On 2 threads at 12, 32, 128 and 512 tokens: 3.8, 6.5, 24.8 and 123 ms so; 10.6, 12.4, 21.8 and 73.9 ms with
    # OpenBLAS on one thread: on two it keeps the second core awake for short texts, and is in the way of long ones.
    settings: ClassVar[str] = (
        "TransformersConverter, quantization and compute type int8, head of two products in numpy, "
        "whose OpenBLAS has as many threads"
    )

    def __init__(self, folders: Folders, threads: int) -> None:
        import ctranslate2

        self._encoder = ctranslate2.Encoder(
            str(folders.ctranslate2), device="cpu", compute_type="int8", inter_threads=1, intra_threads=threads
        )
        with np.load(folders.ctranslate2 / "head.npz") as head:
            self._dense, self._dense_bias, self._out, self._out_bias = (head[name] for name in HEAD)

    @staticmethod
    def prepare(folders: Folders) -> None:
        """Convert the encoder; take the head out of the checkpoint."""
        import ctranslate2
        import transformers

        module = transformers.AutoModelForSequenceClassification.from_pretrained(folders.checkpoint)
        if module.config.model_type != "roberta":
            raise ModelBuildError(
                f"ctranslate2_int8 can be measured on a roberta only, and {folders.checkpoint} is a "
                f"{module.config.model_type}: pass --without ctranslate2_int8"
            )
        transformers.logging.set_verbosity_error()  # the pooler that it misses is not used
        converter = ctranslate2.converters.TransformersConverter(str(folders.checkpoint))
        converter.convert(str(folders.ctranslate2), quantization="int8")
        weights = module.classifier.state_dict()
        np.savez(folders.ctranslate2 / "head.npz", **{name: weights[name].numpy() for name in HEAD})

    def logits(self, ids: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the logits of one sequence, special tokens included."""
        states = np.array(self._encoder.forward_batch([list(ids)]).last_hidden_state)
        pooled = np.tanh(self._dense @ states[0, 0] + self._dense_bias)
        return np.asarray(self._out @ pooled + self._out_bias, dtype=np.float64)
