"""On an emulated Haswell, AVX2 and no VNNI: the embedded model answers as it does here, a careless one is refused.

Needs QEMU, which root on Debian or Ubuntu gets installed; where that cannot be, CPUS_OPTIONAL=1 leaves these tests out.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from model_build import __main__ as build_command
from model_build import quantize
from model_build.cpus import messages
from model_build.cpus.__main__ import main
from model_build.cpus.cpu import haswell
from model_build.errors import ModelBuildError
from model_build.reference import TEXTS

if TYPE_CHECKING:
    from .conftest import Built


@pytest.fixture(scope="module", autouse=True)
def _emulator() -> None:
    try:
        haswell(Path())
    except ModelBuildError as error:
        if os.environ.get("CPUS_OPTIONAL") == "1":
            pytest.skip(f"CPUS_OPTIONAL=1: {error}")
        pytest.fail(f"{error} (or leave these tests out: CPUS_OPTIONAL=1)")


def test_f53_verdicts_are_the_same_without_vnni(tmp_path: Path) -> None:
    assert main(["--cpu", "haswell", "--record", str(tmp_path)]) == 0

    record = json.loads((tmp_path / "cpus.json").read_text(encoding="utf-8"))
    found = record["cpus"]["haswell"]
    assert found["messages"] == record["messages"]["number"] == len(messages.OWN)
    assert found["largest"] <= 0.02
    assert found["flips_elsewhere"] == 0
    assert found["products"]["matrices"] > 0
    assert found["products"]["largest_error"] == 0
    # 2 x 255 x 127 is cut off at 32,767, in each of 384 pairs: this is no CPU with VNNI.
    assert found["products"]["full_range"] == 255 * 127 * 768 - 32_767 * 384

    page = (tmp_path / "cpus.md").read_text(encoding="utf-8")
    assert f"{found['largest']:.5f}" in page
    assert not [text for text in messages.OWN if text in page + json.dumps(record, ensure_ascii=False)]


def test_f53_a_model_with_8_bit_weights_is_refused(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quantize, "REDUCE_RANGE", False)
    source = ["--source", str(built.checkpoint), "--name", "careless", "--licence", "MIT"]
    assert build_command.main([*source, "--out", str(tmp_path / "model")]) == 0
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    arguments = ["--messages", str(tmp_path / "texts.jsonl"), "--number", str(len(TEXTS))]
    assert main([*arguments, "--model", str(tmp_path / "model"), "--record", str(tmp_path / "record")]) == 1
    assert "8-bit products overflow" in capsys.readouterr().err
    assert not (tmp_path / "record").exists()
