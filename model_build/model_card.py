"""Write MODEL_CARD.md, the description of a model for people, from its `model.json`.

The template is `model_card.md.j2`. Every number in the card is in `model.json`; a section whose measurement is missing
there is left out.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from pathlib import Path

from model_build import manifest, markdown

FILE_NAME = "MODEL_CARD.md"
TEMPLATE = Path(__file__).with_name("model_card.md.j2")


def write(folder: Path) -> None:
    """Write the card of the model in `folder`."""
    fields = manifest.read(folder)
    about = {"summary": "", "data": [], "training": [], "not_for": []} | fields.get("about", {})
    threshold_maybe = fields.get("threshold_maybe", fields["threshold"])
    measured = {"quality": None, "calibration": None, "evaluation": None, "examples": []} | fields["measured"]
    by_kind = {kind: list(rows) for kind, rows in groupby(measured["examples"], key=itemgetter("kind"))}
    computed = {"about": about, "threshold_maybe": threshold_maybe, "examples_by_kind": by_kind}
    page = markdown.render(TEMPLATE, fields | measured | computed)
    (folder / FILE_NAME).write_text(page, encoding="utf-8")
