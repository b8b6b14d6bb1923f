"""Kept scores: each text is scored once, whatever else is asked for with it, and a broken-off run goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from model_build.evaluate import kept_scores
from model_build.evaluate.contestants import Contestant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Lengths:
    """Scores a text by its length, and remembers which it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.breaks_at = ""

    def toxicities(self, texts: Sequence[str]) -> list[float]:
        if self.breaks_at in texts:
            raise KeyboardInterrupt
        self.asked += texts
        return [len(text) / 100 for text in texts]


@pytest.fixture
def lengths() -> Lengths:
    return Lengths()


@pytest.fixture
def contestant(lengths: Lengths) -> Contestant:
    return Contestant("lengths", "a fake", "a" * 64, 0, 0.5, lambda: lengths)


def test_a_text_is_scored_once(contestant: Contestant, lengths: Lengths, tmp_path: Path) -> None:
    assert kept_scores.scores(contestant, ["aaa", "b", "aaa"], tmp_path).tolist() == [0.03, 0.01, 0.03]
    assert kept_scores.scores(contestant, ["dd", "b"], tmp_path).tolist() == [0.02, 0.01]
    assert lengths.asked == ["b", "aaa", "dd"]


def test_another_model_has_scores_of_its_own(contestant: Contestant, lengths: Lengths, tmp_path: Path) -> None:
    kept_scores.scores(contestant, ["a"], tmp_path)
    kept_scores.scores(replace(contestant, checksum="b" * 64), ["a"], tmp_path)
    assert lengths.asked == ["a", "a"]


def test_a_run_that_broke_off_goes_on(
    contestant: Contestant, lengths: Lengths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_scores, "AT_ONCE", 2)
    monkeypatch.setattr(kept_scores, "KEPT_EVERY", 0)
    lengths.breaks_at = "cccc"
    texts = ["cccc", "a", "bb", "aaa"]
    with pytest.raises(KeyboardInterrupt):
        kept_scores.scores(contestant, texts, tmp_path)
    lengths.breaks_at = ""
    assert kept_scores.scores(contestant, texts, tmp_path).tolist() == [0.04, 0.01, 0.02, 0.03]
    assert lengths.asked == ["a", "bb", "aaa", "cccc"]


def test_no_text_is_kept(contestant: Contestant, tmp_path: Path) -> None:
    kept_scores.scores(contestant, ["a telling message"], tmp_path)
    (file,) = tmp_path.iterdir()
    assert b"telling" not in file.read_bytes()
