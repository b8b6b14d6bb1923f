"""Remember what the model found in the latest texts, so that a repeated text costs no run of the model.

A text is known by a digest, keyed with the version of the model; no text is kept.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Found = TypeVar("Found")

MOST_TEXTS = 32_768  # a score takes about 500 bytes


class ScoreCache(Generic[Found]):
    """Holds a result for each of the latest texts; threads may share it."""

    def __init__(self, model_version: str, most: int = MOST_TEXTS) -> None:
        self.hits = 0
        self.misses = 0
        self._key = hashlib.blake2b(model_version.encode()).digest()
        self._most = most
        self._found: OrderedDict[bytes, Found] = OrderedDict()
        self._lock = Lock()

    def once(self, text: str, find: Callable[[], Found], keep: Callable[[Found], bool] = lambda _: True) -> Found:
        """Return what is known of a text, else find it; `keep` says whether that holds for the next time too."""
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=self._key).digest()
        with self._lock:
            if (known := self._found.get(digest)) is not None:
                self.hits += 1
                self._found.move_to_end(digest)
                return known
        found = find()
        with self._lock:
            self.misses += 1
            if keep(found):
                self._found[digest] = found
                if len(self._found) > self._most:
                    self._found.popitem(last=False)
        return found
