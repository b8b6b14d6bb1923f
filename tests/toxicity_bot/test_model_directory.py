"""Reading `model.json`: each error names the file and says what to do."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from toxicity_bot.errors import ModelError
from toxicity_bot.model_directory import ModelDirectory

FIELDS: dict[str, Any] = json.loads((ROOT / "model" / "model.json").read_text(encoding="utf-8"))
SIZES = {"model.onnx": 5, "tokenizer.json": 7}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model directory with files of a few bytes. Only their sizes are checked here."""
    for name, size in SIZES.items():
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / "model.json").write_bytes(model_json())
    return tmp_path


def model_json(without: str = "", **changes: Any) -> bytes:
    """The committed model.json with the sizes of these files, and changes."""
    fields = FIELDS | {"files": {name: {"bytes": size} for name, size in SIZES.items()}} | changes
    fields.pop(without, None)
    return json.dumps(fields).encode()


@pytest.mark.parametrize(("maybe", "without"), [(0, ""), (0.3, ""), (0.8, ""), (0.3, "threshold_maybe")])
def test_the_lower_threshold_defaults_to_the_upper_one(folder: Path, maybe: float, without: str) -> None:
    (folder / "model.json").write_bytes(model_json(without, threshold=0.8, threshold_maybe=maybe))
    model = ModelDirectory.read(folder)
    assert (model.threshold, model.threshold_maybe) == (0.8, 0.8 if without else maybe)


@pytest.mark.failure(51)
@pytest.mark.parametrize(
    ("name", "left", "reason"),
    [
        *((name, None, "is missing.*make model") for name in ("model.onnx", "tokenizer.json", "model.json")),
        *((name, b"x", f"has 1 bytes where model.json records {size}.*make model") for name, size in SIZES.items()),
    ],
)
def test_a_missing_or_truncated_file_is_named(folder: Path, name: str, left: bytes | None, reason: str) -> None:
    (folder / name).unlink()
    if left:
        (folder / name).write_bytes(left)
    with pytest.raises(ModelError, match=reason) as caught:
        ModelDirectory.read(folder)
    assert caught.value.path == folder / name


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        *((content, r"model\.json cannot be read")
          for content in (b"{", b"\xff\xfe", b"[]", b"null", b'{"files": []}', b'{"files": {"model.onnx": 1}}')),
        *((model_json(without=field), rf"model\.json lacks '{field}'")
          for field in ("files", "labels", "threshold", "special_token_ids", "reference", "session")),
        *((model_json(**changes), reason) for changes, reason in (
            ({"activation": "tanh"}, "activation is 'tanh'"),
            ({"window": 2}, "window is 2, not 3 to the"),
            ({"toxic_labels": ["RUDE"]}, "RUDE"),
            ({"toxic_labels": []}, "toxic_labels"),
            ({"files": {"tokenizer.json": {"bytes": 7}}}, r"does not list model\.onnx"),
            ({"threshold": "high"}, "high"),
            ({"threshold": 7}, "from 0 to 1"),
            ({"threshold": float("nan")}, "from 0 to 1"),
            ({"threshold": 0.5, "threshold_maybe": 0.51}, "threshold_maybe is 0.51, not from 0 to .* 0.5"),
            ({"threshold_maybe": -0.1}, "threshold_maybe is -0.1, not from 0"),
            ({"threshold_maybe": float("nan")}, "threshold_maybe is nan, not from 0"),
            ({"threshold_maybe": "low"}, "low"),
            ({"threshold_maybe": None}, "model.json cannot be read"),
        )),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_an_unusable_model_json_is_refused(folder: Path, content: bytes, reason: str) -> None:
    (folder / "model.json").write_bytes(content)
    with pytest.raises(ModelError, match=reason):
        ModelDirectory.read(folder)
