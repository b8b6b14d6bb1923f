"""`make audit` fails for vulnerabilities that are exploited and for nothing else."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from local import audit

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
def catalogue(tmp_path: Path) -> Path:
    return tmp_path / "catalogue.json"


@pytest.fixture
def pip_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that answers in pip-audit's place, in a process as pip-audit is: it writes what its file holds."""
    answer = tmp_path / "answer"
    (tmp_path / "pip_audit.py").write_text(f"import sys; sys.stdout.write(open({str(answer)!r}).read())")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    answer.write_text(json.dumps(ANSWER))
    return answer


@pytest.mark.parametrize(("listed", "code"), [(["CVE-2026-0001"], 1), (["CVE-2026-9999"], 0)])
def test_only_exploited_vulnerabilities_fail(
    pip_audit: Path, catalogue: Path, listed: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue.write_text(json.dumps({"vulnerabilities": [{"cveID": name} for name in listed]}))
    assert audit.main(["--catalogue", catalogue.as_uri()]) == code
    shown = capsys.readouterr()
    assert "holey 2.0: PYSEC-2026-1, fixed in 2.1" in shown.out
    assert ("EXPLOITED" in shown.err) == bool(code)


def test_an_unreachable_database_is_reported_and_no_failure(
    pip_audit: Path, catalogue: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main(["--catalogue", catalogue.as_uri()]) == 0
    assert "Not audited: " in capsys.readouterr().out
    pip_audit.write_text("")
    assert audit.main([]) == 0
    assert "Not audited: " in capsys.readouterr().out
