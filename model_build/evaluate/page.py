"""A report comes in, report.md comes out: for people who do not train models, each table with what it says first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_build.evaluate.baseline import NAME as BASELINE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model_build.evaluate.figures import Figures
    from model_build.evaluate.intervals import Interval
    from model_build.evaluate.judgement import Judgement
    from model_build.evaluate.report import Report

PAGE = """\
# How good is the model?

Written by `{command}` on {date}. [`report.json`](report.json) has the same numbers, and more, for programs.

{rows:,} messages of {file}, split {split}{drawn}: {toxic:,} of them labelled toxic by people, from
{sources} collection{plural}. The figures say something only of models that were not trained on them. Every table has
the **{baseline}** as well: a classifier without any understanding, which counts pieces of words. A model that does not
beat it is not worth its size.

{summary}

## Verdicts
What somebody sees who uses a model as it is, at its own threshold. *Sensitivity*: of 100 toxic messages, how many it
calls toxic; the others are *false negatives*, missed. *Specificity*: of 100 harmless ones, how many it calls
harmless; the others are *false positives*, false alarms. A lower threshold gives fewer misses and more false alarms.

{verdicts}

## Ranking
How well the scores tell toxic from harmless, whatever the threshold. *AUC*: how often a toxic message scores above a
harmless one; 0.5 is chance, 1 is perfect. *Mean AUC*: that of each collection, averaged, so that a large or an easy
one does not decide; **the figure to compare models by**. *Found at 1 %*: how many of 100 toxic messages are found by a
threshold that calls 1 of 100 harmless ones toxic; *at 0.1 %*, 1 of 1,000. *Average precision*: the share of right
alarms, averaged over all thresholds. *F1*: misses and false alarms at the model's own threshold in one number. In
brackets the 95 % interval: where the figure would likely lie with other messages of the same kind.

{ranking}

![What is found, and at what price](roc.png)

## Can the score be believed?
Of the messages that score 80 %, are 80 % toxic? *Calibration error*: by how much score and share differ on average, in
percentage points. Below the first diagram: how the scores of harmless and of toxic messages lie.

{calibration}

![Score and share of toxic messages](reliability.png)

![Scores of harmless and of toxic messages](scores.png)

## By collection
AUC by where the messages are from, with its interval. Small collections have wide ones, or none where messages of one
label are too few. A dash: all messages of the collection have the same label, so that nothing can be ranked.

{by_source}

{below}

And at each model's threshold: toxic messages found / harmless ones called toxic, of 100.

{by_source_verdicts}

## Where classifiers are known to fail
AUC on messages that have something in common, or with every message written otherwise.

{by_slice}

At each model's threshold: toxic messages found / harmless ones called toxic, of 100.

{by_slice_verdicts}

{slices}

## How it was measured
- Machine: {machine}; {threads}. Its load average when the command began, 1.0 being one busy core: {load:.1f}.
- ms a text: the median of {timed} messages of the split, one at a time. MB: what is loaded; of a checkpoint, the
  weights.
- Models: {contestants}.
- Data: `{file}`, sha256 `{sha256:.12}..`. Texts are folded by the bot's own `message_text.fold`; in PyTorch they are
  cut at the longest sequence the model reads, as served they are scored in windows.
- Intervals: percentile bootstrap, {draws:,} draws of the rows within each collection, the same for all models;
  seed {seed}.
- *Found at 0.1 %* has a figure only where there are 1,000 harmless messages or more.
- Calibration error: expected calibration error over 15 bins of equal width (Guo et al. 2017).
- Versions: {versions}.
- Labels are judgements of people who did not always agree, made for other purposes than this; in some
  collections "harmless" means free of one kind of hatred only. No figure here is that of another workplace's chat.
