"""A checkpoint that could run code is refused before transformers reads it. The error names the file and key.

Each hostile folder is also loaded with transformers itself, which must run the code to make the test valid.
"""

import ast
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from model_build.errors import ModelBuildError
from model_build.safe_loading import from_pretrained
from model_build.source import locate
from model_build.torch_model import TorchModel
from tests import ROOT
from tests.model_build.conftest import edit_json

# The safe loader must refuse the folder. transformers itself must run its code, once its prompts are answered.
PROGRAM = """
import pathlib, sys, transformers
from model_build.errors import ModelBuildError
from model_build.safe_loading import from_pretrained
kind, folder = getattr(transformers, sys.argv[1]), sys.argv[2]
try:
    from_pretrained(kind, folder)
except ModelBuildError as error:
    print(error)
assert not list(pathlib.Path().glob("ran*"))
kind.from_pretrained(folder).save_pretrained("saved")
"""
# The parts of the `kernels` package that transformers needs. get_kernel downloads a repository and imports it.
KERNELS = """
import pathlib, re
class Device: pass
class Mode:
    INFERENCE = TRAINING = TORCH_COMPILE = 1
class LayerRepository:
    def __init__(self, *_, **__): pass
def register_kernel_mapping(*_): pass
def replace_kernel_forward_from_hub(*_): pass
def use_kernel_forward_from_hub(*_): return lambda kind: kind
def get_kernel(repository, revision=None):
    pathlib.Path("ran").write_text(repository)
    raise RuntimeError
"""


