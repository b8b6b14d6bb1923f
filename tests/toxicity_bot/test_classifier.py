"""The classifier with the committed model: reference scores, windows, words and invalid models."""

import gc
import json
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

import toxicity_bot
from tests import ROOT, run
from tests.toxicity_bot.bot import Bot
from toxicity_bot.classifier import Classifier
from toxicity_bot.errors import ModelError, NotEnglishWarning
from toxicity_bot.heaviest_words import remove_words
from toxicity_bot.message_text import fold
from toxicity_bot.score_cache import ScoreCache

MODEL = ROOT / "model"
FIELDS: dict[str, Any] = json.loads((MODEL / "model.json").read_text(encoding="utf-8"))
REFERENCE = [(row["text"], row["toxicity"]) for row in FIELDS["reference"]["scores"]]

FRIENDLY = "we looked at the deployment plan and agreed to merge the change after the review tomorrow"
INSULT = "You are a stupid idiot."


def changed_model(folder: Path, **changes: Any) -> Path:
    """A model directory with the committed files and a changed `model.json`."""
    for name in FIELDS["files"]:
        (folder / name).symlink_to(MODEL / name)
    reference = FIELDS["reference"] | {"tolerance": 1.0}
    (folder / "model.json").write_text(json.dumps(FIELDS | {"reference": reference} | changes), encoding="utf-8")
    return folder


def test_the_package_offers_the_classifier_and_nothing_else() -> None:
    assert toxicity_bot.Classifier is Classifier
    with pytest.raises(AttributeError, match="has no attribute 'Judge'"):
        _ = toxicity_bot.Judge


@pytest.mark.failure(53)
@pytest.mark.parametrize(("text", "recorded"), REFERENCE)
def test_reference_scores_are_reproduced(classifier: Classifier, text: str, recorded: float) -> None:
    assert classifier.toxicity(text) == pytest.approx(recorded, abs=FIELDS["reference"]["tolerance"])


def test_scores_has_every_label_and_agrees_with_toxicity(classifier: Classifier) -> None:
    scores = classifier.scores(INSULT)
    assert list(scores) == FIELDS["labels"]
    assert sum(scores.values()) == pytest.approx(1)
    assert classifier.toxicity(INSULT) == pytest.approx(sum(scores[label] for label in FIELDS["toxic_labels"]))
    assert classifier.toxicity(INSULT) > classifier.threshold > classifier.toxicity(FRIENDLY)


@pytest.mark.failure(39)
def test_an_insult_is_found_at_every_position_in_a_long_text(tmp_path: Path) -> None:
    short = Classifier(changed_model(tmp_path, window=24), threads=1)
    words = (FRIENDLY + " ").split() * 2
    friendly = short.toxicity(" ".join(words))
    assert friendly < short.threshold
    for place in range(len(words) + 1):
        text = " ".join([*words[:place], INSULT, *words[place:]])
        assert short.toxicity(text) > 5 * friendly, f"missed as word {place}"


def test_a_second_window_starts_when_the_first_is_full(tmp_path: Path) -> None:
    short = Classifier(changed_model(tmp_path, window=10, threshold=0.8, threshold_maybe=0.3), threads=1)
    assert (short.window, short.threshold, short.threshold_maybe) == (10, 0.8, 0.3)
    assert [short.assess(" ".join(["the"] * count)).windows for count in (1, 8, 9, 15, 16)] == [1, 1, 2, 2, 3]


def test_independent_labels_take_the_maximum_and_exclusive_labels_add_up(tmp_path: Path) -> None:
    def loaded(activation: str) -> Classifier:
        (folder := tmp_path / activation).mkdir()
        return Classifier(changed_model(folder, toxic_labels=FIELDS["labels"], activation=activation), threads=1)

    sigmoid = loaded("sigmoid")
    assert sigmoid.toxicity(INSULT) == max(sigmoid.scores(INSULT).values()) < 1
    assert loaded("softmax").toxicity(INSULT) == pytest.approx(1)


@pytest.mark.failure(53)
def test_scores_do_not_depend_on_graph_optimizations(tmp_path: Path) -> None:
    plain = {"graph_optimization": "ORT_DISABLE_ALL", "config": {}}
    slow = Classifier(changed_model(tmp_path, session=plain), threads=1)
    assert slow.toxicity(INSULT) == pytest.approx(Classifier(threads=1).toxicity(INSULT), abs=0.02)


