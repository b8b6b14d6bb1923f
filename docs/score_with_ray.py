"""Score a data set on all machines of a Ray cluster: python score_with_ray.py s3://in/ s3://out/ [WORKERS].

It reads and writes Parquet. Each worker uses one core. The machines need this project and ray[data].
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import ray

from toxicity_bot.bulk import Scorer

if TYPE_CHECKING:
    import numpy.typing as npt

TEXT = "text"  # the column to score


class Score:
    def __init__(self) -> None:
        self.scorer = Scorer()

    def __call__(self, batch: dict[str, npt.NDArray]) -> dict[str, npt.NDArray]:
        toxicity, verdict, language = zip(*self.scorer(batch[TEXT].tolist()), strict=True)
        # NaN where the bot does not judge: other languages, no words.
        new = {"toxicity": np.array(toxicity, float), "verdict": np.array(verdict), "language": np.array(language)}
        return batch | new | {"model": np.full(len(verdict), self.scorer.classifier.name)}


def main(source: str, target: str, workers: int = 2) -> None:
    rows = ray.data.read_parquet(source)
    # Half a core by Ray's count, so that workers on all cores leave it some for reading and writing.
    rows.map_batches(Score, batch_size=256, num_cpus=0.5, concurrency=workers).write_parquet(target)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
