from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from toxicity_bot.classifier import Classifier
from toxicity_bot.score_cache import ScoreCache

if TYPE_CHECKING:
    import pytest

    from tests.toxicity_bot.bot import Bot


def test_a_text_is_found_once_and_the_latest_are_kept() -> None:
    cache: ScoreCache[float] = ScoreCache("a", most=2)
    asked: list[str] = []

    def once(text: str) -> float:
        def find() -> float:
            asked.append(text)
            return float(len(asked))

        return cache.once(text, find)

    assert [once(text) for text in ("one", "two", "one", "three", "one", "two")] == [1, 2, 1, 3, 1, 4]
    assert asked == ["one", "two", "three", "two"], "two was the oldest when three came"
    assert (cache.hits, cache.misses) == (2, 4)
    assert cache.once("\ud800", lambda: 5.0) == 5, "half a character"


def test_what_is_not_to_be_kept_is_found_again() -> None:
    cache: ScoreCache[int] = ScoreCache("a")
    assert [cache.once("text", lambda: 1, keep=lambda _: False) for _ in range(2)] == [1, 1]
    assert cache.misses == 2


def test_a_repeated_text_has_the_same_verdict_without_the_model_and_no_text_is_kept(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Classifier(threads=1)
    text = "You are a stupid megalosaurus, and nobody here can stand you. " * 30
    verdict = fresh.verdict(text, seconds=60)
    assert (verdict.outcome, verdict.language) == ("toxic", "en")
    assert verdict.words
    assert verdict.windows > 1
    monkeypatch.setattr(fresh._session, "probabilities", None)
    assert fresh.verdict(text, seconds=60) == verdict
    # Another writing of the same words is the same text, but the words are quoted as they are written there.
    assert fresh.verdict(text.replace("You", "Yo\u200bu"), seconds=60).score == verdict.score
    assert (fresh.cache.hits, fresh.cache.misses) == (2, 1)
    assert fresh.verdict("Cela ne fonctionne pas du tout sur ma machine.").language == "fr"
    assert fresh.verdict(":tada:").language == ""
    kept = [*fresh.cache._found.values(), *fresh._heaviest._found.values()]
    strings = [one for item in kept for one in gc.get_referents(item) if isinstance(one, str)]
    assert strings == []


def test_the_worker_counts_scores_that_it_reused(bot: Bot) -> None:
    for _ in range(2):
        bot.deliver(bot.event(bot.say("You are a stupid iguanodon.")))
        bot.work()
    assert ("ScoresReused", "") in bot.record.counted()
