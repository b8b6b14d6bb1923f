"""Findings come in, docs/rewrites.md for people and docs/rewrites.json for programs come out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model_build.search.candidates import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from model_build.search.candidate import Candidate
    from model_build.search.finding import Finding, Quality, Speed

# The least mean change that is called one, however quiet the run was.
LEAST_CHANGE = 0.01

PAGE = """\
# What each choice of the build is worth

Written by `{command}` on {date}; run it to write it anew.
Each candidate is the model as it ships with one choice turned round, built from the same checkpoint and measured beside
it; [`rewrites.json`](rewrites.json) has the same figures.

## Speed and size
Milliseconds of one text by its number of tokens, of a start, and megabytes of the model directory; in brackets, how
much more than as it ships.

{speeds}

{judgement}

## What it does to the answer
The largest difference of toxicity to PyTorch's at full precision over the {references} reference texts{labelled}.

{answers}

## What was decided
{decisions}

## How it was measured
- Machine: {machine}.
- Checkpoint: {source}, revision `{revision}`.
- One thread, pinned to one core where the system can; batch of one, no padding; token ids drawn at random, the same
  for all.
- Every candidate takes one turn in each round, in an order drawn anew: {rounds} rounds. In a turn it runs twice and the
  second run counts. Sessions are made anew several times on the way, since where their weights happen to lie in memory
  is worth two percent. The table has medians; a change is the median, over all rounds, of the ratio to the shipped
  model.
- The time is the processor's for that thread, since the machine may be shared: on an idle one it is the clock's.
- A start is a fresh process, from the interpreter's start to the first score, with the files in memory already; its own
  {starts} rounds.
- The model directory holds the graph, its weights, `tokenizer.json` and `model.json`.
- Versions: {versions}.
"""


@dataclass(frozen=True)
class Report:
    """All that was measured, and what it was measured with."""

    command: str
    date: str
    machine: str
    source: str
    revision: str
    versions: dict[str, str]
    references: int
    rounds: dict[int, int]
    starts: int
    labelled_texts: int
    full_precision: Quality | None
    candidates: Sequence[Candidate]
    findings: Sequence[Finding]

    def write(self, folder: Path) -> None:
        """Write both files."""
        folder.mkdir(parents=True, exist_ok=True)
        fields = json.dumps(self.as_json(), indent=2, ensure_ascii=False)
        (folder / "rewrites.json").write_text(fields + "\n", encoding="utf-8")
        (folder / "rewrites.md").write_text(self.as_markdown(), encoding="utf-8")

    def as_json(self) -> dict[str, Any]:
        """Return the fields of rewrites.json."""
        kept = ("command", "date", "machine", "source", "revision", "versions", "rounds", "starts", "labelled_texts")
        fields = {name: getattr(self, name) for name in kept}
        fields["auc_pytorch"] = self.full_precision.auc if self.full_precision else None
        fields["faster_than_it_ships"] = [finding.name for finding in faster(self.findings)]
        fields["candidates"] = [
            finding.as_json() | {"what": candidate.what, "decision": candidate.decision}
            for candidate, finding in zip(self.candidates, self.findings, strict=True)
        ]
        return fields

    def as_markdown(self) -> str:
        """Return the page."""
        return PAGE.format(
            command=self.command,
            date=self.date,
            speeds=speed_table(self.findings),
            judgement=self._judgement(),
            references=self.references,
            labelled=self._labelled(),
            answers=self._answer_table(),
            decisions=self._decisions(),
            machine=self.machine,
            source=self.source,
            revision=self.revision,
            rounds=", ".join(f"{count} ({tokens} tokens)" for tokens, count in self.rounds.items()),
            starts=self.starts,
            versions=", ".join(f"{name} {number}" for name, number in self.versions.items()),
        )

    def _judgement(self) -> str:
        found = ", ".join(f"`{finding.name}` ({finding.mean_change:+.1%})" for finding in faster(self.findings))
        return (
            f"Faster than as it ships, averaged over the lengths, by more than the noise, {noise(self.findings):.1%}: "
            f"{found or 'none'}."
        )

    def _labelled(self) -> str:
        if self.full_precision is None:
            return "; no labelled texts were given"
        return (
            f"; for candidates that round otherwise, ROC AUC on {self.labelled_texts:,} labelled texts, PyTorch's own "
            f"being {self.full_precision.auc:.4f}, and the share of verdicts that differ from PyTorch's"
        )

    def _answer_table(self) -> str:
        lines = [
            "| candidate | difference | ROC AUC | changed verdicts | operators, beside those that ship |",
            "| --- | --- | --- | --- | --- |",
        ]
        for finding in self.findings:
            quality = finding.quality
            judged = f"{quality.auc:.4f} | {quality.changed_verdicts:.1%}" if quality else "- | -"
            operators = ", ".join(f"{count:+} {kind}" for kind, count in finding.operators.items())
            lines.append(f"| `{finding.name}` | {finding.difference:.4f} | {judged} | {operators or 'the same'} |")
        return "\n".join(lines)

    def _decisions(self) -> str:
        lines = []
        topic = ""
        for candidate in self.candidates:
            if candidate.topic != topic:
                topic = candidate.topic
                lines.append(f"\n### {topic}")
            lines.append(f"- `{candidate.name}`: {candidate.what} {candidate.decision}")
        return "\n".join(lines).strip()


def speed_table(findings: Sequence[Finding]) -> str:
    """Return the figures of speed and size as a table in Markdown."""
    shipped = next(finding for finding in findings if finding.name == SHIPPED)
    lengths = list(shipped.speeds)
    lines = [
        f"| candidate | {' | '.join(f'{tokens} tokens' for tokens in lengths)} | start | MB |",
        "| --- " * (len(lengths) + 3) + "|",
    ]
    for finding in findings:
        times = [_time(finding.speeds[tokens], 2, finding is shipped) for tokens in lengths]
        times.append(_time(finding.start, 0, finding is shipped))
        change = "" if finding is shipped else f" ({finding.bytes / shipped.bytes - 1:+.0%})"
        lines.append(f"| `{finding.name}` | {' | '.join(times)} | {finding.bytes / 1e6:.1f}{change} |")
    return "\n".join(lines)


def noise(findings: Sequence[Finding]) -> float:
    """Return how far the control, which is the shipped model, seems to be from it."""
    return max([LEAST_CHANGE, *(abs(finding.mean_change) for finding in findings if finding.name == "control")])


def faster(findings: Sequence[Finding]) -> list[Finding]:
    """Return the candidates that beat the shipped model by more than the noise."""
    return [finding for finding in findings if finding.mean_change < -noise(findings)]


def _time(speed: Speed, digits: int, is_shipped: bool) -> str:
    change = "" if is_shipped else f" ({speed.change:+.0%})"
    return f"{speed.milliseconds:.{digits}f}{change}"