"""

NO_FIGURE = "-"


def page(report: Report) -> str:
    """Return the page as Markdown."""
    found = report.judgements
    selection = report.selection
    sources = {name: found[0].sources[name] for name in selection.source_names()}
    return PAGE.format(
        command=report.command,
        date=report.date,
        rows=len(selection.texts),
        toxic=int(selection.labels.sum()),
        sources=len(sources),
        plural="s" if len(sources) > 1 else "",
        file=selection.file,
        split=selection.split,
        drawn=f", at most {selection.per_source} of each, drawn at random" if selection.per_source else "",
        baseline=BASELINE,
        summary=_summary(report),
        verdicts=_verdicts(found),
        ranking=_ranking(found),
        calibration=_calibration(found),
        by_source=_by_source(report),
        below="\n".join(_below(one, report.baseline) for one in found[1:]),
        by_source_verdicts=_matrix("collection", found, list(sources), lambda one, name: _pair(one.sources[name])),
        by_slice=_by_slice(report),
        by_slice_verdicts=_matrix(
            "slice", found, [part.name for part in report.slices], lambda one, name: _pair(one.slices[name])
        ),
        slices="\n".join(f"- *{part.name}*: {part.rule}." for part in report.slices),
        machine=report.machine,
        threads=f"{report.threads} thread{'s' if report.threads > 1 else ''}",
        load=report.load,
        timed=report.timed,
        contestants="; ".join(
            f"{one.contestant.name}: {one.contestant.kind}, threshold {one.contestant.threshold:g}, checksum "
            f"`{one.contestant.checksum:.12}..`"
            for one in found
        ),
        sha256=selection.sha256,
        draws=report.draws,
        seed=report.seed,
        versions=", ".join(f"{name} {number}" for name, number in report.versions.items()),
    )


def _summary(report: Report) -> str:
    """One sentence for each model: does it beat the baseline, and by more than chance would?"""
    lines = []
    for one in report.judgements[1:]:
        above = one.intervals.mean_source_auc_above_baseline
        if above is None:
            said = "too few messages to say whether it beats the baseline"
        elif above[0] > 0:
            said = f"beats the baseline by {_apart(one, report.baseline)} (95 % interval {_span(above)})"
        elif above[1] < 0:
            below = (-above[1], -above[0])
            said = f"**is beaten by the baseline** by {_apart(report.baseline, one)} (95 % interval {_span(below)})"
        else:
            said = f"**cannot be told from the baseline**: the 95 % interval of the difference is {_span(above)}"
        lines.append(f"- **{one.contestant.name}**: mean AUC {_number(one.mean.auc)}; {said}.")
    return "\n".join(lines)


def _apart(better: Judgement, worse: Judgement) -> str:
    return f"{(better.mean.auc or 0) - (worse.mean.auc or 0):.3f} of AUC"


def _below(one: Judgement, baseline: Judgement) -> str:
    if not (names := one.below(baseline)):
        return f"**{one.contestant.name}** is above the baseline on every collection."
    return f"**{one.contestant.name} is not above the baseline on {', '.join(names)}.**"


def _verdicts(found: Sequence[Judgement]) -> str:
    heads = ("model", "sensitivity %", "false negatives %", "specificity %", "false positives %", "MB", "ms a text")
    rows = [
        (
            one.contestant.name,
            _percent(one.overall.sensitivity),
            _percent(one.overall.false_negative_rate),
            _percent(one.overall.specificity),
            _percent(one.overall.false_positive_rate),
            f"{one.contestant.bytes / 1e6:.0f}",
            f"{one.milliseconds:.1f}",
        )
        for one in found
    ]
    return _table(heads, rows)


def _ranking(found: Sequence[Judgement]) -> str:
    heads = ("model", "mean AUC", "AUC, all messages", "found at 1 %", "found at 0.1 %", "average precision", "F1")
    rows = [
        (
            one.contestant.name,
            _with_ends(one.mean.auc, one.intervals.mean_source_auc),
            _with_ends(one.overall.auc, one.intervals.auc),
            _with_ends(one.overall.tpr_at_1_percent, one.intervals.tpr_at_1_percent, _percent),
            _percent(one.overall.tpr_at_1_permille),
            _number(one.overall.average_precision),
            _number(one.overall.f1),
        )
        for one in found
    ]
    return _table(heads, rows)


def _calibration(found: Sequence[Judgement]) -> str:
    rows = [
        (one.contestant.name, _percent(one.overall.calibration_error), _percent(one.mean.calibration_error))
        for one in found
    ]
    return _table(("model", "calibration error, all messages", "mean over collections"), rows)


def _by_source(report: Report) -> str:
    heads = ("collection", "messages", "toxic", *(one.contestant.name for one in report.judgements))
    rows = []
    for name, size in report.selection.as_json()["sources"].items():
        aucs = [_with_ends(one.sources[name].auc, one.intervals.source_auc[name]) for one in report.judgements]
        rows.append((name, f"{size['rows']:,}", f"{size['toxic']:,}", *aucs))
    return _table(heads, rows)


def _by_slice(report: Report) -> str:
    heads = ("slice", "messages", "toxic", *(one.contestant.name for one in report.judgements))
    rows = []
    for part in report.slices:
        toxic = int(report.selection.labels[part.rows].sum())
        aucs = [_number(one.slices[part.name].auc) for one in report.judgements]
        rows.append((part.name, f"{len(part.rows):,}", f"{toxic:,}", *aucs))
    return _table(heads, rows)


def _matrix(head: str, found: Sequence[Judgement], names: Sequence[str], cell: Callable[[Judgement, str], str]) -> str:
    rows = [(name, *(cell(one, name) for one in found)) for name in names]
    return _table((head, *(one.contestant.name for one in found)), rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ("---", *("---:" for _ in heads[1:])), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _pair(figures: Figures) -> str:
    return f"{_percent(figures.sensitivity)} / {_percent(figures.false_positive_rate)}"


def _with_ends(
    value: float | None, interval: Interval | None, shown: Callable[[float | None], str] | None = None
) -> str:
    shown = shown or _number
    return shown(value) if interval is None else f"{shown(value)} ({shown(interval[0])} to {shown(interval[1])})"


def _span(interval: Interval) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}"


def _number(value: float | None) -> str:
    return NO_FIGURE if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return NO_FIGURE if value is None else f"{100 * value:.1f}"
