"""`make audit`: list known vulnerabilities of the packages in the image; fail for those that attackers exploit.

pip-audit finds them; CISA's catalogue, at the address in the first argument or CISA's own, says which are exploited. An
unreachable database is reported and no failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request

CATALOGUE = "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json"
REQUIREMENTS = "requirements/runtime.txt"
PIP_AUDIT = "pip_audit --no-deps --disable-pip --format json --progress-spinner off --requirement"


def audit(catalogue: str) -> bool:
    """Print the vulnerabilities; return whether any is exploited. Databases that cannot be read raise."""
    command = [sys.executable, "-m", *PIP_AUDIT.split(), REQUIREMENTS]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)  # its errors go to stderr
    found = {
        f"{package['name']} {package['version']}: {vulnerability['id']}, "
        f"fixed in {', '.join(vulnerability['fix_versions']) or 'no version yet'}": vulnerability
        for package in json.loads(done.stdout)["dependencies"]
        for vulnerability in package.get("vulns", [])
    }
    print("\n  ".join([f"{len(found)} known vulnerabilities in {REQUIREMENTS}", *found]), flush=True)
    if not found:
        return False
    with urllib.request.urlopen(catalogue, timeout=30) as answer:
        exploited = {entry["cveID"] for entry in json.load(answer)["vulnerabilities"]}
    used = [name for name, one in found.items() if exploited & {one["id"], *one["aliases"]}]
    print("".join(f"EXPLOITED: {name}\n" for name in used), end="", file=sys.stderr)
    return bool(used)


try:
    sys.exit(audit(*sys.argv[1:] or [CATALOGUE]))
except (OSError, ValueError) as error:
    print(f"Not audited: pip-audit's database or CISA's catalogue cannot be read ({error})")
