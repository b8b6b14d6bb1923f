"""Parts under a size: a checkpoint comes back in 16 bits, a text line by line, and what is damaged is named."""

from __future__ import annotations

import json
import lzma
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from model_build.errors import ModelBuildError
from model_build.train.parts import join, split
from model_build.train.texts import files, lines

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 20_000


@pytest.fixture
def parts(base: Path, tmp_path: Path) -> Path:
    split(base, SIZE, tmp_path / "parts")
    return tmp_path / "parts"


def test_a_checkpoint_there_and_back(base: Path, parts: Path, tmp_path: Path) -> None:
    assert max(file.stat().st_size for file in parts.iterdir()) <= SIZE
    assert len(list(parts.glob("model.safetensors.*"))) > 1
    join(parts, tmp_path / "back")
    before, after = load_file(base / "model.safetensors"), load_file(tmp_path / "back" / "model.safetensors")
    assert {tensor.dtype for tensor in after.values()} == {torch.float16}
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name].half(), after[name]) for name in before)
    AutoModelForSequenceClassification.from_pretrained(tmp_path / "back")
    assert (
        AutoTokenizer.from_pretrained(tmp_path / "back").get_vocab() == AutoTokenizer.from_pretrained(base).get_vocab()
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.unlink(), r"model\.safetensors\.002 is missing from"),
        (
            lambda file: file.write_bytes(file.read_bytes()[:-1]),
            r"model\.safetensors\.002 has 19,999 bytes, not 20,000",
        ),
        (lambda file: file.write_bytes(file.read_bytes()[:-1] + b"?"), r"model\.safetensors\.002 is damaged"),
    ],
)
def test_a_bad_part_is_named_before_anything_is_written(
    parts: Path, tmp_path: Path, damage: object, message: str
) -> None:
    assert callable(damage)
    damage(parts / "model.safetensors.002")
    with pytest.raises(ModelBuildError, match=message):
        join(parts, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_manifest_that_points_elsewhere(parts: Path, tmp_path: Path) -> None:
    manifest = json.loads((parts / "manifest.json").read_text())
    manifest["files"]["../outside"] = manifest["files"].pop("config.json")
    (parts / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelBuildError, match="names a file outside its folder"):
        join(parts, tmp_path / "back")


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ModelBuildError, match=r"manifest\.json is missing or damaged"):
        join(tmp_path, tmp_path / "back")


@pytest.mark.parametrize("name", ["corpus.txt", "corpus.txt.xz", "rows.jsonl.xz"])
def test_a_text_is_cut_between_lines(tmp_path: Path, name: str) -> None:
    chance = np.random.default_rng(1)
    text = "".join(" ".join(map(str, chance.random(chance.integers(1, 9)))) + "\n" for _ in range(3000))
    whole = tmp_path / name
    whole.write_bytes(lzma.compress(text.encode()) if name.endswith(".xz") else text.encode())
    split(whole, SIZE, tmp_path / "parts")
    packed = sorted((tmp_path / "parts").glob("*.xz"))
    assert packed[0].name == f"{name.partition('.')[0]}.001.{name.split('.')[1]}.xz"
    assert len(packed) > 5
    assert max(file.stat().st_size for file in packed) <= SIZE
    assert "".join(lzma.decompress(file.read_bytes()).decode() for file in packed) == text
    join(tmp_path / "parts", tmp_path / "back")
    (back,) = (tmp_path / "back").iterdir()
    assert lzma.decompress(back.read_bytes()).decode() == text


def test_pretraining_reads_the_parts_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text("".join(f"{number}\n" for number in np.random.default_rng(1).random(2000)))
    split(tmp_path / "corpus.txt", SIZE // 4, tmp_path / "parts")
    found = list(lines(files([str(tmp_path / "parts" / "*.xz")])))
    assert found == (tmp_path / "corpus.txt").read_text().splitlines(keepends=True)


def test_a_line_that_is_larger_than_a_part(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_bytes(np.random.default_rng(1).bytes(500).hex().encode() + b"\n")
    with pytest.raises(ModelBuildError, match="a line that is larger than a part"):
        split(tmp_path / "corpus.txt", 200, tmp_path / "parts")


def test_a_weight_that_16_bits_cannot_hold(base: Path, tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "config.json").write_text("{}")
    save_file({"weight": torch.tensor([1e6])}, tmp_path / "large" / "model.safetensors")
    with pytest.raises(ModelBuildError, match=r"weight in .* has a value that 16 bits cannot hold"):
        split(tmp_path / "large", SIZE, tmp_path / "parts")


def test_what_cannot_be_split(base: Path, parts: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelBuildError, match="is not empty"):
        split(base, SIZE, parts)
    with pytest.raises(ModelBuildError, match="it is no finished checkpoint"):
        split(parts, SIZE, tmp_path / "other")
    (tmp_path / "rows.csv.xz").write_bytes(lzma.compress(b"text,label\na,1\n"))
    with pytest.raises(ModelBuildError, match=r"rows\.csv\.xz is a CSV: convert it to JSON lines first"):
        split(tmp_path / "rows.csv.xz", SIZE, tmp_path / "other")
    with pytest.raises(ModelBuildError, match="neither a checkpoint's folder nor a file"):
        split(tmp_path / "none", SIZE, tmp_path / "other")
