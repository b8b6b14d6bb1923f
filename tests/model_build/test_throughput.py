import json
from pathlib import Path

import pytest

from model_build.errors import ModelBuildError
from model_build.throughput import SCORERS, throughput
from tests.model_build.conftest import Built

OTHERS = ",".join(name for name in SCORERS if name != "ours")


def test_messages_a_second_are_printed(built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "chat.txt").write_text("hello there\n" * 200, encoding="utf-8")
    throughput(tmp_path / "chat.txt", lines=130, model=built.model, without=OTHERS)
    table, last = capsys.readouterr().out.rsplit("\n\n", 1)
    figures = json.loads(last)
    assert "130 messages of 2.0 words" in table
    assert f"| `ours` | {figures['rates']['ours'][0]:.0f}".replace(" ", "") in table.replace(" ", "")
    with pytest.raises(ModelBuildError, match="200 lines, fewer than --lines 300"):
        throughput(tmp_path / "chat.txt", lines=300, model=built.model)
    with pytest.raises(ModelBuildError, match=r"--without takes .* not detoxify"):
        throughput(tmp_path / "chat.txt", lines=130, model=built.model, without="detoxify")
