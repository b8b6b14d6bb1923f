"""`make audit`: list known vulnerabilities of the packages in the image and of the build; fail for exploited ones.

pip-audit finds them; CISA's catalogue, at the address in the first argument or CISA's own, says which are exploited. An
unreachable database is reported and no failure.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

CATALOGUE = "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json"
REQUIREMENTS = ("requirements/runtime.txt", "requirements/build.txt")
PIP_AUDIT = "pip_audit --no-deps --disable-pip --format json --progress-spinner off"
# Vulnerabilities of transformers below 5, which optimum-onnx needs, and why they have no effect here.
MITIGATED = {
    "CVE-2026-4372": "a checkpoint that names kernels in its configuration is refused: model_build/safe_loading.py",
    "CVE-2026-9856": "a tokenizer with several chat templates is refused: model_build/safe_loading.py",
    "CVE-2026-1839": "torch from 2.6 on loads the states of a run without running code",
}


def audit(catalogue: str) -> bool:
    """Print the vulnerabilities; return whether any is exploited. Databases that cannot be read raise."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as beside:
        # The lock file leaves torch out, because which build of it fits depends on the machine.
        beside.writelines(re.findall(r"torch==[\d.]+", Path("pyproject.toml").read_text(encoding="utf-8"))[:1])
        beside.flush()
        # One file at a time: pip-audit refuses two versions of a package.
        packages = [package for file in (*REQUIREMENTS, beside.name) for package in _audited(file)]
    found = {
        f"{package['name']} {package['version']}: {vulnerability['id']}, "
        f"fixed in {', '.join(vulnerability['fix_versions']) or 'no version yet'}": vulnerability
        for package in packages
        for vulnerability in package.get("vulns", [])
    }
    names = {sentence: {one["id"], *one["aliases"]} for sentence, one in found.items()}
    reasons = {sentence: MITIGATED[name] for sentence, ids in names.items() for name in ids & MITIGATED.keys()}
    lines = [sentence + (f"; mitigated: {reasons[sentence]}" if sentence in reasons else "") for sentence in found]
    print("\n  ".join([f"{len(found)} known vulnerabilities in {' and '.join(REQUIREMENTS)}", *lines]), flush=True)
    if skipped := {package["name"] for package in packages if "skip_reason" in package}:
        print(f"Not audited, since the database does not know them: {', '.join(sorted(skipped))}", flush=True)
    if names.keys() == reasons.keys():
        return False
    with urllib.request.urlopen(catalogue, timeout=30) as answer:
        exploited = {entry["cveID"] for entry in json.load(answer)["vulnerabilities"]}
    used = [sentence for sentence, ids in names.items() if sentence not in reasons and exploited & ids]
    print("".join(f"EXPLOITED: {sentence}\n" for sentence in used), end="", file=sys.stderr)
    return bool(used)


def _audited(requirements: str) -> list[dict[str, Any]]:
    """Return what pip-audit says of each package."""
    command = [sys.executable, "-m", *PIP_AUDIT.split(), "--requirement", requirements]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)  # its errors go to stderr
    return list(json.loads(done.stdout)["dependencies"])


try:
    sys.exit(audit(*sys.argv[1:] or [CATALOGUE]))
except (OSError, ValueError) as error:
    print(f"Not audited: pip-audit's database or CISA's catalogue cannot be read ({error})")