@pytest.mark.failure(51)
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        # An ONNX file cannot be loaded as onnxruntime's own format.
        ({"session": {"graph_optimization": "ORT_ENABLE_ALL", "config": {"session.load_model_format": "ORT"}}},
         r"model\.onnx cannot be loaded"),
        ({"session": {"graph_optimization": "ORT_ENABLE_MAGIC", "config": {}}},
         r"model\.onnx cannot be loaded .*ORT_ENABLE_MAGIC"),
        ({"input_names": ["input_ids"]}, r"model\.onnx has the inputs .*attention_mask.* where model.json records"),
        # The references include scores far from 0.5, because a score of 0.5 is the same with the labels swapped.
        ({"reference": FIELDS["reference"], "toxic_labels": [*{*FIELDS["labels"]}.difference(FIELDS["toxic_labels"])]},
         "scores a reference text"),
    ],
)  # fmt: skip
def test_a_model_that_does_not_match_its_model_json_is_refused(
    changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=reason):
        Classifier(changed_model(tmp_path, **changes))


@pytest.mark.failure(51)
@pytest.mark.parametrize(
    ("name", "reason"), [("model.onnx", "cannot be loaded"), ("tokenizer.json", "is not a tokenizer")]
)
def test_a_damaged_file_of_the_same_size_is_refused(name: str, reason: str, tmp_path: Path) -> None:
    folder = changed_model(tmp_path)
    (folder / name).unlink()
    with (folder / name).open("wb") as file:
        file.truncate(FIELDS["files"][name]["bytes"])  # a sparse file of zeros
    with pytest.raises(ModelError, match=f"{name} {reason}"):
        Classifier(folder)


@pytest.mark.failure(52)
def test_the_classifier_uses_no_network_and_no_build_libraries() -> None:
    program = f"""
import sys
def refuse(event, arguments):
    if event.startswith("socket."):
        raise OSError("network: " + event)
sys.addaudithook(refuse)
from toxicity_bot.classifier import Classifier
assert Classifier({str(MODEL)!r}).toxicity({INSULT!r}) > 0.5
unwanted = {{"torch", "transformers", "optimum", "huggingface_hub", "onnx", "model_build"}} & set(sys.modules)
assert not unwanted, unwanted
"""
    done = run("-c", program)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.failure(37)
@pytest.mark.parametrize(
    "text",
    ["", " \n\u200b", ":tada: \U0001f389", "http", "@user", "100 %", "&nbsp; &shy;", "https://example.com/you-idiot"],
)
def test_a_text_without_words_is_not_judged_and_does_not_reach_the_model(
    classifier: Classifier, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "_session", None)
    assert "no words" in classifier.verdict(text).reason
    if not text.strip(" \n\u200b"):
        with pytest.raises(ValueError, match="no text to judge"):
            classifier.assess(text)


@pytest.mark.failure(86, 88)
@pytest.mark.parametrize(
    "text",
    ["\U0001f595\U0001f595\U0001f595", ":clown_face:", "\u00af\\_(\u30c4)_/\u00af", "(^_^)",
     "(\u256f\u00b0\u25a1\u00b0)\u256f\ufe35 \u253b\u2501\u253b"],
)  # fmt: skip
def test_insulting_emoji_and_emoticons_are_judged(classifier: Classifier, text: str) -> None:
    assert classifier.verdict(text).score is not None
    assert "clown_face" in text or (classifier.verdict(text).words == ("\U0001f595",)) == ("\U0001f595" in text)


@pytest.mark.failure(85)
@pytest.mark.parametrize(
    ("text", "words", "others"),
    [
        ("You stupid idiot, get lost", {"stupid", "idiot"}, {"You", "get"}),
        ('You("stupid", $(HOME)); <b>idiot</b>', {"stupid", "idiot"}, {"HOME", "b", 'You("stupid'}),
        ("My neighbours from Mexico are idiots", {"idiots"}, {"Mexico", "neighbours"}),
        ("Gay people and Muslims are disgusting scum", {"scum"}, {"Gay", "people", "Muslims"}),
        ("Karen from Nigeria is a fucking moron", {"fucking", "moron"}, {"Karen", "Nigeria"}),
        ("go away, Mr Tolliver, you worthless clown", {"worthless", "clown"}, {"Tolliver", "Mr"}),
    ],
)
def test_the_words_quoted_in_a_verdict_are_the_ones_that_cause_it(
    classifier: Classifier, text: str, words: set[str], others: set[str]
) -> None:
    verdict = classifier.verdict(text)
    assert words <= set(verdict.words), verdict.words
    assert not others & set(verdict.words)
    assert verdict.rest is not None
    assert verdict.rest < (verdict.score or 0)


