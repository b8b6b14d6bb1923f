"""`toxicity-bot score`: score text from the command line."""

from __future__ import annotations

from typing import Annotated

import typer


def score(text: Annotated[str, typer.Argument(help="The text to score.")]) -> None:
    """Print the probability, 0 to 1, that a text is toxic."""
    from toxicity_bot import Classifier

    print(Classifier().toxicity(text))
