"""`toxicity-bot score`: formats, interruptions, invalid rows and invalid files."""

import csv
import gzip
import io
import json
import lzma
import os
import resource
import select
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from toxicity_bot.bulk import BATCHES_PER_WORKER
from toxicity_bot.classifier import Classifier
from toxicity_bot.commands.rows import COMPRESS

TEXTS = [
    "You are a stupid, useless dog.",
    'Thanks, "that"\nfixed it for everybody.',
    "",
    "Cela ne fonctionne pas du tout sur ma machine.",
    ":tada:",
    "You are a stupid, useless dog.",
    "Nul\u2019 ligne, \U0001f600 na\u00efve \u0130",
    "We looked at the plan and agreed to merge it. " * 80,
]
DELIMITERS = {"csv": ",", "tsv": "\t"}
MANY = [f"{number} {text}".replace("\n", " ") for number in range(40) for text in TEXTS[:-1]]


def start(folder: Path, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "toxicity_bot.commands", "score", *arguments]
    environ = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "OMP_NUM_THREADS")}
    environ |= {"PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environ, stdin=pipe, stdout=pipe, stderr=pipe, **options)


def run(folder: Path, *arguments: str, given: bytes = b"", status: int = 0, **options: Any) -> tuple[bytes, str]:
    process = start(folder, *arguments, **options)
    out, err = process.communicate(given)
    assert process.returncode == status, err.decode()
    return out, err.decode()


def children(process: subprocess.Popen[bytes]) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def written(kind: str, rows: list[dict[str, Any]]) -> bytes:
    if kind not in DELIMITERS:
        return lines([row["body"] if kind == "txt" else json.dumps(row) for row in rows])
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(rows[0]), delimiter=DELIMITERS[kind])
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def parsed(kind: str, content: bytes) -> list[dict[str, Any]]:
    if kind == "jsonl":
        return [json.loads(line) for line in content.splitlines()]
    rows = csv.DictReader(io.StringIO(content.decode(), newline=""), delimiter=DELIMITERS[kind])
    return [row | {"toxicity": float(row["toxicity"]) if row["toxicity"] else None} for row in rows]


def unzipped(file: Path) -> bytes:
    unzip = {".gz": gzip.decompress, ".xz": lzma.decompress}.get(file.suffix, bytes)
    return unzip(file.read_bytes())


def lines(texts: list[str]) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()


@pytest.mark.parametrize(
    ("name", "out"),
    [
        ("in.csv", "out.csv"), ("in.tsv.gz", "out.tsv.gz"), ("in.jsonl.xz", "out.jsonl.xz"), ("in.jsonl", "out.csv"),
        ("in.txt", "out.jsonl"),
    ],
)  # fmt: skip
def test_every_format_keeps_its_rows_and_gets_the_bots_scores(
    name: str, out: str, tmp_path: Path, classifier: Classifier
) -> None:
    kind, out_kind = name.split(".")[1], out.split(".")[1]
    texts = [text.replace("\n", " ") for text in TEXTS] if kind == "txt" else TEXTS
    rows = [{"body": text} if kind == "txt" else {"id": str(at), "body": text} for at, text in enumerate(texts)]
    compress = COMPRESS.get(Path(name).suffix, bytes)
    (tmp_path / name).write_bytes(compress(b"\xef\xbb\xbf" + written(kind, rows)))
    _, said = run(tmp_path, name, "--text-column", "body", "--out", out)
    verdicts = [classifier.verdict(text) for text in texts]
    expected: list[dict[str, Any]] = [
        row | {"toxicity": one.score, "verdict": one.outcome, "language": one.language, "model": classifier.name}
        for row, one in zip(rows, verdicts, strict=True)
    ]
    assert parsed(out_kind, unzipped(tmp_path / out)) == expected, "scores must be equal to the last bit"
    assert {one["language"] for one in expected} == {"en", "fr", ""}
    assert said.startswith("8 rows in ")
    assert "1 repeated a text, 0 were bad" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, out])


def test_standard_input_and_output(tmp_path: Path) -> None:
    out, _ = run(tmp_path, "-", "--format", "csv", given=b"text,model\nhello there,x\n", status=2)
    assert out == b""
    out, _ = run(tmp_path, "-", "--format", "csv", "--prefix", "bot_", given=b"text,model\nhello there,x\n")
    assert out.decode().splitlines()[0] == "text,model,bot_toxicity,bot_verdict,bot_language,bot_model"
    assert run(tmp_path, "-", "--format", "csv", given=b"text\n")[0] == b"text,toxicity,verdict,language,model\n"


