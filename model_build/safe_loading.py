"""Load a checkpoint with transformers, unless a file of it could run code.

A configuration can name Python modules, kernels and packages, which transformers imports; some of them without asking
(https://nvd.nist.gov/vuln/detail/CVE-2026-4372). Here such a checkpoint is refused before transformers reads it, and of
weights only safetensors are read. This was compared with the source of transformers 4.57.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

from model_build.errors import ModelBuildError
from model_build.manifest import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIGURATIONS = ("config.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json")
CODE = "makes transformers import Python code from the checkpoint or from a repository that it names"
REFUSED_KEYS = {
    "auto_map": CODE,
    "custom_pipelines": CODE,
    "trust_remote_code": "allows code of the checkpoint to run",
    "_auto_class": "copies the code of the model into what is saved",
    "use_kernels": "makes transformers load compiled code from the hub",
    "quantization_config": "makes transformers import what reads quantized weights; the build needs full precision",
    "attribute_map": "lets other keys stand for those that are refused here",
    "configuration_files": "names another configuration, which is not checked",
    "transformers_weights": "names another file of weights",
}  # fmt: skip
# Such as _attn_implementation_internal: a value like owner/repository downloads and imports that repository, and
# flash_attention_2 may do so. Sizes of convolutions, such as conv_kernel, are numbers.
CHOOSES_KERNEL = re.compile(r"implementation|kernel")
BUILT_IN_KERNELS = {"eager", "sdpa"}
REFUSED_FILES = {
    "adapter_config.json": "makes transformers load another checkpoint, unchecked: merge the adapter into its base",
    "custom_generate": "holds Python code: remove it",
}  # fmt: skip


def from_pretrained(kind: Any, folder: str | Path, **options: Any) -> Any:
    """Return what `kind.from_pretrained` makes of a folder; raises ModelBuildError if a file of it could run code."""
    folder = Path(folder)
    _refuse_code(folder)
    if kind not in (AutoConfig, AutoTokenizer):
        options["use_safetensors"] = True
    return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)


def _refuse_code(folder: Path) -> None:
    if not folder.is_dir():
        raise ModelBuildError(f"{folder} is no folder: pass one with a checkpoint or a tokenizer")
    for name, reason in REFUSED_FILES.items():
        if (folder / name).exists():
            raise ModelBuildError(f"{folder / name} {reason}, or pass another checkpoint")
    for name in CONFIGURATIONS:
        if (folder / name).is_file():
            _check_configuration(folder / name)
    if (index := folder / "model.safetensors.index.json").is_file():
        for _, key, value in _entries(read_json(index, "pass another checkpoint").get("weight_map")):
            if not re.fullmatch(r"[\w.-]+\.safetensors", str(value)):
                raise ModelBuildError(
                    f"{index}: {value}, which has {key}, is no file of safetensors beside it: pass another checkpoint"
                )


def _check_configuration(file: Path) -> None:
    configuration = read_json(file, "pass another checkpoint")
    for path, key, value in _entries(configuration):
        if key in REFUSED_KEYS:
            raise _refusal(file, path, REFUSED_KEYS[key])
        if CHOOSES_KERNEL.search(key):
            named = {one for one in (value, *(inside for _, _, inside in _entries(value))) if isinstance(one, str)}
            if unknown := named - BUILT_IN_KERNELS:
                raise _refusal(file, path, f"names {min(unknown)}, code that transformers may download and import")
        if key == "chat_template" and not isinstance(value, str | None):
            raise _refusal(file, path, "names files that saving the tokenizer would write")
    if file.name == "config.json":
        kind = configuration.get("model_type")
        if not isinstance(kind, str) or kind not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
            raise ModelBuildError(
                f"{file}: model_type is {kind}, of which transformers has no classifier: pass another checkpoint"
            )
    if (tokenizer := configuration.get("tokenizer_class")) is not None and not _is_tokenizer(tokenizer):
        raise ModelBuildError(
            f"{file}: tokenizer_class is {tokenizer}, no tokenizer of the installed transformers: name the right one, "
            "or PreTrainedTokenizerFast where there is a tokenizer.json"
        )


def _refusal(file: Path, path: str, reason: str) -> ModelBuildError:
    return ModelBuildError(
        f"{file}: the key {path} {reason}; remove it if the model needs no such thing, or pass another checkpoint"
    )


def _is_tokenizer(name: object) -> bool:
    """Whether AutoTokenizer would take a tokenizer by that name, rather than anything else that transformers has."""
    if not isinstance(name, str):
        return False
    found = tokenizer_class_from_name(f"{name}Fast") or tokenizer_class_from_name(name)
    # Deprecated ones may unpickle their vocabulary.
    return (
        isinstance(found, type)
        and issubclass(found, PreTrainedTokenizerBase)
        and ".deprecated." not in found.__module__
    )


def _entries(value: Any, path: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield the path, the key and the value of each entry of all objects, however deep."""
    pairs: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inside in pairs:
        below = f"{path}.{key}" if path else str(key)
        if isinstance(value, dict):
            yield below, key, inside
        yield from _entries(inside, below)
