"""What a runtime must do to be measured, the list of all of them, and which of them a command line asks for."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, ClassVar, Protocol

from model_build.benchmark.ctranslate2_encoder import CTranslate2Int8
from model_build.benchmark.onnx_runtime import OrtFp32, OrtInt8Stock
from model_build.benchmark.open_vino import OpenVinoInt8
from model_build.benchmark.pytorch import TorchFp32, TorchInt8
from model_build.benchmark.served import Ours
from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import numpy.typing as npt

    from model_build.benchmark.folders import Folders


class Runtime(Protocol):
    """One way to run the classifier; `packages` are what it needs installed, by their names in the registry."""

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    settings: ClassVar[str]

    def __init__(self, folders: Folders, threads: int) -> None: ...

    @staticmethod
    def prepare(folders: Folders) -> None:
        """Write what the constructor loads; run once, in another process."""

    def logits(self, ids: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return a number for each label; this call is what is timed."""


RUNTIMES: tuple[type[Runtime], ...] = (
    TorchFp32,
    TorchInt8,
    OrtFp32,
    OrtInt8Stock,
    OpenVinoInt8,
    CTranslate2Int8,
    Ours,
)
NAMES = tuple(runtime.name for runtime in RUNTIMES)


def chosen(only: Iterable[str], without: Iterable[str]) -> list[type[Runtime]]:
    """Return the runtimes to measure; raises ModelBuildError if a name is unknown, or nothing is left."""
    if unknown := sorted((set(only) | set(without)) - set(NAMES)):
        raise ModelBuildError(f"there is no runtime {', '.join(unknown)}: the names are {', '.join(NAMES)}")
    wanted = set(only or NAMES) - set(without)
    if not wanted:
        raise ModelBuildError("--only and --without leave no runtime to measure: name fewer in --without")
    return [runtime for runtime in RUNTIMES if runtime.name in wanted]


def versions(runtimes: Iterable[type[Runtime]]) -> dict[str, str]:
    """Return the versions of all packages; raises ModelBuildError, naming the runtime, if one is not installed."""
    found = {}
    for runtime in runtimes:
        for package in runtime.packages:
            try:
                found[package] = version(package)
            except PackageNotFoundError as error:
                raise ModelBuildError(
                    f"{runtime.name} needs {package}, which is not installed here: `make benchmark` installs it; "
                    f"to go on without it, pass --without {runtime.name} (make benchmark WITHOUT={runtime.name})"
                ) from error
    return dict(sorted(found.items()))
