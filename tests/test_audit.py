"""`make audit` fails for vulnerabilities that are exploited and for nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import ROOT

if TYPE_CHECKING:
    from pathlib import Path

ANSWER = {
    "dependencies": [
        {"name": "fine", "version": "1.0", "vulns": []},
        {"name": "unknown", "version": "1.0", "skip_reason": "not found"},
        {
            "name": "guarded",
            "version": "3.0",
            "vulns": [{"id": "GHSA-1", "aliases": ["CVE-2026-4372"], "fix_versions": ["5.3"], "description": ""}],
        },
        {
            "name": "holey",
            "version": "2.0",
            "vulns": [{"id": "PYSEC-2026-1", "aliases": ["CVE-2026-0001"], "fix_versions": ["2.1"], "description": ""}],
        },
    ]
}


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a program in pip-audit's place writes."""
    answer = tmp_path / "answer"
    program = f"import sys; sys.stdout.write(open({str(answer)!r}).read()); sys.stderr.write(str(sys.argv))"
    (tmp_path / "pip_audit.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    answer.write_text(json.dumps(ANSWER))
    return answer


def audit(catalogue: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ".ci/audit.py", catalogue.as_uri()]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("listed", "code"), [(["CVE-2026-0001"], 1), (["CVE-2026-9999"], 0)])
def test_only_what_is_exploited_fails(answer: Path, tmp_path: Path, listed: list[str], code: int) -> None:
    catalogue = tmp_path / "catalogue.json"
    catalogue.write_text(json.dumps({"vulnerabilities": [{"cveID": name} for name in [*listed, "CVE-2026-4372"]]}))
    shown = audit(catalogue)
    assert shown.returncode == code, shown.stderr
    assert "2 known vulnerabilities in requirements/runtime.txt and requirements/build.txt" in shown.stdout
    assert "holey 2.0: PYSEC-2026-1, fixed in 2.1\n" in shown.stdout
    assert "guarded 3.0: GHSA-1, fixed in 5.3; mitigated: a checkpoint" in shown.stdout
    assert "Not audited, since the database does not know them: unknown" in shown.stdout
    assert shown.stderr.count("requirements/") == 2, "of the image and of the build"
    assert ("EXPLOITED" in shown.stderr) == bool(code)


@pytest.mark.parametrize("text", [json.dumps(ANSWER), ""], ids=["no catalogue", "no answer of pip-audit"])
def test_an_unreachable_database_is_reported_and_no_failure(answer: Path, tmp_path: Path, text: str) -> None:
    answer.write_text(text)
    shown = audit(tmp_path / "missing.json")
    assert (shown.returncode, "Traceback" in shown.stderr) == (0, False)
    assert "Not audited: " in shown.stdout
