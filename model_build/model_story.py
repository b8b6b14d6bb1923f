"""Fields of `model.json` come in; sections of its card come out: all that people want to know beyond the files.

`about` is written by whoever trained the model: data, training, what it is not for. Calibration, evaluation and
examples are measured; every figure here is copied from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CALIBRATION = """\
## Calibration
The logits are divided by {temperature:.4g}, which minimises the negative log-likelihood of {rows:,} texts that were
neither trained on nor reported below (split {split}; {before:.3f} before, {after:.3f} after; calibration error
{error_before:.3f} before, {error_after:.3f} after). Of the harmless work-like texts among them ({work_sources})
{likely:.1%} reach the threshold and {maybe:.1%} the lower one. Measured on {date}.
"""

EVALUATION = """\
## Evaluation
On {rows:,} texts, {toxic:,} of them toxic (split {split} of {file}), measured on {date} on {machine}. The baseline is
a linear model over character and word n-grams, trained on every row of the split train. Square brackets: 95 %
confidence interval.

| | this model | n-grams |
| --- | --- | --- |
{summary}

By source, ROC AUC:

| source | texts | toxic | this model | n-grams |
| --- | --- | --- | --- | --- |
{sources}

{below}

By slice, ROC AUC, and at the threshold the share of toxic texts that is found and of harmless ones called toxic:

| slice | texts | toxic | this model | n-grams | found | false alarms |
| --- | --- | --- | --- | --- | --- | --- |
{slices}
"""

EXAMPLES = """\
## Known failures
{texts} messages written for the purpose, {right} of them judged as a person would (likely toxic, or not). By kind:

| kind | a person says | right |
| --- | --- | --- |
{kinds}

Those that it gets wrong:

| message | a person says | toxicity |
| --- | --- | --- |
{wrong}
"""

# What the summary shows: the words for it, the group of figures, the figure.
SUMMARY = (
    ("ROC AUC, mean of the sources", "mean", "auc"),
    ("ROC AUC, all texts together", "all", "auc"),
    ("toxic texts found where 1 harmless one in 100 is called toxic", "all", "tpr_at_1_percent"),
    ("toxic texts found where 1 harmless one in 1,000 is called toxic", "all", "tpr_at_1_permille"),
    ("sensitivity at the threshold", "all", "sensitivity"),
    ("specificity at the threshold", "all", "specificity"),
    ("F1 at the threshold", "all", "f1"),
    ("calibration error", "all", "calibration_error"),
)


def about(story: Mapping[str, Any]) -> str:
    """Return the sections on data, training and purpose; nothing where `story` is empty."""
    parts = []
    if summary := story.get("summary"):
        parts.append(f"\n{summary}\n")
    if data := story.get("data"):
        rows = (f"| {row['name']} | {row['origin']} | {row['licence']} | {row['use']} |" for row in data)
        parts.append(_section("Data", "| name | from | licence | used for |\n| --- | --- | --- | --- |", *rows))
    if steps := story.get("training"):
        parts.append(_section("Training", *(f"{number}. {step}" for number, step in enumerate(steps, start=1))))
    if purposes := story.get("not_for"):
        parts.append(_section("What it must not be used for", *(f"- {purpose}" for purpose in purposes)))
    return "".join(parts)


def measured(figures: Mapping[str, Any]) -> str:
    """Return the sections on calibration, evaluation and examples, each where it was measured."""
    parts = []
    if calibration := figures.get("calibration"):
        parts.append(_calibration(calibration))
    if evaluation := figures.get("evaluation"):
        parts.append(_evaluation(evaluation))
    if examples := figures.get("examples"):
        parts.append(_examples(examples))
    return "".join(f"\n{part}" for part in parts)


def _section(title: str, *lines: str) -> str:
    return "\n".join((f"\n## {title}", *lines, ""))


def _calibration(found: Mapping[str, Any]) -> str:
    before, after = found["negative_log_likelihood"]
    error_before, error_after = found["calibration_error"]
    return CALIBRATION.format(
        temperature=found["temperature"],
        rows=found["rows"],
        split=found["data"]["split"],
        date=found["date"],
        before=before,
        after=after,
        error_before=error_before,
        error_after=error_after,
        work_sources=", ".join(found["work_sources"]),
        likely=found["threshold"]["work"]["false_positive_rate"],
        maybe=found["threshold_maybe"]["work"]["false_positive_rate"],
    )


def _evaluation(found: Mapping[str, Any]) -> str:
    model, baseline, data, rules = found["model"], found["baseline"], found["data"], found["slices"]
    below = model["below_baseline"]
    return EVALUATION.format(
        **{key: data[key] for key in ("rows", "toxic", "split", "file")},
        date=found["date"],
        machine=found["machine"],
        summary="\n".join(
            _row(words, _figure(model[group], name), _figure(baseline[group], name)) for words, group, name in SUMMARY
        ),
        sources="\n".join(
            _row(name, *_counts(data["sources"][name]), *_aucs(ours, baseline["sources"][name]))
            for name, ours in model["sources"].items()
            if ours["auc"] is not None
        ),
        below=f"The n-grams rank {_listed(below)} as well or better." if below else "They rank no source better.",
        slices="\n".join(
            _row(
                f"{name}: {rules[name]['rule']}",
                *_counts(rules[name]),
                *_aucs(ours, baseline["slices"][name]),
                _figure(ours, "sensitivity"),
                _figure(ours, "false_positive_rate"),
            )
            for name, ours in model["slices"].items()
        ),
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _counts(group: Mapping[str, Any]) -> tuple[str, str]:
    return f"{group['rows']:,}", f"{group['toxic']:,}"


def _aucs(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[str, str]:
    return _figure(ours, "auc"), _figure(theirs, "auc")


def _examples(examples: Sequence[Mapping[str, Any]]) -> str:
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for example in examples:
        kinds.setdefault(example["kind"], []).append(example)
    return EXAMPLES.format(
        texts=len(examples),
        right=sum(example["right"] for example in examples),
        kinds="\n".join(
            f"| {kind} | {rows[0]['expected']} | {sum(row['right'] for row in rows)} of {len(rows)} |"
            for kind, rows in kinds.items()
        ),
        wrong="\n".join(
            f"| {row['text']} | {row['expected']} | {row['toxicity']:.2f} |" for row in examples if not row["right"]
        ),
    )


def _figure(figures: Mapping[str, Any], name: str) -> str:
    value, interval = figures[name], figures.get(f"{name}_interval")
    if value is None:
        return "\u2013"
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else f"{value:.3f}"


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
