"""`toxicity-bot score`: add the bot's scores to the rows of a file."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from toxicity_bot.bulk import Score, Workers
from toxicity_bot.cpus import available_cpus
from toxicity_bot.errors import FileError
from toxicity_bot.model_directory import ModelDirectory, embedded
from toxicity_bot.settings import Settings, Thresholds

from .output import Output
from .rows import EXTENSIONS, STDIO, Format, Formatter, Lines, Row, format_of, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Limits of a batch, which takes the model a fraction of a second.
MAX_BATCH_ROWS = 32
MAX_BATCH_CHARACTERS = 2_000
ADDED_COLUMNS = (*Score._fields, "model")
_NO_SCORE = Score(None, "", "")


@dataclass
class _Batch:
    rows: list[Row] = field(default_factory=list)
    digest: str = ""
    """Of the input, up to these rows."""

    def texts(self) -> list[str]:
        return [row.text for row in self.rows if not row.error]


def score(
    messages: Annotated[str, typer.Argument(help="The file to score, .gz or .xz too; - is standard input.")],
    out: Annotated[str, typer.Option(help="The file to write; - is standard output.")] = STDIO,
    text_column: Annotated[str, typer.Option(help="The column or field with the text.")] = "text",
    format: Annotated[  # noqa: A002 - the option's name
        Format | None, typer.Option(help="The input's format, if its extension does not say it.")
    ] = None,
    on_error: Annotated[
        Literal["stop", "write"],
        typer.Option(help="At a bad row: stop, or write the row with the reason in a column 'error'."),
    ] = "stop",
    prefix: Annotated[str, typer.Option(help="A prefix for added columns whose names the file already has.")] = "",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that score; default: one per core.")] = None,
    model: Annotated[
        Path | None, typer.Option(envvar="MODEL_DIR", help="The model directory; default: the shipped model.")
    ] = None,
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start over, even if --out exists.")] = False,
) -> None:
    """Add toxicity, verdict, language and model to each row of a file.

    If a run stops early, the same command continues where it stopped.
    """
    kind = _input_format(messages, format)
    out_kind = _output_format(out, kind, given=format is not None)
    if messages != STDIO and os.path.exists(out) and os.path.samefile(messages, out):  # noqa: PTH110, PTH121
        raise FileError(out, "is the input: choose another --out")
    directory = ModelDirectory.read(model or embedded())
    own = Thresholds(directory.threshold, directory.threshold_maybe)
    thresholds = Settings.from_environ(os.environ).thresholds(own)
    lines = Lines(messages)
    options = [kind, out_kind, text_column, on_error, prefix, directory.version, *thresholds]
    output = Output(out, options, overwrite=overwrite)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    added = {name: f"{prefix}{name}" for name in (*ADDED_COLUMNS, *(["error"] if on_error == "write" else []))}
    with Workers(workers or available_cpus(), directory.path.absolute(), thresholds) as pool:
        _Run(lines, output, Formatter(out_kind), added, directory.name).score(read(lines, kind, text_column), pool)


@dataclass
class _Run:
    lines: Lines
    output: Output
    formatter: Formatter
    added: dict[str, str]
    """The names of added columns."""
    model: str
    bad: int = 0
    header: bytes = b""

    def score(self, rows: Iterator[Row], pool: Workers) -> None:
        """Score the rows that the output does not have yet."""
        started, before = time.monotonic(), self.output.progress.rows
        bar = _bar(before) if sys.stderr.isatty() else None
        try:
            for batch, scores in pool.score(self._batches(rows), _Batch.texts):
                data = b"".join(self._formatted(row, _NO_SCORE if row.error else next(scores)) for row in batch.rows)
                self.output.write(self.header + data, len(batch.rows), batch.digest)
                self.header = b""
                if bar is not None:
                    self._show(bar, len(batch.rows))
            self.output.write(self.header, 0, self.lines.digest())
        except KeyboardInterrupt:
            self.output.commit()
            resume = ": the same command continues from there" if self.output.resumes else ""
            print(f"{self.output.progress.rows:,} rows are written{resume}", file=sys.stderr)
            raise typer.Exit(130) from None
        finally:
            if bar is not None:
                bar.close()
            self.output.commit()
        self.output.finish()
        done, seconds = self.output.progress.rows - before, time.monotonic() - started
        rate = f"{done:,} rows in {seconds:.1f} s, {done / seconds:.0f} a second"
        print(f"{rate}: {pool.hits:,} repeated a text, {self.bad:,} were bad", file=sys.stderr)

    def _batches(self, rows: Iterator[Row]) -> Iterator[_Batch]:
        """Yield the rows in batches. An error in the input is raised after the rows before it."""
        batch, characters = _Batch(), 0
        try:
            for row in self._remaining(rows):
                self._check(row)
                batch.rows.append(row)
                batch.digest = self.lines.digest()
                characters += len(row.text)
                if len(batch.rows) == MAX_BATCH_ROWS or characters >= MAX_BATCH_CHARACTERS:
                    yield batch
                    batch, characters = _Batch(), 0
        except FileError:
            if batch.rows:
                yield batch
            raise
        if batch.rows:
            yield batch

    def _remaining(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Return the rows that the output does not have yet, after checking that it has the earlier ones."""
        done, first = self.output.progress, list(islice(rows, 1))
        names = self.lines.names or [name for row in first for name in row.fields]
        self._check_names(names)
        header = self.formatter.begin([*names, *self.added.values()])
        self.header = b"" if done.rows else header
        every = chain(first, rows)
        if sum(1 for _ in islice(every, done.rows)) < done.rows or (done.rows and self.lines.digest() != done.input):
            reason = f"is not the input that {self.output.name} was started with: --overwrite starts over"
            raise FileError(self.lines.name, reason)
        return every

    def _check_names(self, names: Iterable[str]) -> None:
        if taken := set(self.added.values()).intersection(names):
            raise FileError(self.lines.name, f"has a column {min(taken)!r} already: use a --prefix for the new ones")

    def _check(self, row: Row) -> None:
        self._check_names(row.fields)
        row.error = row.error or self.formatter.misfit(row.fields)
        if row.error and "error" not in self.added:
            raise FileError(f"{self.lines.name}, line {row.line:,}:", row.error)

    def _formatted(self, row: Row, score: Score) -> bytes:
        values = {**score._asdict(), "model": self.model, "error": row.error}
        self.bad += bool(row.error)
        return self.formatter.row(row.fields | {name: values[key] for key, name in self.added.items()})

    def _show(self, bar: Any, rows: int) -> None:
        """Update the progress bar. Its total is estimated from the bytes read, except for standard input."""
        bar.update(rows)
        if self.lines.size and (position := self.lines.position):
            bar.total = max(bar.n, round(bar.n * self.lines.size / position))


def _bar(rows: int) -> Any:
    from tqdm import tqdm

    return tqdm(initial=rows, total=rows, unit=" rows", unit_scale=True, dynamic_ncols=True)


def _input_format(messages: str, chosen: Format | None) -> Format:
    if kind := chosen or format_of(messages):
        return kind
    what = "of standard input" if messages == STDIO else f"of {messages}"
    raise FileError("the format", f"{what} is unknown: use --format or one of the extensions {', '.join(EXTENSIONS)}")


def _output_format(out: str, kind: Format, *, given: bool) -> Format:
    """Return the format from the output's name, or the input's format. Plain lines become JSON lines."""
    found = format_of(out)
    if found == "lines":
        raise FileError(out, "would have plain lines, which have no columns: use .jsonl, .csv or .tsv")
    if not (found or given or out == STDIO or (Path(out).exists() and not Path(out).is_file())):
        raise FileError(out, f"has no extension of a known format: use one of {', '.join(EXTENSIONS)}")
    return found or ("jsonl" if kind == "lines" else kind)
