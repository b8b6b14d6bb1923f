"""Fixtures: labelled messages, a copy of the embedded model that tests can change, fake models, small data sets."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_build.evaluate.evaluation_set import EvaluationSet
from model_build.evaluate.models import Model, Scorer
from tests import ROOT
from tests.model_build.conftest import write_rows

THINGS = ("build", "review", "release", "ticket", "server", "report", "branch", "meeting", "deploy", "test")
HARMLESS = ("Thanks, the {} looks good to me.", "Could you have a look at the {} before lunch?")
TOXIC = ("You are a stupid idiot, and your {} is worthless.", "Shut up about the {}, you pathetic loser.")


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of two sources with ten texts per label and split, and of one source with toxic texts only."""
    rows: list[dict[str, Any]] = []
    for split, wording in (("train", 0), ("train", 1), ("dev", 1), ("test", 0)):
        ending = {"train": "", "dev": " Really.", "test": " Today."}[split]
        for thing in THINGS:
            for source, name in (("gh_incivility", thing), ("forum", f"other {thing}")):
                for label, wordings in enumerate((HARMLESS, TOXIC)):
                    text = wordings[wording].format(name) + ending
                    rows.append({"text": text, "label": label, "source": source, "split": split})
            toxic = f"What a moron wrote this {thing}?{ending}"
            rows.append({"text": toxic, "label": 1, "source": "spans", "split": split})
    return write_rows(tmp_path_factory.mktemp("labelled") / "labelled.jsonl", *rows)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the embedded model. Large files are links, and `model.json` and the card are copies."""
    folder = tmp_path / "model"
    folder.mkdir()
    for file in (ROOT / "model").iterdir():
        if file.suffix in (".json", ".md") and file.name != "tokenizer.json":
            shutil.copyfile(file, folder / file.name)
        else:
            (folder / file.name).symlink_to(file)
    return folder


def fake_model(name: str, scorer: Scorer | None = None, checksum: str = "0") -> Model:
    """Return a model that scores with a function. Its thresholds are 0.6 for likely and 0.4 for maybe toxic."""

    def load() -> Scorer:
        assert scorer, "this model has given scores and no scorer"
        return scorer

    return Model(name, "a fake", checksum, 0, 0.6, 0.4, load)


def evaluation_set(
    texts: Sequence[str], labels: Any, sources: Any, details: Sequence[Mapping[str, Any]] = ()
) -> EvaluationSet:
    """Return a set of these folded texts. Their original form is in capitals."""
    originals, kept = [text.upper() for text in texts], list(details) or [{}] * len(texts)
    return EvaluationSet("file", "0", "test", list(texts), originals, np.array(labels), np.array(sources), kept)
