"""A model and texts come in, scores come out; what was scored once is kept, so that a report can be written anew.

One file for each model, by its checksum: checksums of texts and a score each, never a text. It is written every
twenty seconds, so that a run that was broken off goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from model_build.evaluate.contestants import Contestant, Scorer

AT_ONCE = 256  # texts that are scored between two looks at the clock
KEPT_EVERY = 20  # seconds


def scores(contestant: Contestant, texts: Sequence[str], folder: Path) -> npt.NDArray[np.float64]:
    """Return one toxicity a text; raises ModelBuildError if the model must be loaded and cannot be."""
    file = folder / f"scores-{contestant.checksum[:16]}.npz"
    keys = [_key(text) for text in texts]
    known = _read(file)
    # Sorted by length, texts of a batch hardly differ in it; each is scored once, however often it is in the data.
    unscored = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    missing = sorted(unscored.items(), key=_length)
    if missing:
        scorer, start, told = contestant.load(), time.monotonic(), 0.0
        for first in range(0, len(missing), AT_ONCE):
            part = missing[first : first + AT_ONCE]
            found = scorer.toxicities([text for _, text in part])
            known.update(zip((key for key, _ in part), found, strict=True))
            done, seconds = first + len(part), time.monotonic() - start
            if seconds - told >= KEPT_EVERY or done == len(missing):
                _write(file, known)
                print(f"evaluate: {contestant.name}: {done:,} of {len(missing):,} texts, {seconds:.0f} s", flush=True)
                told = seconds
    return np.array([known[key] for key in keys])


def milliseconds(scorer: Scorer, texts: Sequence[str]) -> float:
    """Return the median time of scoring one text alone, after all have been scored once."""
    scorer.toxicities(texts)
    times = []
    for text in texts:
        start = time.perf_counter()
        scorer.toxicities([text])
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _length(item: tuple[bytes, str]) -> tuple[int, bytes]:
    return len(item[1]), item[0]


def _read(file: Path) -> dict[bytes, float]:
    if not file.is_file():
        return {}
    with np.load(file) as arrays:
        keys = arrays["keys"]
        return {bytes(key): float(score) for key, score in zip(keys, arrays["scores"], strict=True)}


def _write(file: Path, known: dict[bytes, float]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".new.npz")
    keys = np.frombuffer(b"".join(known), dtype=np.uint8).reshape(-1, 16)
    np.savez(beside, keys=keys, scores=np.array(list(known.values())))
    beside.replace(file)
