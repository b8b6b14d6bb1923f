"""Score many texts, in this process or in worker processes. The order of the texts is kept.

`python -m toxicity_bot.bulk` is a worker. It reads lists of texts from standard input, one JSON list per line. It exits
at the end of its input, so no worker outlives the process that started it.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections import deque
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from .errors import BotError, WorkerError
from .score_cache import ScoreCache
from .settings import Thresholds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Item = TypeVar("Item")

# Batches in flight for each worker: one is being scored, the rest wait. Their results, a few kB, fit into a pipe, so
# that a worker never waits for the parent to read.
BATCHES_PER_WORKER = 3


class Score(NamedTuple):
    """The bot's verdict on a text. `toxicity` is None if it cannot judge the text."""

    toxicity: float | None
    verdict: str
    language: str


class Scorer:
    """Scores texts one at a time, exactly as the bot does. In a batch, texts would share int8 scales."""

    def __init__(self, model_dir: Path | str | None = None, thresholds: Sequence[float] | None = None) -> None:
        from .classifier import Classifier

        self.classifier = Classifier(model_dir, threads=1)
        self._thresholds = Thresholds(*thresholds) if thresholds else None
        # The classifier's cache is keyed by the folded text. This one also saves the folding of repeated texts.
        self._cache: ScoreCache[Score] = ScoreCache(self.classifier.name)

    @property
    def hits(self) -> int:
        """Number of texts whose scores were cached."""
        return self._cache.hits + self.classifier.cache.hits

    def __call__(self, texts: Iterable[str]) -> list[Score]:
        """Score the texts, each without a time limit, so that no score depends on the machine's load."""
        return [self._cache.get_or_compute(text, partial(self._score, text)) for text in texts]

    def _score(self, text: str) -> Score:
        verdict = self.classifier.verdict(text, self._thresholds, math.inf, explain=False)
        return Score(verdict.score, verdict.outcome, verdict.language)


class Workers:
    """Worker processes with a Scorer each, started when there is work for them."""

    def __init__(self, number: int, model_dir: Path, thresholds: Sequence[float]) -> None:
        self._arguments = json.dumps([str(model_dir), *thresholds])
        self._number = number
        self._started: list[subprocess.Popen[bytes]] = []
        self._hits: dict[int, int] = {}

    @property
    def hits(self) -> int:
        """Number of texts whose scores the workers had cached."""
        return sum(self._hits.values())

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.kill()
            process.communicate()

    def score(
        self, batches: Iterable[Item], texts: Callable[[Item], list[str]]
    ) -> Iterator[tuple[Item, Iterator[Score]]]:
        """Yield each batch with the scores of its texts, in order.

        A BotError raised by `batches` is raised again after the scores of the batches before it.
        """
        waiting: deque[tuple[Item, int]] = deque()
        failure: BotError | None = None
        try:
            for number, batch in enumerate(batches):
                self._send(number % self._number, texts(batch))
                waiting.append((batch, number % self._number))
                if len(waiting) == BATCHES_PER_WORKER * self._number:
                    batch, worker = waiting.popleft()
                    yield batch, self._receive(worker)
        except BotError as error:
            failure = error
        while waiting:
            batch, worker = waiting.popleft()
            yield batch, self._receive(worker)
        if failure:
            raise failure

    def _send(self, worker: int, texts: list[str]) -> None:
        if worker == len(self._started):
            # Import the package from where this module is, and nothing from the working directory instead.
            path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
            command = [sys.executable, "-P", "-m", f"{__package__}.bulk", self._arguments]
            environ = os.environ | {"PYTHONPATH": path}
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)  # noqa: S603
            self._started.append(process)
        stream: Any = self._started[worker].stdin
        with suppress(BrokenPipeError):  # reading from the worker says why
            stream.write(json.dumps(texts).encode() + b"\n")
            stream.flush()

    def _receive(self, worker: int) -> Iterator[Score]:
        process: Any = self._started[worker]
        if not (line := process.stdout.readline()):
            raise WorkerError(f"a worker ended with exit status {process.wait()}: is there enough memory for all?")
        answer = json.loads(line)
        if isinstance(answer, str):
            raise WorkerError(answer)
        self._hits[worker], scores = answer
        return (Score(*score) for score in scores)


def work() -> None:
    """Score lists of texts from standard input and write the scores to standard output. A BotError becomes a string."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides
    model_dir, *thresholds = json.loads(sys.argv[1])
    # Redirect other output to standard error, so that it cannot mix with the scores.
    with suppress(BrokenPipeError), os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        try:
            scorer = Scorer(model_dir, thresholds)
        except BotError as error:
            print(json.dumps(str(error)), file=answers)
            return
        for texts in sys.stdin.buffer:
            scores = scorer(json.loads(texts))
            print(json.dumps([scorer.hits, scores]), file=answers, flush=True)


if __name__ == "__main__":
    work()
