"""The options of the command line, in groups that several stages share."""

from __future__ import annotations

import argparse
from pathlib import Path

from model_build.train.argument_types import above_zero, at_least, from_zero, names, per_source, places, share
from model_build.train.schedules import SCHEDULES


def base(*, required: bool = True) -> argparse.ArgumentParser:
    """Return where a stage begins and what it leaves."""
    options = argparse.ArgumentParser(add_help=False)
    add = options.add_argument
    add("--base", required=required, default="", help="a hub id or a folder: a classifier, or an encoder to start from")
    add("--revision", help="the commit of a hub model; without it, the current one, which is recorded")
    add("--out", type=Path, required=True, help="the folder to write, and to go on from after a stop")
    return options


def seed() -> argparse.ArgumentParser:
    """Return what chance is drawn from."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--seed", type=at_least(0), default=1, help="the same seed gives the same model on the same machine"
    )
    return options


def run(*, rate: float = 5e-5) -> argparse.ArgumentParser:
    """Return how a stage is run, with its usual learning rate."""
    options = argparse.ArgumentParser(add_help=False, parents=[seed()])
    add = options.add_argument
    add("--epochs", type=above_zero, default=2.0, help="passes over the data")
    add("--steps", type=at_least(0), default=0, help="optimizer steps, instead of --epochs")
    add("--batch", type=at_least(1), default=64, help="texts at once, on each device")
    add("--accumulate", type=at_least(1), default=1, help="batches to one step")
    add("--rate", type=from_zero, default=rate, help="the highest learning rate")
    add("--schedule", choices=sorted(SCHEDULES), default="linear", help="how the learning rate goes")
    add("--clip", type=from_zero, default=1.0, help="the largest norm of a gradient; 0 clips nothing")
    add("--weight-decay", type=from_zero, default=0.01, help="of matrices")
    add("--max-length", type=at_least(3), default=96, help="tokens read of each text; the rest is cut off")
    add("--bf16", action="store_true", help="compute in bfloat16; weights stay in float32")
    add("--cpu", action="store_true", help="leave a GPU alone")
    add(
        "--minutes",
        type=from_zero,
        default=0.0,
        help="stop after so many, with status 75; the same command goes on",
    )
    add("--save-every", type=at_least(1), default=200, help="steps between checkpoints")
    add(
        "--evaluate-every",
        type=at_least(0),
        default=0,
        help="steps between measurements: rows of split dev, texts held out",
    )
    add("--skip-bad-rows", action="store_true", help="skip bad rows, naming their lines, instead of stopping")
    add(
        "--deepspeed",
        type=Path,
        help="a DeepSpeed configuration: zero1.json, zero2.json or zero3.json of model_build/train/",
    )
    return options


def labelled() -> argparse.ArgumentParser:
    """Return what labelled messages are learnt, and how often each."""
    options = argparse.ArgumentParser(add_help=False)
    add = options.add_argument
    add(
        "--data",
        type=Path,
        required=True,
        help="JSON lines or CSV, plain or .xz: text, label, and perhaps source, split",
    )
    add("--tokenizer", default="", help="a tokenizer that is not the base's own; a BERT is brought to it")
    add("--cap", type=per_source, action="append", default=[], help="SOURCE=N: at most N rows of each label")
    add("--times", type=per_source, action="append", default=[], help="SOURCE=N: each row N times in an epoch")
    add("--lower-cased", type=share, default=0.5, help="the share of texts that is read in lower case")
    return options


def plain() -> argparse.ArgumentParser:
    """Return what plain text is learnt, and the shape of a model that begins from random weights."""
    options = argparse.ArgumentParser(add_help=False)
    add = options.add_argument
    add("--data", required=True, nargs="+", help="files or patterns: .txt or .xz with a text a line, or labelled rows")
    add("--tokenizer", default="", help="without a base: the tokenizer's folder")
    add("--train-tokenizer", type=at_least(0), default=0, metavar="N", help="without a base: train one with N tokens")
    add("--layers", type=at_least(1), default=6, help="without a base: so many")
    add("--width", type=at_least(1), default=768, help="without a base: numbers in a token's vector")
    add("--heads", type=at_least(1), default=12, help="without a base: attention heads of a layer")
    add(
        "--inner", type=at_least(0), default=0, help="without a base: the width inside a layer; 0 is four times --width"
    )
    add("--masked", type=share, default=0.15, help="the share of tokens that is hidden")
    add("--whole-words", action="store_true", help="hide words, not single tokens")
    add("--lower-cased", type=share, default=0.0, help="the share of texts that is read in lower case")
    return options


def teaching() -> argparse.ArgumentParser:
    """Return who teaches, and what a student takes from it."""
    options = argparse.ArgumentParser(add_help=False)
    add = options.add_argument
    add("--teacher", action="append", required=True, help="a hub id, a folder, or `ngrams`; may be given several times")
    add("--toxic-labels", type=names, default=(), help="where the teachers' labels do not tell: NAME,..")
    add("--soft-share", type=share, default=0.5, help="how much the teacher counts; the labels have the rest")
    add("--temperature", type=above_zero, default=2.0, help="softens both sides; 1 leaves them as they are")
    add("--student-layers", type=places, default=(), help="begin with these layers of the base, from 0: 0,2,4")
    return options


def comparison() -> argparse.ArgumentParser:
    """Return what options are compared on; each run has those of `run`, except how it goes on after a stop."""
    options = argparse.ArgumentParser(add_help=False, parents=[run(rate=2e-4)])
    options.set_defaults(steps=150, batch=32, save_every=1_000_000, minutes=0.0, deepspeed=None)
    add = options.add_argument
    add("--data", type=Path, required=True, help="labelled rows, of the splits train and dev")
    add("--base", required=True, help="what the teacher begins with: a hub id or a folder")
    add("--out", type=Path, default=Path("docs"), help="the folder with training.md")
    add("--work", type=Path, default=Path("build/train-compare"), help="keeps what is measured already")
    add("--seeds", type=at_least(1), default=2, help="runs of each option, from --seed on")
    add(
        "--dev-rows",
        type=at_least(1),
        default=3000,
        help="rows that are judged, as far as there are any as many of each source",
    )
    return options
