"""Score many texts: in this process, or in worker processes that keep their order.

`python -m toxicity_bot.bulk` is a worker. It reads lists of texts from standard input, each a line of JSON, and ends
when that ends, so no worker outlives the process that started it.
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

# Batches on their way to and from each worker: one that it scores, others that wait. Their results, some kB, fit into
# a pipe, so that a worker never waits for its reader.
DEPTH = 3


class Score(NamedTuple):
    """What the bot says of a text; `toxicity` is None where it cannot judge."""

    toxicity: float | None
    verdict: str
    language: str


class Scorer:
    """Scores texts one at a time, since int8 scales span a batch: each score is the one that the bot gives."""

    def __init__(self, model_dir: Path | str | None = None, thresholds: Sequence[float] | None = None) -> None:
        from .classifier import Classifier

        self.classifier = Classifier(model_dir, threads=1)
        self._thresholds = Thresholds(*thresholds) if thresholds else None
        # The classifier knows texts by their folded form; of the same text even folding is saved.
        self._same: ScoreCache[Score] = ScoreCache(self.classifier.name)

    @property
    def hits(self) -> int:
        """Texts whose scores were still known."""
        return self._same.hits + self.classifier.cache.hits

    def __call__(self, texts: Iterable[str]) -> list[Score]:
        """Score the texts, each to its end however long that takes, so that no score depends on the machine's load."""
        return [self._same.once(text, partial(self._score, text)) for text in texts]

    def _score(self, text: str) -> Score:
        verdict = self.classifier.verdict(text, self._thresholds, math.inf, explain=False)
        return Score(verdict.score, verdict.outcome, verdict.language)


class Workers:
    """Processes with a Scorer each, started when there is work for them."""

    def __init__(self, number: int, model_dir: Path, thresholds: Sequence[float]) -> None:
        self._arguments = json.dumps([str(model_dir), *thresholds])
        self._number = number
        self._started: list[subprocess.Popen[bytes]] = []
        self._hits: dict[int, int] = {}

    @property
    def hits(self) -> int:
        """Texts whose scores the workers still knew."""
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

        An error of ours in `batches` is raised after the scores of the batches before it.
        """
        waiting: deque[tuple[Item, int]] = deque()
        failure: BotError | None = None
        try:
            for number, batch in enumerate(batches):
                self._send(number % self._number, texts(batch))
                waiting.append((batch, number % self._number))
                if len(waiting) == DEPTH * self._number:
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
            # The package is found where this one was, and nothing in the working directory is imported in its place.
            path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
            command = [sys.executable, "-P", "-m", f"{__package__}.bulk", self._arguments]
            environ = os.environ | {"PYTHONPATH": path}
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)  # noqa: S603
            self._started.append(process)
        stream: Any = self._started[worker].stdin
        with suppress(BrokenPipeError):  # reading tells why
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
    """Score lists of texts from standard input to standard output; an error of ours is sent as a string."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides
    model_dir, *thresholds = json.loads(sys.argv[1])
    # Whatever else prints must not come between.
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
