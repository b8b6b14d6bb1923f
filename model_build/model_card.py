"""`model.json` comes in, MODEL_CARD.md for people comes out; it states nothing that is not in there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from model_build import manifest, model_story

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE_NAME = "MODEL_CARD.md"

CARD = """\
# {source}

A text classifier for the Slack toxicity bot. Written by `python -m model_build`; change `model.json`, not this file.

| | |
| --- | --- |
| source | {source} |
| revision | `{revision}` |
| licence | {licence} |
| parameters | {parameters:,} |
| labels | {labels}; toxic: {toxic} ({activation}) |
| thresholds | likely toxic from {threshold:.4g}, may be toxic from {threshold_maybe:.4g} |
| window | {window} tokens; longer texts are scored in overlapping windows and the worst one counts |
| files | {files} |
| versions | {versions} |
{about}
## How it was made
Changed to a form that computes the last layer for the first token alone, which is exact; exported to ONNX with Optimum;
fused with onnxruntime's transformer optimizer; quantized with onnxruntime's dynamic quantization, with 7-bit weights
and a scale for each output, so that CPUs without VNNI add up without overflow; its word vectors stored in 4 bits with
a scale for every 32; optimized by onnxruntime once, here, and not at every start.

| step | nodes | MB | {tokens} | largest difference to PyTorch |
| --- | --- | --- | {rules} | --- |
{steps}

One thread of the machine that built it, best of several; the difference is that of toxicity over the reference texts.

## Quality
{quality}
{evaluation}
## Reference scores
What `python -m model_build verify` expects again, within {tolerance}; the bot checks two of the texts when it starts.

| text | toxicity |
| --- | --- |
{reference}

## Limits
The score is a likelihood, not a finding of guilt. Classifiers like this one read English only, miss irony, quotation
and hate without slurs, and rate dialect, reclaimed words and mentions of identity too high. Let a person decide.
"""

QUALITY = """\
What quantization costs, on {texts:,} labelled texts, {toxic:,} of them toxic ({data}): ROC AUC {auc_served:.4f},
PyTorch at full precision {auc_pytorch:.4f}. {changed:.2%} of the verdicts differ between the two; toxicity differs by
{mean_difference:.4f} on average and {largest_difference:.4f} at most."""

NO_QUALITY = "Not measured in this build: `python -m model_build verify --source .. --quality FILE` does it."


def write(folder: Path) -> None:
    """Write the card for the model in `folder` from its `model.json`."""
    (folder / FILE_NAME).write_text(_render(manifest.read(folder)), encoding="utf-8")


def _render(fields: Mapping[str, Any]) -> str:
    steps = fields["measured"]["steps"]
    quality = fields["measured"].get("quality")
    tokens = list(steps[0]["milliseconds"])
    return CARD.format(
        **{key: fields[key] for key in ("source", "revision", "licence", "parameters", "activation", "window")},
        threshold=fields["threshold"],
        threshold_maybe=fields.get("threshold_maybe", fields["threshold"]),
        about=model_story.about(fields.get("about", {})),
        evaluation=model_story.measured(fields["measured"]),
        labels=", ".join(fields["labels"]),
        toxic=", ".join(fields["toxic_labels"]),
        files=", ".join(f"`{name}` {facts['bytes']:,} bytes" for name, facts in fields["files"].items()),
        versions=", ".join(f"{name} {number}" for name, number in sorted(fields["versions"].items())),
        tokens=" | ".join(f"ms, {count} tokens" for count in tokens),
        rules=" | ".join("---" for _ in tokens),
        steps="\n".join(_step_row(step) for step in steps),
        quality=QUALITY.format(**quality, changed=quality["changed_verdicts"]) if quality else NO_QUALITY,
        tolerance=fields["reference"]["tolerance"],
        reference="\n".join(f"| {row['text']} | {row['toxicity']:.4f} |" for row in fields["reference"]["scores"]),
    )


def _step_row(step: Mapping[str, Any]) -> str:
    speed = " | ".join(f"{milliseconds:.1f}" for milliseconds in step["milliseconds"].values())
    return f"| {step['name']} | {step['nodes']} | {step['bytes'] / 1e6:.1f} | {speed} | {step['difference']:.6f} |"
