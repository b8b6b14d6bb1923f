"""A checkpoint or a text comes in, numbered parts under a size come out, with a manifest; and the other way round.

For machines that files reach only up to a size. A checkpoint's weights travel in 16 bits. A text is cut between lines
and each part is a whole .xz file, which `pretrain --data 'PARTS/*.xz'` reads as it is.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save

from model_build.errors import ModelBuildError
from model_build.train.texts import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"
# What a checkpoint is beside its weights; runs in progress and pickles stay behind.
DESCRIPTION = ("*.json", "merges.txt", "vocab.txt")
# English text takes a third of its size; a part that turns out too large is cut again.
FIRST_GUESS = 3.0


def split(what: Path, size: int, out: Path) -> None:
    """Write a checkpoint's folder or a text as parts of at most `size` bytes into `out`, which must be new or empty.

    Raises ModelBuildError if `what` is neither or a CSV, if a weight does not fit into 16 bits, or if a line is larger
    than a part.
    """
    if out.is_dir() and any(out.iterdir()):
        raise ModelBuildError(f"{out} is not empty: parts of two things would mix; pass another --out")
    if what.is_dir():
        pieces = _checkpoint(what, size)
    elif ".csv" in what.suffixes:
        # Its first line names the columns of every part, and a field may have line breaks.
        raise ModelBuildError(f"{what} is a CSV: convert it to JSON lines first")
    elif what.is_file():
        pieces = _text(what, size)
    else:
        raise ModelBuildError(f"{what} is neither a checkpoint's folder nor a file")
    out.mkdir(parents=True, exist_ok=True)
    files: dict[str, Any] = {}
    for name, part, piece in pieces:
        (out / part).write_bytes(piece)
        files.setdefault(name, []).append(
            {"part": part, "bytes": len(piece), "sha256": hashlib.sha256(piece).hexdigest()}
        )
    (out / MANIFEST).write_text(json.dumps({"files": files}, indent=2) + "\n", encoding="utf-8")
    print(f"{sum(map(len, files.values()))} parts of at most {size:,} bytes in {out}")


def join(parts: Path, out: Path) -> None:
    """Write what `split` cut into `out`; raises ModelBuildError, before anything is written, naming a bad part."""
    try:
        files = json.loads((parts / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError) as error:
        raise ModelBuildError(f"{parts / MANIFEST} is missing or damaged: split again") from error
    for name, pieces in files.items():
        if Path(name).name != name or any(Path(piece["part"]).name != piece["part"] for piece in pieces):
            raise ModelBuildError(f"{parts / MANIFEST} names a file outside its folder: {name}")
        for piece in pieces:
            _check(parts / piece["part"], piece)
    out.mkdir(parents=True, exist_ok=True)
    for name, pieces in files.items():
        beside = out / f".{name}.new"
        with beside.open("wb") as file:
            for piece in pieces:
                file.write((parts / piece["part"]).read_bytes())
        beside.replace(out / name)
    print(f"{', '.join(sorted(files))} in {out}")


def _check(path: Path, piece: dict[str, Any]) -> None:
    if not path.is_file():
        raise ModelBuildError(f"{path.name} is missing from {path.parent}: bring it again")
    content = path.read_bytes()
    if len(content) != piece["bytes"]:
        raise ModelBuildError(f"{path.name} has {len(content):,} bytes, not {piece['bytes']:,}: bring it again")
    if hashlib.sha256(content).hexdigest() != piece["sha256"]:
        raise ModelBuildError(f"{path.name} is damaged, its checksum is another: bring it again")


def _checkpoint(folder: Path, size: int) -> Iterator[tuple[str, str, bytes]]:
    """Yield each file's name, and the name and bytes of each of its parts."""
    if not (folder / WEIGHTS).is_file() or not (folder / "config.json").is_file():
        raise ModelBuildError(f"{folder} has no {WEIGHTS} or no config.json: it is no finished checkpoint")
    described = {path.name: path for pattern in DESCRIPTION for path in sorted(folder.glob(pattern))}
    contents = {WEIGHTS: save(_sixteen_bits(folder / WEIGHTS), metadata={"format": "pt"})}
    contents |= {name: path.read_bytes() for name, path in described.items() if name != MANIFEST}
    for name, content in contents.items():
        for number, start in enumerate(range(0, len(content), size), start=1):
            yield name, f"{name}.{number:03d}", content[start : start + size]


def _sixteen_bits(path: Path) -> dict[str, torch.Tensor]:
    weights = {}
    for name, tensor in load_file(path).items():
        weights[name] = tensor.half() if tensor.is_floating_point() else tensor
        if not torch.isfinite(weights[name]).all():
            raise ModelBuildError(f"{name} in {path} has a value that 16 bits cannot hold")
    return weights


def _text(path: Path, size: int) -> Iterator[tuple[str, str, bytes]]:
    bare = Path(path.name.removesuffix(".xz"))
    ratio, number, waiting = FIRST_GUESS, 0, bytearray()
    stream = (line.rstrip("\n").encode() + b"\n" for line in plain(path))
    more = True
    while more or waiting:
        while len(waiting) < size * ratio and (line := next(stream, None)) is not None:
            waiting += line
        more = len(waiting) >= size * ratio
        taken = len(waiting)
        while len(packed := lzma.compress(bytes(waiting[:taken]))) > size:
            ratio = 0.95 * taken / len(packed)
            taken = waiting.rfind(b"\n", 0, min(int(size * ratio), taken - 1)) + 1
            if not taken:
                raise ModelBuildError(f"{path} has a line that is larger than a part: pass a larger --size")
        number += 1
        yield f"{bare}.xz", f"{bare.stem}.{number:03d}{bare.suffix}.xz", packed
        del waiting[:taken]
