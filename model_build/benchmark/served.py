"""The model directory, run by the very code that the bot serves it with."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from toxicity_bot.model_directory import ModelDirectory
from toxicity_bot.model_session import ModelSession

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from model_build.benchmark.folders import Folders


class Ours:
    """Its answer is probabilities rather than logits: the last, small step of serving is measured as well."""

    name: ClassVar[str] = "ours"
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    settings: ClassVar[str] = "lambda/model_session.py on model/, with the session that model.json asks for"

    def __init__(self, folders: Folders, threads: int) -> None:
        self._session = ModelSession(ModelDirectory.read(folders.model), threads)

    @staticmethod
    def prepare(folders: Folders) -> None:
        """Check that the model scores as its build recorded; raises ModelBuildError if it does not."""
        from model_build.verify import verify

        verify(folders.model)

    def logits(self, ids: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the probabilities of one sequence; the session puts the special tokens back itself."""
        return np.asarray(self._session.probabilities([ids[1:-1]])[0])
