"""Labelled messages of our own, and a copy of the embedded model that a test may change."""

import json
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent.parent
THINGS = ("build", "review", "release", "ticket", "server", "report", "branch", "meeting", "deploy", "test")
HARMLESS = ("Thanks, the {} looks good to me.", "Could you have a look at the {} before lunch?")
TOXIC = ("You are a stupid idiot, and your {} is worthless.", "Shut up about the {}, you pathetic loser.")


def rows() -> list[dict[str, object]]:
    """Return rows of two sources with ten texts of each label and split, and of one with toxic texts only."""
    found: list[dict[str, object]] = []
    for split, wording in (("train", 0), ("train", 1), ("dev", 1), ("test", 0)):
        ending = {"train": "", "dev": " Really.", "test": " Today."}[split]
        for thing in THINGS:
            for source, name in (("gh_incivility", thing), ("forum", f"other {thing}")):
                for label, wordings in ((0, HARMLESS), (1, TOXIC)):
                    text = wordings[wording].format(name) + ending
                    found.append({"text": text, "label": label, "source": source, "split": split})
            toxic = f"What a moron wrote this {thing}?{ending}"
            found.append({"text": toxic, "label": 1, "source": "spans", "split": split})
    return found


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labelled") / "labelled.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The embedded model: the large files are links, `model.json` and the card are copies."""
    folder = tmp_path / "model"
    folder.mkdir()
    for file in (ROOT / "model").iterdir():
        if file.suffix in (".json", ".md") and file.name != "tokenizer.json":
            shutil.copyfile(file, folder / file.name)
        else:
            (folder / file.name).symlink_to(file)
    return folder
