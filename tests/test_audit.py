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
    (tmp_path / "pip_audit.py").write_text(f"import sys; sys.stdout.write(open({str(answer)!r}).read())")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    answer.write_text(json.dumps(ANSWER))
    return answer


def audit(catalogue: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ".ci/audit.py", catalogue.as_uri()]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("listed", "code"), [(["CVE-2026-0001"], 1), (["CVE-2026-9999"], 0)])
def test_only_what_is_exploited_fails(answer: Path, tmp_path: Path, listed: list[str], code: int) -> None:
    catalogue = tmp_path / "catalogue.json"
    catalogue.write_text(json.dumps({"vulnerabilities": [{"cveID": name} for name in listed]}))
    shown = audit(catalogue)
    assert shown.returncode == code, shown.stderr
    assert "holey 2.0: PYSEC-2026-1, fixed in 2.1" in shown.stdout
    assert ("EXPLOITED" in shown.stderr) == bool(code)


@pytest.mark.parametrize("text", [json.dumps(ANSWER), ""], ids=["no catalogue", "no answer of pip-audit"])
def test_an_unreachable_database_is_reported_and_no_failure(answer: Path, tmp_path: Path, text: str) -> None:
    answer.write_text(text)
    shown = audit(tmp_path / "missing.json")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Not audited: " in shown.stdout
