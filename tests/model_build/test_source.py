"""Checkpoints are loaded from folders and the hub's cache. Toxic labels are recognized by name, never guessed."""

import re
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import reset_sessions

from model_build.errors import ModelBuildError
from model_build.source import locate, toxic_labels

COMMIT = "228baf9cd793c9183f6760723b20c606d74afa33"  # the default of the model below
KNOWN = "mrm8488/distilroberta-finetuned-tweets-hate-speech"
ALL_TOXIC = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
CLOSED = "http://127.0.0.1:9"  # the discard port: nothing listens there


def hub_cache(folder: Path, checkpoint: Path, commit: str = COMMIT) -> Path:
    """Store the checkpoint as in the hub's cache: a snapshot of links to blobs."""
    repository = folder / f"models--{KNOWN.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    shutil.copytree(checkpoint, repository / "blobs")
    for file in checkpoint.iterdir():
        (snapshot / file.name).symlink_to(Path("../../blobs") / file.name)
    return snapshot


@pytest.mark.parametrize(("setting", "value"), [("HF_HUB_OFFLINE", True), ("ENDPOINT", CLOSED)])
def test_a_hub_model_is_loaded_from_the_cache_without_a_network(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: object
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, setting, value)
    reset_sessions()  # a session keeps the settings from its creation
    reason = (
        f"{KNOWN} at revision {COMMIT} is not in the local cache and the hub cannot be reached: "
        "connect this machine, set HF_HOME to a cache that has it, or pass a folder instead of the id"
    )
    with pytest.raises(ModelBuildError, match=f"^{re.escape(reason)}$"):
        locate(KNOWN)
    snapshot = hub_cache(tmp_path, checkpoint)
    for revision in (None, COMMIT):
        found = locate(KNOWN, revision)
        assert (found.folder, found.name, found.revision) == (snapshot, KNOWN, COMMIT)
        assert found.toxic_labels == ("LABEL_1",)
    (snapshot / "model.safetensors").rename(snapshot / "pytorch_model.bin")
    with pytest.raises(ModelBuildError, match=r"has no model\.safetensors, and pickled weights such as pytorch_model"):
        locate(KNOWN)


def test_a_folder_is_identified_by_its_name_and_the_checksum_of_its_weights(checkpoint: Path) -> None:
    source = locate(str(checkpoint))
    assert source.name == f"local folder {checkpoint.name}"
    assert source.revision.startswith("sha256:")
    assert len(source.revision) == len("sha256:") + 64
    with pytest.raises(ModelBuildError, match=f"--revision is for a hub model, and {checkpoint} is a folder"):
        locate(str(checkpoint), COMMIT)


def test_the_revision_of_a_folder_depends_on_every_file_with_weights(tmp_path: Path, checkpoint: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, folder)
    single = locate(str(folder)).revision
    part = folder / "model-00002-of-00002.safetensors"
    found = {single}
    for content in (b"one", b"another"):
        part.write_bytes(content)
        found.add(locate(str(folder)).revision)
    assert len(found) == 3


@pytest.mark.parametrize("source", ["no-such-folder", "./no/such/folder", "/no/such", "a/b/c"])
def test_a_source_that_is_neither_a_folder_nor_a_hub_id_is_refused(source: str) -> None:
    with pytest.raises(ModelBuildError, match="neither a folder nor a hub id"):
        locate(source)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_that_is_not_a_checkpoint_is_refused(tmp_path: Path, checkpoint: Path, missing: str) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "copy")
    (folder / missing).unlink()
    with pytest.raises(ModelBuildError, match=rf"has no {missing}.*pass another folder"):
        locate(str(folder))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["NOT_TOXIC", "TOXIC"], ["TOXIC"]),
        (["nothate", "hate"], ["hate"]),
        (["non-offensive", "offensive"], ["offensive"]),
        (["HATE", "NON_HATE"], ["HATE"]),
        (["neutral", "Hate Speech", "Offensive Language"], ["Hate Speech", "Offensive Language"]),
        (["no hate", "not hateful", "hateful"], ["hateful"]),
        (ALL_TOXIC, ALL_TOXIC),  # several can apply at once
    ],
)
def test_toxic_labels_are_recognized_by_name(labels: list[str], expected: list[str]) -> None:
    assert list(toxic_labels(labels, [], "sigmoid" if labels == expected else "softmax")) == expected
    assert toxic_labels(labels, labels[:1], "softmax") == (labels[0],), "a given label takes precedence"


@pytest.mark.parametrize(
    ("labels", "given", "reason"),
    [
        (ALL_TOXIC, [], r"all of the labels .*--toxic-labels"),
        (["LABEL_0", "LABEL_1"], [], r"none of the labels LABEL_0, LABEL_1 has .*--toxic-labels"),
        (["LABEL_0", "LABEL_1"], ["LABEL_2"], "has LABEL_2, but the checkpoint has LABEL_0, LABEL_1"),
    ],
)
def test_labels_are_refused_if_their_names_do_not_tell_which_is_toxic(
    labels: list[str], given: list[str], reason: str
) -> None:
    with pytest.raises(ModelBuildError, match=reason):
        toxic_labels(labels, given, "softmax")
