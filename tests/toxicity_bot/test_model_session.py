"""Token ids and probabilities of the committed model."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests import ROOT, run
from toxicity_bot.model_directory import ModelDirectory
from toxicity_bot.model_session import ModelSession, activate

MODEL = ModelDirectory.read(ROOT / "model")


@pytest.fixture(scope="module")
def session() -> ModelSession:
    return ModelSession(MODEL, threads=1)


@pytest.mark.parametrize("typed", ["</s>", "<s>", "<pad>", "a <mask> b"])
def test_special_tokens_in_a_text_are_plain_characters(session: ModelSession, typed: str) -> None:
    """A special token typed in a message must not end the sequence or hide the text after it."""
    ids, offsets = session.encode(typed)
    assert not {MODEL.bos_id, MODEL.eos_id, MODEL.pad_id} & set(ids)
    assert len(ids) > 1
    assert offsets[-1][1] == len(typed)


def test_padding_does_not_change_scores(session: ModelSession) -> None:
    """In a batch with a longer sequence, scores differ only by the rounding of the shared quantization scale.

    That moves the scores of a few unclear texts. If the model read the padding, the median difference would be 0.03.
    """
    longer, _ = session.encode("we looked at the plan " * 20)
    alone, differences = session.probabilities([longer])[0], []
    for row in json.loads((ROOT / "model" / "model.json").read_text("utf-8"))["reference"]["scores"]:
        short, _ = session.encode(row["text"])
        together = session.probabilities([short, longer])
        assert together.shape == (2, len(MODEL.labels))
        assert together[1] == pytest.approx(alone, abs=0.1)
        differences.append(float(np.abs(together[0] - session.probabilities([short])[0]).max()))
    assert np.median(differences) < 0.01
    assert max(differences) < 0.2


def test_softmax_and_sigmoid_of_logits() -> None:
    logits = np.array([[0.0, np.log(3.0)], [1000.0, 0.0]])
    assert activate(logits, "softmax") == pytest.approx(np.array([[0.25, 0.75], [1.0, 0.0]]))
    assert activate(logits, "sigmoid") == pytest.approx(np.array([[0.5, 0.75], [1.0, 0.5]]))


def test_onnxruntime_sends_nothing_and_leaves_nothing_in_the_home_directory(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    assert run("-c", "import toxicity_bot.model_session", environ=environ).returncode == 0
    assert list(tmp_path.iterdir()) == []
