"""Load a checkpoint with transformers, but refuse files that could run code.

A configuration can name Python modules, kernels and packages that transformers imports, some without asking
(https://nvd.nist.gov/vuln/detail/CVE-2026-4372). This module refuses such a checkpoint before transformers reads it,
and reads weights only from safetensors. The checks are based on the source of transformers 4.57.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

from model_build.errors import ModelBuildError
from model_build.manifest import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator

INDEX = "model.safetensors.index.json"  # of weights in several files
CONFIGURATIONS = ("config.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json")
CODE = "makes transformers import Python code from the checkpoint or from a repository that it names"
REFUSED_KEYS = {
    "auto_map": CODE,
    "custom_pipelines": CODE,
    "trust_remote_code": "allows the checkpoint's code to run",
    "_auto_class": "copies the model's code into the saved checkpoint",
    "use_kernels": "makes transformers load compiled code from the hub",
    "quantization_config": "makes transformers import a quantization package; the build needs full precision",
    "attribute_map": "defines aliases for keys that are refused here",
    "configuration_files": "names another configuration file, which is not checked",
    "transformers_weights": "names another weights file",
}  # fmt: skip
# Keys such as _attn_implementation_internal. A value like owner/repository makes transformers download and import that
# repository, and flash_attention_2 may do the same. Keys such as conv_kernel have numbers, which are allowed.
KERNEL_KEY = re.compile(r"implementation|kernel")
BUILT_IN_KERNELS = {"eager", "sdpa"}
REFUSED_FILES = {
    "adapter_config.json": "makes transformers load another checkpoint without checks: merge the adapter into its base",
    "custom_generate": "contains Python code: remove it",
}  # fmt: skip


def from_pretrained(kind: Any, folder: str | Path, *, new_head: bool = False, **options: Any) -> Any:
    """Call `kind.from_pretrained` on a folder. With `new_head`, weights of the head and of poolers may be random.

    Raises ModelBuildError if a file in the folder could run code, or if the weights or tokenizer.json are incomplete.
    """
    folder = Path(folder)
    _refuse_code(folder)
    is_model = kind not in (AutoConfig, AutoTokenizer)
    if is_model:
        _refuse_missing_files(folder)
        # transformers only warns of missing weights and fills them in at random.
        options |= {"use_safetensors": True, "ignore_mismatched_sizes": True, "output_loading_info": True}
    try:
        found = kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
    except Exception as error:
        if type(error) not in (SafetensorError, Exception):  # tokenizers raises Exception itself
            raise
        raise ModelBuildError(
            f"{folder} has a damaged or incomplete file ({error}): copy or download it again"
        ) from error
    if not is_model:
        return found
    model, loaded = found
    random = {*loaded["missing_keys"], *loaded["mismatched_keys"]}
    if unfit := sorted(name for name in random if not (new_head and in_head(model, name))):
        raise ModelBuildError(
            f"{folder} lacks {len(unfit)} weights of a {type(model).__name__} or has them in another shape, such as "
            f"{unfit[0]}: pass a complete checkpoint; to give an encoder a head, run finetune first"
        )
    return model


def in_head(model: Any, name: str) -> bool:
    """Whether a weight belongs to the head, or to a pooler, which not every encoder has."""
    return not name.startswith(f"{model.base_model_prefix}.") or ".pooler." in name


def _refuse_missing_files(folder: Path) -> None:
    """Raise ModelBuildError if a file with weights is missing. transformers prefers `model.safetensors`."""
    if (folder / "model.safetensors").is_file():
        return
    remedy = "copy or download all files of the checkpoint again"
    for _, _, name in _entries(read_json(folder / INDEX, remedy).get("weight_map")):
        if not (folder / name).is_file():
            raise ModelBuildError(f"{folder / name} is missing: {remedy}")


def _refuse_code(folder: Path) -> None:
    if not folder.is_dir():
        raise ModelBuildError(f"{folder} is not a folder: pass one with a checkpoint or a tokenizer")
    for name, reason in REFUSED_FILES.items():
        if (folder / name).exists():
            raise ModelBuildError(f"{folder / name} {reason}, or pass another checkpoint")
    for name in CONFIGURATIONS:
        if (folder / name).is_file():
            _check_configuration(folder / name)
    if (index := folder / INDEX).is_file():
        for _, key, value in _entries(read_json(index, "pass another checkpoint").get("weight_map")):
            if not re.fullmatch(r"[\w.-]+\.safetensors", str(value)):
                raise ModelBuildError(
                    f"{index}: {value}, the file for {key}, is not a safetensors file in the same folder: pass another "
                    "checkpoint"
                )


def _check_configuration(file: Path) -> None:
    configuration = read_json(file, "pass another checkpoint")
    for path, key, value in _entries(configuration):
        if key in REFUSED_KEYS:
            raise _refusal(file, path, REFUSED_KEYS[key])
        if KERNEL_KEY.search(key):
            named = {one for one in (value, *(inside for _, _, inside in _entries(value))) if isinstance(one, str)}
            if unknown := named - BUILT_IN_KERNELS:
                raise _refusal(file, path, f"names {min(unknown)}, which transformers may download and import")
        if key == "chat_template" and not isinstance(value, str | None):
            raise _refusal(file, path, "names files that would be written when the tokenizer is saved")
    if file.name == "config.json":
        kind = configuration.get("model_type")
        if not isinstance(kind, str) or kind not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
            raise ModelBuildError(
                f"{file}: model_type is {kind}, for which transformers has no classifier: pass another checkpoint"
            )
    if (tokenizer := configuration.get("tokenizer_class")) is not None and not _is_tokenizer(tokenizer):
        raise ModelBuildError(
            f"{file}: tokenizer_class is {tokenizer}, not a tokenizer of the installed transformers: name "
            "another one, such as PreTrainedTokenizerFast if there is a tokenizer.json"
        )


def _refusal(file: Path, path: str, reason: str) -> ModelBuildError:
    return ModelBuildError(
        f"{file}: the key {path} {reason}; remove it if the model works without it, or pass another checkpoint"
    )


def _is_tokenizer(name: object) -> bool:
    """Whether AutoTokenizer resolves the name to a tokenizer class and not to another object of transformers."""
    if not isinstance(name, str):
        return False
    found = tokenizer_class_from_name(f"{name}Fast") or tokenizer_class_from_name(name)
    # Deprecated tokenizers may unpickle their vocabulary.
    return (
        isinstance(found, type)
        and issubclass(found, PreTrainedTokenizerBase)
        and ".deprecated." not in found.__module__
    )


def _entries(value: Any, path: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield the path, key and value of every entry in nested JSON objects."""
    pairs: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inside in pairs:
        below = f"{path}.{key}" if path else str(key)
        if isinstance(value, dict):
            yield below, key, inside
        yield from _entries(inside, below)