def stopped(folder: Path, stop: signal.Signals, *arguments: str) -> int:
    """Stop a run after its first complete part. Return its exit status once its workers have ended too."""
    process = start(folder, *arguments, process_group=0)
    record = folder / f"{arguments[-1]}.progress"
    while process.poll() is None and not (record.exists() and json.loads(record.read_text())["progress"]["rows"]):
        select.select([], [], [], 0.01)
    assert process.poll() is None, "the run ended before it could be stopped"
    descriptors = [os.pidfd_open(child) for child in children(process)]
    if stop == signal.SIGKILL:
        process.kill()
    else:
        os.killpg(process.pid, stop)
    process.communicate()
    for descriptor in descriptors:
        assert select.select([descriptor], [], [], 60)[0], "a worker outlived its parent"
        os.close(descriptor)
    return process.returncode


@pytest.mark.parametrize(
    ("stop", "status", "out"),
    [(signal.SIGKILL, -9, "out.jsonl"), (signal.SIGINT, 130, "out.jsonl.gz"), (signal.SIGTERM, 130, "out.csv")],
)
def test_a_stopped_run_resumes_where_it_stopped(stop: signal.Signals, status: int, out: str, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(lines(MANY))
    run(tmp_path, "in.txt", "--workers", "1", "--out", f"whole.{out}")
    assert stopped(tmp_path, stop, "in.txt", "--workers", "1", "--out", out) == status
    record = tmp_path / f"{out}.progress"
    done = json.loads(record.read_text())["progress"]["rows"]
    assert 0 < done < len(MANY)
    with (tmp_path / out).open("ab") as file:
        file.write(b'{"text": "half of a')
    if stop == signal.SIGKILL:
        # A resumed run needs the same input up to that place and the same options.
        (tmp_path / "in.txt").write_bytes(lines(["another", *MANY[1:]]))
        assert "is not the input that out.jsonl was started with" in run(tmp_path, "in.txt", "--out", out, status=2)[1]
        (tmp_path / "in.txt").write_bytes(lines(MANY))
        assert "started with other options" in run(tmp_path, "in.txt", "--out", out, "--prefix", "x", status=2)[1]
    _, said = run(tmp_path, "in.txt", "--out", out)
    assert said.startswith(f"{len(MANY) - done} rows in ")
    assert unzipped(tmp_path / out) == unzipped(tmp_path / f"whole.{out}")
    assert not record.exists()


def test_two_runs_cannot_write_the_same_file(tmp_path: Path) -> None:
    first = start(tmp_path, "-", "--format", "lines", "--out", "out.jsonl")
    assert first.stdin
    first.stdin.write(lines(["hello there"] * 32 * (BATCHES_PER_WORKER * os.cpu_count() + 1)))  # type: ignore[operator]
    first.stdin.flush()
    while not (tmp_path / "out.jsonl.progress").exists():
        select.select([], [], [], 0.01)
    _, said = run(tmp_path, "-", "--format", "lines", "--out", "out.jsonl", status=2)
    assert "being written by another run" in said
    first.communicate()
    assert first.returncode == 0


BAD = [
    ("in.csv", b"id,text\n1,hello\n2,caf\xe9 there\n3,bye\n", 3, "it is not UTF-8"),
    ("in.csv", b"id,text\n1,hello\n2,a\0b\n3,bye\n", 3, "it has a NUL byte"),
    ("in.csv", b"id,text\n1,hello\n2\n3,bye\n", 3, "it has no 'text'"),
    ("in.csv", b"id,text\n1,hello\n2,b,c\n3,bye\n", 3, "it has 3 fields where the header has 2"),
    ("in.csv", b"id,text\n1,hello\n2," + b"x" * 1_100_000 + b"\n3,bye\n", 3, "it has more than 1,000,000 bytes"),
    ("in.jsonl", b'{"id": 1, "text": "hello"}\n{"id": 2, "text"}\n{"id": 3, "text": "bye"}\n', 2, "not a JSON object"),
    ("in.jsonl", b'{"id": 1, "text": "hello"}\n{"id": 2, "text": 7}\n{"id": 3, "text": "bye"}\n', 2, "not a string"),
    ("in.jsonl", b'{"id": 1, "text": "hello"}\n' + b"[" * 99_999 + b'\n{"id": 3, "text": "bye"}\n', 2, "JSON object"),
    ("in.jsonl", b'{"id": 1, "text": "hello"}\n{"id": 2, "n": 1e999}\n{"id": 3, "text": "bye"}\n', 2, "a JSON object"),
]


@pytest.mark.parametrize(("name", "content", "line", "reason"), BAD, ids=[f"{case[0]} {case[3]}" for case in BAD])
def test_an_invalid_row_stops_the_run_or_is_written_with_its_reason(
    name: str, content: bytes, line: int, reason: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    _, said = run(tmp_path, name, "--out", f"out.{name}", status=2)
    assert said.count("\n") == 1
    assert f"{name}, line {line}: " in said
    assert reason in said
    kind = name.split(".")[1]
    csv.field_size_limit(2_000_000)
    (before,) = parsed(kind, (tmp_path / f"out.{name}").read_bytes())
    assert before["text"] == "hello", "the row before it is complete"
    run(tmp_path, name, "--on-error", "write", "--out", f"all.{name}")
    first, bad, last = parsed(kind, (tmp_path / f"all.{name}").read_bytes())
    assert (first["text"], last["text"], first["error"], last["error"]) == ("hello", "bye", "", "")
    assert first["toxicity"] is not None
    assert last["toxicity"] is not None
    assert reason in bad["error"]
    assert bad["toxicity"] is None


def test_a_nested_row_that_can_be_read_can_be_written(tmp_path: Path) -> None:
    nested = [f'{{"text": "hello", "more": {"[" * depth}{"]" * depth}}}\n' for depth in range(850, 1000)]
    (tmp_path / "in.jsonl").write_text("".join(nested))
    run(tmp_path, "in.jsonl", "--on-error", "write", "--out", "out.jsonl")
    # The limit depends on Python's version.
    errors = [line.rpartition('"error": ')[2] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [error for error in errors if error != '""}' and "not a JSON object" not in error] == []
    assert (len(errors), errors[0]) == (len(nested), '""}')


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["none.csv"], "none.csv cannot be read: No such file"),
        (["folder.csv"], "folder.csv cannot be read: Is a directory"),
        (["empty.csv"], "empty.csv is empty"),
        (["good.csv", "--text-column", "body"], "good.csv has no column 'body', only id, text"),
        (["utf16.csv"], "utf16.csv has no header: in line 1, it has a NUL byte"),
        (["broken.csv.gz"], "broken.csv.gz cannot be read after line"),
        (["good.data"], "good.data is unknown: use --format"),
        (["-"], "standard input is unknown: use --format"),
        (["good.csv", "--out", "good.csv"], "good.csv is the input"),
        (["good.csv", "--out", "there.csv"], "there.csv exists already"),
        (["good.csv", "--out", "none/out.csv"], "none/out.csv cannot be written: No such file"),
        (["good.csv", "--out", "/dev/full"], "/dev/full cannot be written: No space left"),
        (["good.csv", "--out", "out.data"], "out.data has no extension"),
        (["good.csv", "--out", "out.txt"], "out.txt would have plain lines"),
        (["scored.csv"], "scored.csv has a column 'toxicity' already"),
        (["unclosed.csv"], "field larger than field limit"),
        (["good.csv", "--model", "none"], "none is not a directory"),
    ],
)
def test_an_invalid_file_is_reported_in_one_sentence(arguments: list[str], reason: str, tmp_path: Path) -> None:
    good = b"id,text\n1,hello\n"
    files = {"good.csv": good, "good.data": good, "there.csv": good, "scored.csv": b"text,toxicity\na,1"}
    files |= {"empty.csv": b"", "utf16.csv": good.decode().encode("utf-16"), "broken.csv.gz": gzip.compress(good)[:-9]}
    files |= {"unclosed.csv": b'text\n"' + b"hello there\n" * 100_000}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.csv").mkdir()
    _, said = run(tmp_path, *arguments, status=2)
    assert reason in said
    assert said.count("\n") == 1
    assert (tmp_path / "good.csv").read_bytes() == (tmp_path / "there.csv").read_bytes() == good


def test_a_full_disk_leaves_complete_rows_and_the_run_resumes_when_there_is_space(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(lines(MANY))
    little_room = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (20_000, 20_000))
    _, said = run(tmp_path, "in.txt", "--out", "out.jsonl", status=2, preexec_fn=little_room)
    assert said == "out.jsonl cannot be written: File too large\n"
    assert (tmp_path / "out.jsonl").read_bytes()[-1:] in (b"", b"\n")
    run(tmp_path, "in.txt", "--out", "out.jsonl")
    assert [row["text"] for row in parsed("jsonl", (tmp_path / "out.jsonl").read_bytes())] == MANY


def test_a_worker_that_dies_ends_the_run(tmp_path: Path) -> None:
    process = start(tmp_path, "-", "--format", "lines", "--workers", "1")
    assert process.stdin
    process.stdin.write(lines(["hello there"] * 32))
    process.stdin.flush()
    while not (workers := children(process)):
        select.select([], [], [], 0.01)
    os.kill(workers[0], signal.SIGKILL)
    _, err = process.communicate()
    assert process.returncode == 1
    assert b"a worker ended with exit status -9" in err
