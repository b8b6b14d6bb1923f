"""The models to evaluate, each with one way to score texts, and a cache of their scores.

The bot's own classifier scores a model directory, in overlapping windows. PyTorch scores a transformers checkpoint and
reads as much of a text as fits into the model. The baseline is a linear model of n-grams.
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

HALF = 0.5  # the threshold of a checkpoint and of the baseline, which have none of their own
CHUNK = 256  # texts that are scored between two saves

BASELINE = "n-gram baseline"

# A terminal has a bar that moves, a log a line every 30 seconds.
progress_bar = partial(tqdm, mininterval=0.1 if sys.stderr.isatty() else 30)

Scorer = Callable[[Sequence[str]], Sequence[float]]
"""Returns the probability of being toxic of each folded text."""


@dataclass(frozen=True)
class Model:
    """A model to evaluate; `load` is called when the first text has to be scored."""

    name: str
    kind: str
    """How it is scored, in a few words for people."""
    checksum: str
    """Changes with everything that changes a score."""
    bytes: int
    threshold: float
    threshold_maybe: float
    load: Callable[[], Scorer]


def model_in(folder: Path, name: str, threads: int) -> Model:
    """Return the model in a folder; raises ModelBuildError if it is neither a model directory nor a checkpoint."""
    described = _served if is_model_directory(folder) else _checkpoint
    return described(folder, name, threads)


def served_checksum(model: ModelDirectory) -> str:
    """Return a checksum of everything that decides a model directory's scores: its version and the bot's code."""
    code = [sha256(Path(str(module.__file__))) for module in (classifier, model_session)]
    described = [model.version, *code, folding_checksum(), onnxruntime.__version__]
    return hashlib.sha256(" ".join(described).encode()).hexdigest()


def _served(folder: Path, name: str, threads: int) -> Model:
    def load() -> Scorer:
        served = Classifier(folder, threads)
        return lambda texts: [served.assess(text).toxicity for text in texts]

    model = ModelDirectory.read(folder)
    size = sum((folder / file).stat().st_size for file in SERVED_FILES)
    kind, checksum = "as the bot serves it", served_checksum(model)
    return Model(name, kind, checksum, size, model.threshold, model.threshold_maybe, load)


def _checkpoint(folder: Path, name: str, threads: int) -> Model:
    def load() -> Scorer:
        # torch takes seconds to import, which a report on served models or cached scores need not wait for.
        import torch

        from model_build.torch_model import TorchModel

        torch.set_num_threads(threads)
        model = TorchModel(source)
        return lambda texts: model.toxicities([_cut(text, model.fits) for text in texts])

    source = locate(str(folder))
    files = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".json", ".txt"))
    checksum = hashlib.sha256(" ".join(sha256(path) for path in files).encode()).hexdigest()
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return Model(name, "checkpoint in PyTorch", checksum, size, HALF, HALF, load)


def train_baseline(rows: Sequence[Row], tested: EvaluationSet, cache: Path) -> Model:
    """Return the n-gram baseline trained on `rows`, or read it from `cache` if it was trained on the same rows before.

    Rows whose text is tested as well, in any case, are left out. Raises ModelBuildError if the others lack a label.
    """
    tested_texts = {text.casefold() for text in tested.originals}
    examples = [(row.text, row.label) for row in rows if row.text.casefold() not in tested_texts]
    if {label for _, label in examples} != {0, 1}:
        raise ModelBuildError(
            "the baseline needs rows of both labels whose split is train and that are not tested: pass a file that has "
            "them as another --data"
        )
    digest = hashlib.sha256(f"{ngrams.SETTINGS} {folding_checksum()}".encode())
    for text, label in examples:
        digest.update(f"{label} {text}\0".encode())
    checksum = digest.hexdigest()
    file = cache / f"baseline-{checksum[:16]}.npz"
    if not file.is_file():
        print(f"evaluate: training the baseline on {len(examples):,} texts, about a minute ...", flush=True)
        weights, bias = ngrams.fit([text for text, _ in examples], [label for _, label in examples])
        cache.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new.npz")
        np.savez(new, weights=weights, bias=bias)
        new.replace(file)
    with np.load(file) as arrays:
        weights, bias = arrays["weights"], float(arrays["bias"])
    kind, scorer = "character and word n-grams, a linear classifier", partial(ngrams.probabilities, weights, bias)
    return Model(BASELINE, kind, checksum, weights.nbytes, HALF, HALF, lambda: scorer)


def _cut(text: str, fits: Callable[[str], bool]) -> str:
    """Return as many whole words from the beginning as fit, or as many characters if the first word does not."""
    if fits(text):
        return text
    ends: Sequence[int] = [word.end() for word in re.finditer(r"\S+", text)]
    if not fits(text[: ends[0]]):
        ends = range(1, len(text))
    return text[: ends[bisect.bisect_left(ends, True, key=lambda end: not fits(text[:end])) - 1]]


def cached_scores(model: Model, texts: Sequence[str], folder: Path) -> npt.NDArray[np.float64]:
    """Return the toxicity of each text, read from `folder` if the model scored it before.

    A model has a file of its own with checksums of texts, never a text, and their scores. Every chunk is saved, so that
    a run continues where it was interrupted. Raises BotError if the model is needed and cannot be loaded.
    """
    keys = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(folder / f"scores-{model.checksum[:16]}.sqlite")) as database:
        database.execute("CREATE TABLE IF NOT EXISTS scores (text BLOB PRIMARY KEY, toxicity REAL)")
        known = dict(database.execute("SELECT text, toxicity FROM scores"))
        # Sorted by length, the texts of a batch need little padding.
        unscored = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if unscored:
            scorer, items = model.load(), sorted(unscored.items(), key=lambda item: (len(item[1]), item[0]))
            for start in progress_bar(range(0, len(items), CHUNK), desc=f"evaluate: {model.name}", unit_scale=CHUNK):
                chunk = items[start : start + CHUNK]
                scores = scorer([text for _, text in chunk])
                scored = {key: score for (key, _), score in zip(chunk, scores, strict=True)}
                with database:
                    database.executemany("INSERT INTO scores VALUES (?, ?)", scored.items())
                known |= scored
    return np.array([known[key] for key in keys])


def milliseconds(scorer: Scorer, texts: Sequence[str]) -> float:
    """Return the median time of scoring one text alone, of every other text; the rest are scored before, to warm up.

    No text is scored twice, since the bot's classifier remembers its scores.
    """
    scorer(texts[1::2])
    return 1000 * float(np.median([timeit.timeit(partial(scorer, [text]), number=1) for text in texts[::2]]))
