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
from toxicity_bot.errors import FileError
from toxicity_bot.model_directory import ModelDirectory, embedded
from toxicity_bot.settings import Settings, Thresholds

from .output import Output
from .rows import EXTENSIONS, STANDARD, Format, Formatter, Lines, Row, format_of, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# A batch has so many rows or characters, a fraction of a second for the model.
MOST_ROWS = 32
MOST_CHARACTERS = 2_000
ADDED = (*Score._fields, "model")
_NOTHING = Score(None, "", "")


@dataclass
class _Batch:
    rows: list[Row] = field(default_factory=list)
    digest: str = ""
    """Of the input, as far as these rows."""

    def texts(self) -> list[str]:
        return [row.text for row in self.rows if not row.error]


def score(
    messages: Annotated[str, typer.Argument(help="The file to score, .gz or .xz too; - is standard input.")],
    out: Annotated[str, typer.Option(help="The file to write; - is standard output.")] = STANDARD,
    text_column: Annotated[str, typer.Option(help="The column or field with the text.")] = "text",
    format: Annotated[  # noqa: A002 - the option's name
        Format | None, typer.Option(help="Of the input, where its extension does not tell.")
    ] = None,
    on_error: Annotated[
        Literal["stop", "write"],
        typer.Option(help="At a bad row: stop there, or write it with the reason in a column 'error'."),
    ] = "stop",
    prefix: Annotated[str, typer.Option(help="Begins the names of added columns, where the file has such ones.")] = "",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that score; by default one per core.")] = None,
    model: Annotated[
        Path | None, typer.Option(envvar="MODEL_DIR", help="The model directory; by default the one that ships.")
    ] = None,
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin anew, whatever --out has.")] = False,
) -> None:
    """Add toxicity, verdict, language and model to each row of a file.

    An unfinished run goes on where it stopped if the same command is given again.
    """
    kind = _input_format(messages, format)
    out_kind = _output_format(out, kind, given=format is not None)
    if messages != STANDARD and os.path.exists(out) and os.path.samefile(messages, out):  # noqa: PTH110, PTH121
        raise FileError(out, "is the input: choose another --out")
    directory = ModelDirectory.read(model or embedded())
    own = Thresholds(directory.threshold, directory.threshold_maybe)
    thresholds = Settings.from_environ(os.environ).thresholds(own)
    lines = Lines(messages)
    options = [kind, out_kind, text_column, on_error, prefix, directory.version, *thresholds]
    output = Output(out, options, overwrite=overwrite)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    added = {name: f"{prefix}{name}" for name in (*ADDED, *(["error"] if on_error == "write" else []))}
    with Workers(workers or len(os.sched_getaffinity(0)), directory.path.absolute(), thresholds) as pool:
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
                data = b"".join(self._formatted(row, _NOTHING if row.error else next(scores)) for row in batch.rows)
                self.output.write(self.header + data, len(batch.rows), batch.digest)
                self.header = b""
                if bar is not None:
                    self._show(bar, len(batch.rows))
            self.output.write(self.header, 0, self.lines.digest())
        except KeyboardInterrupt:
            self.output.commit()
            goes_on = ": the same command goes on from there" if self.output.resumes else ""
            print(f"{self.output.progress.rows:,} rows are written{goes_on}", file=sys.stderr)
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
        """Yield the rows in batches; whatever is wrong with the input is raised after the rows before it."""
        batch, characters = _Batch(), 0
        try:
            for row in self._remaining(rows):
                self._check(row)
                batch.rows.append(row)
                batch.digest = self.lines.digest()
                characters += len(row.text)
                if len(batch.rows) == MOST_ROWS or characters >= MOST_CHARACTERS:
                    yield batch
                    batch, characters = _Batch(), 0
        except FileError:
            if batch.rows:
                yield batch
            raise
        if batch.rows:
            yield batch

    def _remaining(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Return the rows that the output does not have yet, once it is sure that it has the others."""
        done, first = self.output.progress, list(islice(rows, 1))
        names = self.lines.names or [name for row in first for name in row.fields]
        self._check_names(names)
        header = self.formatter.begin([*names, *self.added.values()])
        self.header = b"" if done.rows else header
        every = chain(first, rows)
        if sum(1 for _ in islice(every, done.rows)) < done.rows or (done.rows and self.lines.digest() != done.input):
            raise FileError(self.lines.name, f"is not what {self.output.name} was begun with: --overwrite begins anew")
        return every

    def _check_names(self, names: Iterable[str]) -> None:
        if taken := set(self.added.values()).intersection(names):
            raise FileError(self.lines.name, f"has a column {min(taken)!r} already: give the new ones a --prefix")

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
        """Tell tqdm how many rows there may be, by the bytes that were read; of standard input that is not known."""
        bar.update(rows)
        if self.lines.size and (position := self.lines.position):
            bar.total = max(bar.n, round(bar.n * self.lines.size / position))


def _bar(rows: int) -> Any:
    from tqdm import tqdm

    return tqdm(initial=rows, total=rows, unit=" rows", unit_scale=True, dynamic_ncols=True)


def _input_format(messages: str, given: Format | None) -> Format:
    if kind := given or format_of(messages):
        return kind
    what = "of standard input" if messages == STANDARD else f"of {messages}"
    raise FileError("the format", f"{what} is not known by an extension ({', '.join(EXTENSIONS)}): give --format")


def _output_format(out: str, kind: Format, *, given: bool) -> Format:
    """Return the format that the name of the output tells, else that of the input; plain lines become JSON lines."""
    found = format_of(out)
    if found == "lines":
        raise FileError(out, "would have plain lines, which have no columns: name it .jsonl, .csv or .tsv")
    if not (found or given or out == STANDARD or (Path(out).exists() and not Path(out).is_file())):
        raise FileError(out, f"has no extension that tells a format: use one of {', '.join(EXTENSIONS)}")
    return found or ("jsonl" if kind == "lines" else kind)
