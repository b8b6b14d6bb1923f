"""The models to evaluate, and a cache of their scores.

A model directory is scored with the bot's own classifier, in overlapping windows. A transformers checkpoint is scored
in PyTorch, and long texts are truncated. The baseline is a linear model of n-grams.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import re
import sqlite3
import sys
import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from tqdm import tqdm

from model_build import ngrams
from model_build.errors import ModelBuildError
from model_build.evaluate.evaluation_set import folding_checksum
from model_build.manifest import SERVED_FILES
from model_build.source import is_model_directory, locate, sha256
from toxicity_bot import classifier, model_session
from toxicity_bot.classifier import Classifier
from toxicity_bot.model_directory import ModelDirectory

if TYPE_CHECKING:
    import numpy.typing as npt

    from model_build.data import Row
    from model_build.evaluate.evaluation_set import EvaluationSet

DEFAULT_THRESHOLD = 0.5  # for checkpoints and the baseline, which define no threshold
CHUNK = 256  # texts to score between two saves of the cache

BASELINE = "n-gram baseline"

# A terminal shows a moving bar, a log gets a line every 30 seconds.
progress_bar = partial(tqdm, mininterval=0.1 if sys.stderr.isatty() else 30)

Scorer = Callable[[Sequence[str]], Sequence[float]]
"""Returns the toxicity of each folded text."""


@dataclass(frozen=True)
class Model:
    """A model to evaluate. `load` is called to score texts and to time the model."""

    name: str
    kind: str
    """How it is scored, for the report."""
    checksum: str
    """Changes whenever a score could change."""
    bytes: int
    threshold: float
    threshold_maybe: float
    load: Callable[[], Scorer]


def model_in(folder: Path, name: str, threads: int, *, bf16: bool = False) -> Model:
    """Return the model in a folder. With `bf16`, a checkpoint is scored in bfloat16.

    Raises ModelBuildError unless the folder is a model directory, or a checkpoint of a classifier that can be built.
    """
    if is_model_directory(folder):
        return _served(folder, name, threads)
    return _checkpoint(folder, name, threads, bf16=bf16)


def served_checksum(model: ModelDirectory) -> str:
    """Return a checksum of everything that affects a model directory's scores: its version and the bot's code."""
    code = [sha256(Path(str(module.__file__))) for module in (classifier, model_session)]
    parts = [model.version, *code, folding_checksum(), onnxruntime.__version__]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def _served(folder: Path, name: str, threads: int) -> Model:
    def load() -> Scorer:
        served = Classifier(folder, threads)
        return lambda texts: [served.assess(text).toxicity for text in texts]

    model = ModelDirectory.read(folder)
    size = sum((folder / file).stat().st_size for file in SERVED_FILES)
    kind, checksum = "as the bot serves it", served_checksum(model)
    return Model(name, kind, checksum, size, model.threshold, model.threshold_maybe, load)


def _checkpoint(folder: Path, name: str, threads: int, *, bf16: bool) -> Model:
    # Importing torch takes seconds, and reports on served models do not need it.
    import torch

    from model_build.torch_model import TorchModel, read_description

    def load() -> Scorer:
        torch.set_num_threads(threads)
        model = TorchModel(source)
        if bf16:
            model.module.bfloat16()
        return lambda texts: model.toxicities([_cut(text, model.fits) for text in texts])

    source = locate(str(folder))
    read_description(source)  # raises before the other models are scored
    files = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".json", ".txt"))
    kind = f"checkpoint in PyTorch, {'bfloat16' if bf16 else 'float32'}"
    checksum = hashlib.sha256(" ".join([*map(sha256, files), kind]).encode()).hexdigest()
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return Model(name, kind, checksum, size, DEFAULT_THRESHOLD, DEFAULT_THRESHOLD, load)


def train_baseline(rows: Sequence[Row], tested: EvaluationSet, cache: Path) -> Model:
    """Return the n-gram baseline trained on `rows`, from `cache` if it was trained on the same rows before.

    Rows whose text is also in `tested` are left out, ignoring case. Raises ModelBuildError if the remaining rows lack a
    label.
    """
    tested_texts = {text.casefold() for text in tested.originals}
    examples = [(row.text, row.label) for row in rows if row.text.casefold() not in tested_texts]
    if {label for _, label in examples} != {0, 1}:
        raise ModelBuildError(
            "the baseline needs rows of both labels in split train that are not also tested: pass another --data file "
            "that has them"
        )
    digest = hashlib.sha256(f"{ngrams.SETTINGS} {folding_checksum()}".encode())
    for text, label in examples:
        digest.update(f"{label} {text}\0".encode())
    checksum = digest.hexdigest()
    file = cache / f"baseline-{checksum[:16]}.npz"
    if not file.is_file():
        print(f"evaluate: training the baseline on {len(examples):,} texts (about a minute) ...", flush=True)
        weights, bias = ngrams.fit([text for text, _ in examples], [label for _, label in examples])
        cache.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new.npz")
        np.savez(new, weights=weights, bias=bias)
        new.replace(file)
    with np.load(file) as arrays:
        weights, bias = arrays["weights"], float(arrays["bias"])
    kind, scorer = "character and word n-grams, a linear classifier", partial(ngrams.probabilities, weights, bias)
    return Model(BASELINE, kind, checksum, weights.nbytes, DEFAULT_THRESHOLD, DEFAULT_THRESHOLD, lambda: scorer)


def _cut(text: str, fits: Callable[[str], bool]) -> str:
    """Truncate a text to the whole words that fit, or to characters if the first word is too long."""
    if fits(text):
        return text
    ends: Sequence[int] = [word.end() for word in re.finditer(r"\S+", text)]
    if not fits(text[: ends[0]]):
        ends = range(1, len(text))
    return text[: ends[bisect.bisect_left(ends, True, key=lambda end: not fits(text[:end])) - 1]]


def cached_scores(model: Model, texts: Sequence[str], folder: Path) -> npt.NDArray[np.float64]:
    """Return the toxicity of each text, from the cache in `folder` if the model has scored it before.

    Each model has its own cache file with scores by checksum of the text, without texts. Scores are saved after each
    chunk, so an interrupted run can continue. Raises BotError if a text must be scored and the model cannot be loaded.
    """
    keys = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(folder / f"scores-{model.checksum[:16]}.sqlite")) as database:
        database.execute("CREATE TABLE IF NOT EXISTS scores (text BLOB PRIMARY KEY, toxicity REAL)")
        known = dict(database.execute("SELECT text, toxicity FROM scores"))
        unscored = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if unscored:
            # Sorted by length, so that batches need little padding.
            scorer, items = model.load(), sorted(unscored.items(), key=lambda item: (len(item[1]), item[0]))
            for start in progress_bar(range(0, len(items), CHUNK), desc=f"evaluate: {model.name}", unit_scale=CHUNK):
                chunk = items[start : start + CHUNK]
                scores = scorer([text for _, text in chunk])
                if not np.isfinite(scores).all():
                    raise ModelBuildError(f"{model.name} gives a text a score that is not a number: do not use it")
                scored = {key: score for (key, _), score in zip(chunk, scores, strict=True)}
                try:
                    with database:
                        database.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", scored.items())
                except sqlite3.OperationalError as error:
                    raise ModelBuildError(f"the cache {folder} cannot be written: {error}") from error
                known |= scored
    return np.array([known[key] for key in keys])


def milliseconds(scorer: Scorer, texts: Sequence[str]) -> float:
    """Return the median time to score one text. Every other text is timed; the rest are scored first as a warm-up.

    No text is scored twice, because the bot's classifier caches its scores.
    """
    scorer(texts[1::2])
    return 1000 * float(np.median([timeit.timeit(partial(scorer, [text]), number=1) for text in texts[::2]]))
