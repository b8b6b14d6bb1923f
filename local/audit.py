"""`make audit`: list known vulnerabilities of the pinned packages; fail for those that attackers exploit.

pip-audit finds them; CISA's catalogue says which are exploited. An unreachable database is reported and no failure.
It runs in pip-audit's own environment, which has no other packages of this project.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parent.parent
CATALOGUE = "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json"
OPTIONS = ("--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off")


def audit(requirements: str, catalogue: str) -> bool:
    """Print the vulnerabilities in a lock file; return whether any is exploited. Unreadable databases raise."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", requirements, *OPTIONS]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False)  # its errors go to stderr
    found = {
        f"{package['name']} {package['version']}: {vulnerability['id']}, "
        f"fixed in {', '.join(vulnerability['fix_versions']) or 'no version yet'}": vulnerability
        for package in json.loads(done.stdout)["dependencies"]
        for vulnerability in package.get("vulns", [])
    }
    print("\n  ".join([f"{len(found)} known vulnerabilities in {requirements}", *found]), flush=True)
    if not found:
        return False
    with urllib.request.urlopen(catalogue, timeout=30) as answer:
        exploited = {entry["cveID"] for entry in json.load(answer)["vulnerabilities"]}
    used = [name for name, one in found.items() if exploited & {one["id"], *one["aliases"]}]
    print("".join(f"EXPLOITED: {name}\n" for name in used), end="", file=sys.stderr)
    return bool(used)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.audit", description=__doc__)
    parser.add_argument("--catalogue", default=CATALOGUE, help="another address of CISA's catalogue")
    parser.add_argument("requirements", nargs="?", default="requirements/runtime.txt")
    given = parser.parse_args(arguments)
    try:
        return int(audit(given.requirements, given.catalogue))
    except (OSError, ValueError) as error:
        print(f"Not audited: pip-audit's database or CISA's catalogue cannot be read ({error})")
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