@pytest.fixture
def hostile(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of a good checkpoint, a module that writes a file, and a fake `kernels` package."""
    folder = Path(shutil.copytree(checkpoint, tmp_path / "hostile"))
    AutoTokenizer.from_pretrained(checkpoint).save_pretrained(folder)
    (folder / "evil.py").write_text("import pathlib\npathlib.Path('ran').write_text('x')\nclass Evil: pass\n")
    (tmp_path / "kernels.py").write_text(KERNELS)
    (tmp_path / "kernels-0.9.dist-info").mkdir()
    (tmp_path / "kernels-0.9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: kernels\nVersion: 0.9\n")
    return folder


MODEL, TOKENIZER, CONFIG = "AutoModelForSequenceClassification", "AutoTokenizer", "AutoConfig"
CONFIG_FILE, TOKENIZER_FILE, INDEX_FILE = "config.json", "tokenizer_config.json", "model.safetensors.index.json"


@pytest.mark.parametrize(
    ("kind", "file", "entries", "key"),
    [
        (MODEL, CONFIG_FILE, {"_attn_implementation_internal": "evil/kernel"}, "_attn_implementation_internal"),
        (MODEL, CONFIG_FILE, {"_attn_implementation": "evil/kernel@main:run"}, "_attn_implementation"),
        (MODEL, CONFIG_FILE, {"attribute_map": {"x": "_attn_implementation_internal"}, "x": "a/b"}, "attribute_map"),
        (CONFIG, CONFIG_FILE, {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil"}}, "auto_map"),
        (CONFIG, CONFIG_FILE, {"configuration_files": ["config.4.0.0.json"]}, "configuration_files"),
        (TOKENIZER, TOKENIZER_FILE, {"tokenizer_class": "E", "auto_map": ["evil.Evil", None]}, "auto_map"),
        (TOKENIZER, TOKENIZER_FILE, {"tokenizer_class": "AutoProcessor"}, "tokenizer_class"),
        (TOKENIZER, TOKENIZER_FILE, {"chat_template": [{"name": "../../ran", "template": "x"}]}, "chat_template"),
    ],
)  # fmt: skip
def test_code_that_transformers_would_run_is_refused(
    hostile: Path, kind: str, file: str, entries: dict[str, Any], key: str
) -> None:
    edit_json(hostile / file, **entries)
    edit_json(hostile / "config.4.0.0.json", model_type="evil", auto_map={"AutoConfig": "evil.Evil"})
    edit_json(hostile / "processor_config.json", processor_class="Evil", auto_map={"AutoProcessor": "evil.Evil"})
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind, str(hostile)],
        cwd=hostile.parent,
        env={"PYTHONPATH": f"{hostile.parent}:{ROOT}", "HF_HUB_OFFLINE": "1", "HF_HOME": str(hostile.parent / "home")},
        input="y\n" * 5,
        capture_output=True,
        text=True,
        timeout=600,  # for a machine that is busy with training
        check=False,
    )
    assert list(hostile.parent.glob("ran*")), f"transformers must run the code:\n{done.stderr}"
    assert done.stdout.startswith(f"{hostile / file}: "), done.stderr
    assert key in done.stdout


@pytest.mark.parametrize(
    ("file", "entries", "key"),
    [
        (CONFIG_FILE, {"text_config": {"inner": [{"_attn_implementation_internal": "a/b"}]}}, "text_config.inner.0."),
        (CONFIG_FILE, {"attn_implementation": {"": "evil/kernel"}}, "attn_implementation"),
        (CONFIG_FILE, {"_attn_implementation": "flash_attention_2"}, "_attn_implementation"),
        (CONFIG_FILE, {"use_kernels": True}, "use_kernels"),
        (CONFIG_FILE, {"kernel_config": {"RMSNorm": "evil/kernel"}}, "kernel_config"),
        (CONFIG_FILE, {"quantization_config": {"quant_method": "mxfp4"}}, "quantization_config"),
        (CONFIG_FILE, {"transformers_weights": "../other.safetensors"}, "transformers_weights"),
        (CONFIG_FILE, {"custom_pipelines": {"x": {"impl": "evil.Evil"}}}, "custom_pipelines"),
        (CONFIG_FILE, {"model_type": "rag"}, "model_type"),
        (CONFIG_FILE, {"model_type": ["roberta"]}, "model_type"),
        (CONFIG_FILE, {"tokenizer_class": "RagTokenizer"}, "tokenizer_class"),
        (TOKENIZER_FILE, {"tokenizer_class": "TransfoXLTokenizer"}, "tokenizer_class"),
        ("generation_config.json", {"auto_map": {}}, "auto_map"),
        ("adapter_config.json", {"base_model_name_or_path": "evil/base"}, "adapter"),
        ("custom_generate/generate.py", {}, "Python code"),
        (INDEX_FILE, {"weight_map": {"w": "pytorch_model.bin"}}, "pytorch_model.bin"),
        (INDEX_FILE, {"weight_map": {"w": "../other.safetensors"}}, "../other.safetensors"),
    ],
)  # fmt: skip
def test_other_ways_to_run_code_or_load_unchecked_files_are_refused(
    hostile: Path, file: str, entries: dict[str, Any], key: str
) -> None:
    (hostile / file).parent.mkdir(exist_ok=True)
    edit_json(hostile / file, **entries)
    with pytest.raises(ModelBuildError, match=f"{file.partition('/')[0]}.*{key}.*(pass|name)"):
        TorchModel(locate(str(hostile)), as_teacher=True)


@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000, "\xff"])
def test_an_invalid_configuration_is_refused_in_one_sentence(hostile: Path, content: str) -> None:
    (hostile / CONFIG_FILE).write_text(content, encoding="latin-1")
    with pytest.raises(ModelBuildError, match=r"config\.json .*: pass another checkpoint$"):
        from_pretrained(AutoConfig, hostile)


@pytest.mark.parametrize(
    ("kind", "file"), [(AutoTokenizer, "tokenizer.json"), (AutoModelForSequenceClassification, "model.safetensors")]
)
def test_an_incomplete_file_is_refused_in_one_sentence(hostile: Path, kind: Any, file: str) -> None:
    (hostile / file).write_bytes((hostile / file).read_bytes()[:-2])
    with pytest.raises(ModelBuildError, match=r"/hostile has a damaged or incomplete file \(.*\): copy or download it"):
        from_pretrained(kind, hostile)


@pytest.mark.parametrize(
    ("name", "is_in_head"), [("classifier.dense.bias", True), ("encoder.layer.1.output.dense.bias", False)]
)
def test_no_weights_are_random_except_those_of_a_new_head(hostile: Path, name: str, is_in_head: bool) -> None:
    weights = load_file(hostile / "model.safetensors")
    (full,) = (key for key in weights if key.endswith(name))
    del weights[full]
    for of_another_shape in ({}, {full: torch.zeros(3)}):
        save_file(weights | of_another_shape, hostile / "model.safetensors", {"format": "pt"})
        for new_head in (False, True):
            if is_in_head and new_head:
                from_pretrained(AutoModelForSequenceClassification, hostile, new_head=True)
                continue
            with pytest.raises(ModelBuildError, match=f"lacks 1 weights of a Roberta.* {full}: pass a complete"):
                from_pretrained(AutoModelForSequenceClassification, hostile, new_head=new_head)


def test_a_missing_part_of_the_weights_is_named(hostile: Path, checkpoint: Path) -> None:
    (hostile / "model.safetensors").unlink()
    AutoModelForSequenceClassification.from_pretrained(checkpoint).save_pretrained(hostile, max_shard_size="20KB")
    from_pretrained(AutoModelForSequenceClassification, hostile)
    part = max(hostile.glob("*.safetensors"))
    part.unlink()
    for missing in (part.name, INDEX_FILE):
        with pytest.raises(ModelBuildError, match=f"{missing} is missing: copy or download all files"):
            TorchModel(locate(str(hostile)))
        (hostile / INDEX_FILE).unlink(missing_ok=True)


def test_the_content_of_good_checkpoints_is_accepted(hostile: Path) -> None:
    edit_json(
        hostile / CONFIG_FILE, _attn_implementation="sdpa", conv_kernel=[10, 3], _name_or_path="a/b", _num_labels=2
    )
    edit_json(hostile / TOKENIZER_FILE, chat_template="{{ messages }}")
    from_pretrained(AutoModelForSequenceClassification, hostile)
    assert from_pretrained(AutoTokenizer, hostile).is_fast
    with pytest.raises(ModelBuildError, match="is not a folder"):
        from_pretrained(AutoTokenizer, "owner/name")


class Pickled:
    """Writes a file when unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[object, tuple[Path, str]]:
        return Path.write_text, (self._file, "x")


def test_pickled_weights_are_never_read(hostile: Path) -> None:
    ran = hostile.parent / "ran"
    (hostile / "pytorch_model.bin").write_bytes(pickle.dumps(Pickled(ran)))
    from_pretrained(AutoModelForSequenceClassification, hostile)
    (hostile / "model.safetensors").unlink()
    with pytest.raises(ModelBuildError, match=r"no model\.safetensors, and pickled weights"):
        locate(str(hostile))
    with pytest.raises(ModelBuildError, match=r"model\.safetensors"):
        from_pretrained(AutoModelForSequenceClassification, hostile)
    assert not ran.exists()
    torch.save({"cpu": Pickled(ran)}, hostile / "rng_state.pth")
    # The Trainer reads it like this: https://nvd.nist.gov/vuln/detail/CVE-2026-1839
    with pytest.raises(pickle.UnpicklingError):
        torch.load(hostile / "rng_state.pth")
    assert not ran.exists()


def test_only_the_safe_loader_calls_from_pretrained() -> None:
    calls = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "model_build").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "from_pretrained"
    }
    assert calls == {"model_build/safe_loading.py", "model_build/benchmark.py"}, "benchmark.py calls ORTQuantizer's"
