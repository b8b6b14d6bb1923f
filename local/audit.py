"""`make audit`: known vulnerabilities of the pinned packages. Fails for those that are known to be exploited.

pip-audit asks PyPI's database; CISA's catalogue says which of its findings are being used by attackers. Where one of
the two cannot be reached, that is said and is no failure. The rest is printed: `make lock` takes newer versions.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
CATALOGUE = "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json"
SHIPPED = "requirements/runtime.txt"  # what the image holds; the other files are tools


@dataclass(frozen=True)
class Finding:
    """One vulnerability of one pinned package; `names` are its id and its aliases, such as a CVE number."""

    package: str
    version: str
    names: frozenset[str]
    fixed_in: tuple[str, ...]

    def __str__(self) -> str:
        mend = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "no fix yet"
        return f"{self.package} {self.version}: {', '.join(sorted(self.names))}; {mend}"


class UnreachableError(Exception):
    """Raised if a database does not answer."""


def findings(answer: dict[str, Any]) -> list[Finding]:
    """Read what `pip-audit --format json` writes."""
    return [
        Finding(
            package["name"],
            package["version"],
            frozenset({vulnerability["id"], *vulnerability["aliases"]}),
            tuple(vulnerability["fix_versions"]),
        )
        for package in answer["dependencies"]
        for vulnerability in package.get("vulns", [])
    ]


def exploited(found: list[Finding], catalogue: dict[str, Any]) -> list[Finding]:
    """Return those that CISA's catalogue names."""
    known = {entry["cveID"] for entry in catalogue["vulnerabilities"]}
    return [finding for finding in found if finding.names & known]


def audited(requirements: str) -> dict[str, Any]:
    """Have pip-audit look at a lock file; raises UnreachableError if it cannot."""
    options = [
        "--requirement",
        requirements,
        "--no-deps",
        "--disable-pip",
        "--format",
        "json",
        "--progress-spinner",
        "off",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UnreachableError(f"pip-audit's database: {last}") from None
    return answer


def catalogue(url: str) -> dict[str, Any]:
    """Return the catalogue of what is being exploited; raises UnreachableError if it cannot be had."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            read: dict[str, Any] = json.load(answer)
    except (OSError, ValueError) as error:
        raise UnreachableError(f"CISA's catalogue: {error}") from error
    return read


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.audit", description=__doc__)
    parser.add_argument("--catalogue", default=CATALOGUE, help="another address of CISA's catalogue")
    parser.add_argument("requirements", nargs="*", default=[SHIPPED])
    given = parser.parse_args(arguments)
    try:
        found = [finding for requirements in given.requirements for finding in findings(audited(requirements))]
        print(f"{len(found)} known vulnerabilities in {', '.join(given.requirements)}")
        print("".join(f"  {finding}\n" for finding in found), end="")
        used = exploited(found, catalogue(given.catalogue)) if found else []
    except UnreachableError as error:
        print(f"Not looked at: {error}")
        return 0
    for finding in used:
        print(f"EXPLOITED: {finding}", file=sys.stderr)
    return 1 if used else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
