"""The command line: examines, prints each finding as it comes, and says by the exit code how it went.

python -m doctor                      the settings in the environment, and what they name
python -m doctor --stack NAME         what the stack of this name made
Exit code 0: all is well; 1: something is wrong or could not be looked at; 2: this was called in a wrong way.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from doctor import report
from doctor.examination import examine, examine_stack
from doctor.installation import Installation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main(arguments: Sequence[str], clock: Callable[[], float] = time.time) -> int:
    """Examine one installation; return the process's exit code."""
    given = _parser().parse_args(arguments)
    if given.region:
        # Not handed on: the bot's own code, which reads the secret, takes the region from here too.
        os.environ["AWS_DEFAULT_REGION"] = given.region
    if given.stack:
        examination = examine_stack(given.stack, clock)
    else:
        examination = examine(Installation.from_environ(os.environ, given.request_url or ""), clock)
    findings = []
    for finding in examination:
        findings.append(finding)
        if given.format == "text":
            print(report.lines(finding), flush=True)
    print(report.as_json(findings) if given.format == "json" else f"\n{report.summary(findings)}")
    return 0 if report.is_well(findings) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m doctor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    of_what = parser.add_mutually_exclusive_group()
    of_what.add_argument("--stack", help="the CloudFormation stack; without it, the settings in the environment")
    of_what.add_argument("--request-url", type=_address, help="where Slack sends its events; a stack says that itself")
    parser.add_argument("--region", help="AWS's name of it, such as eu-west-1; without it, what the environment says")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    return parser


def _address(text: str) -> str:
    """Refuse what cannot be the address of an HTTP endpoint."""
    try:
        address = urlsplit(text)
        if address.scheme in ("https", "http") and address.hostname and address.port != 0:
            return text
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no address: use one such as https://example.com/slack/events")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
