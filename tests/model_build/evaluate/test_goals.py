"""The goals' values on a few rows, computed by hand, and the written messages that the report quotes."""

from typing import Any

import numpy as np

from model_build.evaluate.evaluation_set import CHANGES, EvaluationSet
from model_build.evaluate.goals import GOALS, as_json, values, written_messages
from tests.model_build.evaluate.conftest import evaluation_set, fake_model

MODEL = fake_model("model")
NAMES = [goal.name for goal in GOALS]
CHAT = np.array([0.1, 0.45, 0.9, 0.2])  # of 4 messages, 1 is likely toxic and 1 maybe toxic

# Source, label, score and detail. The thresholds are 0.6 for likely and 0.4 for maybe toxic.
Rows = list[tuple[str, int, float, dict[str, str]]]
WRITTEN: Rows = [
    *(("written", 1, score, {"kind": "insult", "pair": f"{n}"}) for n, score in enumerate((0.9, 0.8, 0.7, 0.5, 0.1))),
    *(("written", 0, score, {"kind": "praise", "pair": f"{n}"}) for n, score in enumerate((0.8, 0.7, 0.6, 0.4, 0.3))),
    ("written", 1, 0.0, {"kind": "rare", "pair": "alone"}),
]
IRC: Rows = [
    *(("ubuntu_irc", 1, score, {}) for score in (0.9, 0.5, 0.6)),
    *(("ubuntu_irc", 0, score, {}) for score in (0.7, 0.8, 0.1)),
]
GROUPS: Rows = [
    ("identity", 0, 0.1, {"group": "a", "frame": "f1"}),
    ("identity", 0, 0.3, {"group": "a", "frame": "f2"}),
    ("identity", 0, 0.5, {"group": "b", "frame": "f1"}),
    ("identity", 0, 0.7, {"group": "b", "frame": "f2"}),
    ("identity", 0, 1.0, {"group": "b"}),
]
OPEN: Rows = [
    *(("gh_incivility", label, score, {}) for label, score in ((1, 0.9), (0, 0.1))),
    *(("cmu_oss", label, score, {}) for label, score in ((1, 0.5), (1, 0.7), (0, 0.6), (0, 0.1))),
    *(("spans", 1, score, {}) for score in (0.2, 0.95)),
    *(("forum", 0, 0.3, {}) for _ in range(97)),
]


def dataset(rows: Rows) -> tuple[EvaluationSet, np.ndarray]:
    sources, labels, scores, details = (list(column) for column in zip(*rows, strict=True))
    return evaluation_set([f"text {row}" for row in range(len(rows))], labels, sources, details), np.array(scores)


def metrics(**changed: Any) -> dict[str, Any]:
    """Return the part of `report.json` about a model on these rows."""
    one = {"sensitivity": 0.8, "false_positive_rate": 0.1}
    found: dict[str, Any] = {
        "sources": {"gh_incivility": {"auc": 1.0}, "cmu_oss": {"auc": 0.75}, "spans": {"auc": None}},
        "slices": {"as written": one, **dict.fromkeys(CHANGES, one), "swearing": {"auc": 0.9}},
        "far_below_baseline": [],
    }
    found["sources"] |= {name: {"auc": None} for name in ("forum", "written", "ubuntu_irc", "identity")}
    return found | changed


def test_each_value_matches_the_hand_computed_value() -> None:
    data, scores = dataset([*WRITTEN, *IRC, *GROUPS, *OPEN])
    slices = metrics()["slices"]
    slices["stars"] = {"sensitivity": 0.5, "false_positive_rate": 0.05}
    slices["capitals"] = {"sensitivity": 0.9, "false_positive_rate": 0.125}
    slices["work discussions"] = {"sensitivity": 0.0, "false_positive_rate": 1.0}
    far = ["cmu_oss", "written"]
    found = values(MODEL, data, scores, CHAT, metrics(slices=slices, far_below_baseline=far))
    assert dict(zip(NAMES, found, strict=True)) == {
        # Toxic .9 .8 .7 .5 .1 .0 against harmless .8 .7 .6 .4 .3: 5 + 4.5 + 3.5 + 2 + 0 + 0 of 30 pairs.
        "written messages: AUC": 0.5,
        "written messages: minimal pairs in the right order": 0.8,  # 4 of 5, without the message that has no pair
        "written messages: share found of the worst toxic kind, at “may be”": 0.8,  # without kinds of one message
        "written messages: share called likely of the worst harmless kind": 0.6,  # .8 .7 .6 of 5
        "real chat: share of “likely” that is toxic": 0.5,  # .9 .6 of .9 .6 .7 .8
        "real chat: share of toxic messages called likely": 0.666667,
        "real chat, unlabelled: share called likely": 0.25,
        "real chat, unlabelled: share that “may be”": 0.5,
        "mentions of groups: share called likely": 0.4,
        "mentions of groups: share that “may be”": 0.6,
        "mentions of groups: largest difference of two groups' mean scores": 0.4,  # .6 and .2, in the frames
        "with a swear word: AUC": 0.9,
        "open collections: mean AUC": 0.875,
        "open collections: AUC of gh_incivility": 1.0,
        "open collections: AUC of cmu_oss": 0.75,
        # 1 of 100 harmless messages (0.6) may be above the threshold, so all of .9 .5 .7 .2 .95 but .2 are found.
        "open collections: found at 1 % false positives": 0.8,
        "open collections: sources below the baseline by more than chance": 1.0,
        "changed spelling: largest loss of sensitivity": 0.3,
        "changed spelling: most added false positives": 0.025,
    }


