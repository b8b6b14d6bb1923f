"""The command line of training: stages that train, and tools that bring a base into another form.

python -m model_build.train --data my.jsonl --base owner/name --out checkpoint
python -m model_build.train transfer --base encoder --tokenizer folder --out start
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from model_build.errors import ModelBuildError
from model_build.train import argument_types, options

# As sysexits.h has it: not a failure, try again.
GOES_ON = 75


def main(arguments: list[str]) -> int:
    """Run one command; return the process's exit status: 0 when it is done, 75 when it stopped and goes on later."""
    parser = _parser()
    # `python -m model_build.train --data ..` means `finetune --data ..`.
    wants_finetuning = bool(arguments) and arguments[0].startswith("--") and arguments[0] != "--help"
    given = parser.parse_args(["finetune", *arguments] if wants_finetuning else arguments)
    try:
        done = given.run(given)
        _wait_for_all()
    except ModelBuildError as error:
        print(f"model_build.train: {error}", file=sys.stderr)
        return 1
    finally:
        _part()
    return GOES_ON if done is False else 0


def _wait_for_all() -> None:
    """Wait until every process that trained is done: a launcher kills those that still save when one ends with 75."""
    distributed = sys.modules.get("torch.distributed")
    if distributed and distributed.is_initialized():
        distributed.barrier()


def _part() -> None:
    """Leave the processes that trained together: gloo's threads now and then abort one that exits without that."""
    distributed = sys.modules.get("torch.distributed")
    if distributed and distributed.is_initialized():
        distributed.destroy_process_group()


# The stages import torch and transformers, seconds of work, so each is imported where it is run.


def _pretrain(given: argparse.Namespace) -> bool:
    from model_build.train.pretrain import Shape, Task, pretrain

    task = Task(
        data=tuple(given.data),
        base=given.base,
        revision=given.revision,
        tokenizer=given.tokenizer,
        vocabulary=given.train_tokenizer,
        shape=Shape(given.layers, given.width, given.heads, given.inner),
        masked=given.masked,
        whole_words=given.whole_words,
        lower_cased=given.lower_cased,
        skip_bad_rows=given.skip_bad_rows,
        evaluate_every=given.evaluate_every,
    )
    return pretrain(task, _run(given))


def _finetune(given: argparse.Namespace) -> bool:
    from model_build.train.finetune import finetune

    return finetune(_task(given), _run(given))


def _distill(given: argparse.Namespace) -> bool:
    from model_build.train.distill import NGRAMS, Teachers, distill
    from model_build.train.loss import Targets

    models = [teacher for teacher in given.teacher if teacher != NGRAMS]
    given.base = given.base or next(iter(models), "")
    if not given.base:
        raise ModelBuildError("n-grams have no layers to begin with: pass --base")
    teachers = Teachers(tuple(given.teacher), given.toxic_labels)
    return distill(_task(given), teachers, Targets(given.soft_share, given.temperature), _run(given))


def _transfer(given: argparse.Namespace) -> None:
    from model_build.train import forms

    forms.transfer(given.base, given.revision, given.tokenizer, given.seed, given.out)


def _restore(given: argparse.Namespace) -> None:
    from model_build.train import forms

    forms.restored(given.model, given.out)


def _widen(given: argparse.Namespace) -> None:
    from model_build.train import forms

    forms.widened(given.base, given.revision, given.seed, given.out)


def _narrow(given: argparse.Namespace) -> None:
    from model_build.train import forms

    forms.narrowed(given.base, given.revision, given.out)


def _split(given: argparse.Namespace) -> None:
    from model_build.train.parts import split

    split(given.what, given.size, given.out)


def _join(given: argparse.Namespace) -> None:
    from model_build.train.parts import join

    join(given.parts, given.out)


def _compare(given: argparse.Namespace) -> None:
    from datetime import UTC, datetime

    from model_build.train import options_page
    from model_build.train.comparison import Comparison, compare

    for name in ("minutes", "deepspeed", "evaluate_every"):
        if getattr(given, name):
            option = f"--{name.replace('_', '-')}"
            raise ModelBuildError(f"a comparison goes on after a stop and measures at the end: leave {option} out")
    out = given.out
    given.out = given.work
    asked = Comparison(
        given.data, given.base, _run(given), given.seeds, given.dev_rows, skip_bad_rows=given.skip_bad_rows
    )
    found = compare(asked)
    told = {
        "command": "python -m model_build.train compare --data FILE --base FOLDER",
        "date": datetime.now(UTC).date().isoformat(),
        "steps": given.steps,
        "batch": given.batch,
        "rate": given.rate,
        "seeds": given.seeds,
    }
    options_page.write({**told, **found}, out)


def _task(given: argparse.Namespace) -> Any:
    from model_build.train.examples import Mixture
    from model_build.train.finetune import Task

    return Task(
        data=given.data,
        base=given.base,
        tokenizer=given.tokenizer,
        revision=given.revision,
        mixture=Mixture(dict(given.cap), dict(given.times)),
        lower_cased=given.lower_cased,
        skip_bad_rows=given.skip_bad_rows,
        evaluate_every=given.evaluate_every,
        layers=getattr(given, "student_layers", ()),
    )


def _run(given: argparse.Namespace) -> Any:
    from model_build.train.run import Run

    return Run(**{field.name: getattr(given, field.name) for field in fields(Run) if field.init})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model_build.train", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="stage")
    base, run = options.base(), options.run()

    def add(name: str, do: Any, about: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        command = commands.add_parser(name, parents=parents, help=about, description=about)
        command.set_defaults(run=do)
        return command

    optional = options.base(required=False)
    add("pretrain", _pretrain, "learn a language from plain text", optional, options.plain(), options.run(rate=5e-4))
    add("finetune", _finetune, "learn from labels; the default", base, options.labelled(), run)
    add("distill", _distill, "learn from labels and teachers", optional, options.labelled(), options.teaching(), run)
    transfer = add("transfer", _transfer, "a BERT as a RoBERTa with another tokenizer", base, options.seed())
    transfer.add_argument("--tokenizer", required=True, help="the folder of the tokenizer")
    restore = add("restore", _restore, "what the bot serves as a checkpoint")
    restore.add_argument("model", type=Path, help="a model directory, such as model/")
    restore.add_argument("--out", type=Path, required=True, help="the folder to write")
    add("widen", _widen, "the same function, twice as wide", base, options.seed())
    add("narrow", _narrow, "half as wide: what widen made, unmade", base)
    split = add("split", _split, "cut a checkpoint or a text into parts of a size that travels")
    split.add_argument("what", type=Path, help="a checkpoint's folder, or a text, .txt or .xz")
    split.add_argument("--size", type=argument_types.size, default="16MB", help="how large a part may be at most")
    split.add_argument("--out", type=Path, required=True, help="the folder for the parts")
    join = add("join", _join, "put parts together again")
    join.add_argument("parts", type=Path, help="the folder with the parts")
    join.add_argument("--out", type=Path, required=True, help="the folder to write")
    add("compare", _compare, "measure what each option gives, into docs/", options.comparison())
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
