"""`make fuzz`: feed the receiver requests for so many seconds, guided by which of its lines each of them reaches.

Needs atheris. A finding ends it with 1 and the name of a file that shows it again: python -m local.fuzz FILE
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import re
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from local.aws import EmbeddedAws
from local.bot import ROOT
from local.fuzz.cases import SECRET, seeds
from local.fuzz.target import Target

MOST_BYTES = 65_536  # in one case; what a case says of nesting and padding makes larger requests
SLOWEST = 10  # seconds for one request before it counts as a hang
LAST_LINES = 40


def fuzz(module: str, seconds: int, corpus: Path, findings: Path) -> subprocess.CompletedProcess[str]:
    """Run the fuzzer; its own words are in `stderr`."""
    options = [f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}", f"-timeout={SLOWEST}", "-print_final_stats=1"]
    options += [f"-artifact_prefix={findings}/", str(corpus)]
    command = [sys.executable, "-m", "local.fuzz.fuzzer", module, *options]
    # What the handler logs is not looked at: that it logs is part of what must not raise.
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)


def replay(module: str, files: list[Path]) -> Target:
    """Call the handler with each case, in this process; raises what it raises."""
    with redirect_stdout(io.StringIO()):
        target = Target(importlib.import_module(module))
        for file in files:
            target(file.read_bytes())
    return target


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.fuzz", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="cases to run again, instead of fuzzing")
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--receiver", default="toxicity_bot.receiver", help="the module whose handler is fuzzed")
    parser.add_argument("--findings", type=Path, default=ROOT / "build" / "fuzz", help="where a finding is kept")
    given = parser.parse_args()
    given.findings.mkdir(parents=True, exist_ok=True)
    with EmbeddedAws() as aws, tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        environ = aws.environ | {"SLACK_SIGNING_SECRET": SECRET}
        os.environ.clear()  # the receiver is imported here, and reads nothing of the user's
        os.environ.update(environ)
        if given.files:
            print(f"answers: {dict(replay(given.receiver, given.files).answers)}")
            return 0
        corpus = Path(folder)
        for name, seed in seeds().items():
            (corpus / name).write_bytes(seed)
        run = fuzz(given.receiver, given.seconds, corpus, given.findings)
        if run.returncode:
            print("\n".join(run.stderr.splitlines()[-LAST_LINES:]), file=sys.stderr)
            print(f"To see it again: python -m local.fuzz {_finding(run.stderr)}", file=sys.stderr)
            return 1
        kept = sorted(corpus.iterdir())
        figures = dict(re.findall(r"stat::(\w+):\s+(\d+)", run.stderr))
        print(
            f"{figures['number_of_executed_units']} requests in {given.seconds} s, "
            f"{figures['average_exec_per_sec']} a second; nothing raised"
        )
        print(
            f"{len(kept)} of them reach different code; answers to these: {dict(replay(given.receiver, kept).answers)}"
        )
    return 0


def _finding(stderr: str) -> str:
    """The file that libFuzzer says it wrote."""
    written = re.findall(r"Test unit written to (\S+)", stderr)
    return str(written[-1]) if written else "FILE (the fuzzer wrote none: it did not start)"


if __name__ == "__main__":
    sys.exit(main())
