"""Which labels are toxic: read from names that say so, never guessed."""

from __future__ import annotations

import pytest

from model_build.errors import ModelBuildError
from model_build.labels import toxic_labels


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["NOT_TOXIC", "TOXIC"], ["TOXIC"]),
        (["nothate", "hate"], ["hate"]),
        (["non-offensive", "offensive"], ["offensive"]),
        (["HATE", "NON_HATE"], ["HATE"]),
        (["neutral", "Hate Speech", "Offensive Language"], ["Hate Speech", "Offensive Language"]),
        (["no hate", "not hateful", "hateful"], ["hateful"]),
    ],
)
def test_names_that_say_it(labels: list[str], expected: list[str]) -> None:
    assert list(toxic_labels(labels, [], "softmax")) == expected


def test_independent_labels_may_all_be_toxic() -> None:
    labels = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
    assert list(toxic_labels(labels, [], "sigmoid")) == labels
    with pytest.raises(ModelBuildError, match=r"all of the labels .*--toxic-labels"):
        toxic_labels(labels, [], "softmax")


def test_names_that_do_not_say_it_are_refused() -> None:
    with pytest.raises(ModelBuildError, match=r"none of the labels LABEL_0, LABEL_1 says .*--toxic-labels"):
        toxic_labels(["LABEL_0", "LABEL_1"], [], "softmax")


def test_given_names_win_and_must_exist() -> None:
    assert toxic_labels(["LABEL_0", "LABEL_1"], ["LABEL_1"], "softmax") == ("LABEL_1",)
    with pytest.raises(ModelBuildError, match="names LABEL_2; the checkpoint has LABEL_0, LABEL_1"):
        toxic_labels(["LABEL_0", "LABEL_1"], ["LABEL_2"], "softmax")