@pytest.mark.failure(85)
def test_the_score_without_the_quoted_words_is_the_one_that_the_reply_gives(classifier: Classifier) -> None:
    rows = [json.loads(line)["text"] for line in (ROOT / "data" / "test.jsonl").read_text("utf-8").splitlines()[:100]]
    verdicts = {row: classifier.verdict(row) for row in rows}
    explained = {row: verdict for row, verdict in verdicts.items() if verdict.rest is not None}
    assert len(explained) > 10
    for row, verdict in explained.items():
        without_emoji = reduce(
            lambda text, word: text if word.isascii() else text.replace(word, " "), verdict.words, row
        )
        found = classifier.assess(remove_words(fold(without_emoji), verdict.words) or "-").toxicity
        assert found == pytest.approx(verdict.rest, abs=0.01), row
        assert found < (verdict.score or 0), row


@pytest.mark.parametrize("text", [None, 7, 0.5, b"bytes", ["a list"]])
def test_an_argument_that_is_not_a_str_raises_type_error(classifier: Classifier, text: Any) -> None:
    for score in (classifier.toxicity, classifier.scores, classifier.assess, classifier.verdict):
        with pytest.raises(TypeError, match=f"must be a str, not {type(text).__name__}"):
            score(text)


def test_a_text_in_another_language_raises_a_warning_and_the_bot_does_not_judge_it(classifier: Classifier) -> None:
    german = "Das ist doch alles v\u00f6lliger Unsinn, was du da geschrieben hast."
    with pytest.warns(NotEnglishWarning, match="seems to be in German"):
        classifier.toxicity(german)
    verdict = classifier.verdict(german)
    assert (verdict.outcome, verdict.score) == ("cannot_judge", None)
    assert "German" in verdict.reason


def test_judging_a_text_folds_it_once(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    folded = []

    def counted(text: str, **options: Any) -> str:
        folded.append(text)
        return fold(text, **options)

    monkeypatch.setattr("toxicity_bot.message_text.fold", counted)
    assert classifier.verdict(INSULT).outcome == "toxic"
    assert folded.count(INSULT) == 1  # the second fold is of the text without the heaviest words


def test_a_repeated_text_gets_its_cached_verdict_and_the_cache_holds_no_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fresh = Classifier(threads=1)
    text = "You are a stupid megalosaurus, and nobody here can stand you. " * 30
    verdict = fresh.verdict(text, seconds=60)
    assert (verdict.outcome, verdict.language) == ("toxic", "en")
    assert verdict.words
    assert verdict.windows > 1
    monkeypatch.setattr(fresh._session, "probabilities", None)
    assert fresh.verdict(text, seconds=60) == verdict
    # A text that folds to the same words is the same text, but its words are quoted as they were written.
    assert fresh.verdict(text.replace("You", "Yo\u200bu"), seconds=60).score == verdict.score
    assert (fresh.cache.hits, fresh.cache.misses) == (2, 1)
    assert fresh.verdict("Cela ne fonctionne pas du tout sur ma machine.").language == "fr"
    assert fresh.verdict(":tada:").language == ""
    kept = [*fresh.cache._results.values(), *fresh._heaviest._results.values()]
    strings = [one for item in kept for one in gc.get_referents(item) if isinstance(one, str)]
    assert strings == []


def test_a_cache_computes_each_value_once_and_evicts_the_oldest() -> None:
    cache: ScoreCache[float] = ScoreCache("a", max_texts=2)
    asked: list[str] = []

    def once(text: str) -> float:
        def find() -> float:
            asked.append(text)
            return float(len(asked))

        return cache.get_or_compute(text, find)

    assert [once(text) for text in ("one", "two", "one", "three", "one", "two")] == [1, 2, 1, 3, 1, 4]
    assert asked == ["one", "two", "three", "two"], "two was the oldest entry when three was added"
    assert (cache.hits, cache.misses) == (2, 4)
    assert cache.get_or_compute("\ud800", lambda: 5.0) == 5, "an unpaired surrogate"
    assert [cache.get_or_compute("text", lambda: 1, should_cache=lambda _: False) for _ in range(2)] == [1, 1]
    assert cache.misses == 7, "a value that must not be cached is computed again"


def test_the_worker_counts_cached_scores(bot: Bot) -> None:
    for _ in range(2):
        bot.react(bot.say("You are a stupid iguanodon."))
        bot.work()
    assert ("ScoresReused", "") in bot.record.counted()