def test_a_goal_without_messages_has_no_value() -> None:
    data, scores = dataset([("written", 1, 0.9, {}), ("written", 0, 0.1, {})])
    unknown = {"sensitivity": None, "false_positive_rate": None}
    slices = dict.fromkeys(("as written", *CHANGES), unknown)
    found = values(MODEL, data, scores, np.array([]), metrics(slices=slices))
    assert [name for name, value in zip(NAMES, found, strict=True) if value is not None] == ["written messages: AUC"]
    only_open = values(MODEL, *dataset(OPEN), np.array([]), metrics())
    known = {name.split(":")[0] for name, value in zip(NAMES, only_open, strict=True) if value is not None}
    assert known == {"with a swear word", "open collections", "changed spelling"}
    assert str(only_open[NAMES.index("changed spelling: largest loss of sensitivity")]) == "0.0", "not -0.0"


def test_a_goal_is_met_at_its_bound_and_not_beyond() -> None:
    for goal in GOALS:
        assert goal.met(goal.bound), goal
        assert not goal.met(goal.bound + (-1e-6 if goal.at_least else 1e-6)), goal
        assert not goal.met(None), goal


def test_the_report_has_each_value_and_the_models_that_meet_the_goal() -> None:
    met = [goal.bound for goal in GOALS]
    missed = [goal.bound + (-0.0001 if goal.at_least else 0.0001) for goal in GOALS]
    found = as_json({"good": met, "bad": missed, "unknown": [None] * len(GOALS)})
    assert found[0] == {
        "name": "written messages: AUC",
        "bound": 0.95,
        "at_least": True,
        "values": {"good": 0.95, "bad": 0.9499, "unknown": None},
        "met": ["good"],
    }
    assert all(goal["met"] == ["good"] for goal in found)
    assert [goal["name"] for goal in found] == NAMES


def test_kinds_and_failures_are_those_of_the_first_model_sorted_worst_first() -> None:
    rows: Rows = [("written", 1, 0.5 + number / 100, {"kind": "insult"}) for number in range(12)]
    rows += [("written", 1, 0.3, {"kind": "threat"}), ("written", 0, 0.2, {"kind": "thanks"})]
    rows += [("written", 0, 0.7, {"kind": "jargon"}), ("written", 0, 0.2, {"kind": "jargon"})]
    rows += [("forum", 1, 0.0, {}), ("forum", 0, 1.0, {})]
    data, scores = dataset(rows)
    models = [fake_model(name) for name in ("baseline", "one", "two")]
    found = written_messages(data, models, {"baseline": 1 - scores, "one": scores, "two": scores * 0})
    assert found is not None
    assert found["model"] == "one"
    assert found["kinds"] == {
        "toxic": [
            {"kind": "threat", "messages": 1, "shares": {"baseline": 1.0, "one": 0.0, "two": 0.0}},
            {"kind": "insult", "messages": 12, "shares": {"baseline": 0.916667, "one": 1.0, "two": 0.0}},
        ],
        "harmless": [
            {"kind": "jargon", "messages": 2, "shares": {"baseline": 0.5, "one": 0.5, "two": 0.0}},
            {"kind": "thanks", "messages": 1, "shares": {"baseline": 1.0, "one": 0.0, "two": 0.0}},
        ],
    }
    toxic, harmless = found["failures"]["toxic"], found["failures"]["harmless"]
    assert [failure["text"] for failure in toxic] == ["TEXT 12", *(f"TEXT {number}" for number in range(9))]
    assert harmless == [{"text": f"TEXT {row}", "toxicity": score} for row, score in ((14, 0.7), (13, 0.2), (15, 0.2))]
    assert written_messages(data, models[:1], {"baseline": scores}) is None
    data, scores = dataset(OPEN)
    assert written_messages(data, models, dict.fromkeys(("baseline", "one", "two"), scores)) is None
