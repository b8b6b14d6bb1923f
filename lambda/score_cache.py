"""Cache the results of the latest texts, so that a repeated text needs no run of the model.

The key is a digest of the text, keyed with the model's version. No text is stored.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

MAX_TEXTS = 32_768  # a score takes about 500 bytes


class ScoreCache(Generic[Result]):
    """An LRU cache of results. It is thread-safe."""

    def __init__(self, model_version: str, max_texts: int = MAX_TEXTS) -> None:
        self.hits = 0
        self.misses = 0
        self._key = hashlib.blake2b(model_version.encode()).digest()
        self._max_texts = max_texts
        self._results: OrderedDict[bytes, Result] = OrderedDict()
        self._lock = Lock()

    def get_or_compute(
        self, text: str, compute: Callable[[], Result], should_cache: Callable[[Result], bool] = lambda _: True
    ) -> Result:
        """Return the cached result of a text, or compute it. `should_cache` decides whether a new result is stored."""
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=self._key).digest()
        with self._lock:
            if (cached := self._results.get(digest)) is not None:
                self.hits += 1
                self._results.move_to_end(digest)
                return cached
        result = compute()
        with self._lock:
            self.misses += 1
            if should_cache(result):
                self._results[digest] = result
                if len(self._results) > self._max_texts:
                    self._results.popitem(last=False)
        return result
