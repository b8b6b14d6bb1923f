"""The documented Ray Data example scores on two local workers."""

import itertools
import math
import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow import Table, parquet

from tests import ROOT
from toxicity_bot.classifier import Classifier


def test_the_ray_example_returns_the_bots_scores(tmp_path: Path, classifier: Classifier) -> None:
    texts = ["You are a stupid, useless dog.", "Thanks, that fixed it.", "Cela ne fonctionne pas du tout.", ""]
    (tmp_path / "in").mkdir()
    for part in range(2):
        parquet.write_table(Table.from_pydict({"text": texts, "part": [part] * 4}), tmp_path / "in" / f"{part}.parquet")
    paths = (ROOT / "docs" / "score_with_ray.py", tmp_path / "in", tmp_path / "out")
    command = [sys.executable, *map(str, paths), "2"]
    environ = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "RAY_USAGE_STATS_ENABLED": "0", "HOME": str(tmp_path)}
    subprocess.run(command, check=True, env=environ)
    rows = parquet.read_table(tmp_path / "out").to_pylist()
    verdicts = {text: classifier.verdict(text) for text in texts}
    assert sorted((row["part"], row["text"]) for row in rows) == sorted(itertools.product((0, 1), texts))
    for row in rows:
        verdict = verdicts[row["text"]]
        assert (row["verdict"], row["language"], row["model"]) == (verdict.outcome, verdict.language, classifier.name)
        score = math.nan if verdict.score is None else verdict.score
        assert row["toxicity"] == pytest.approx(score, abs=0, rel=0, nan_ok=True)
