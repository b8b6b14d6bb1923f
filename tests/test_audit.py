"""`make audit` fails only for exploited vulnerabilities."""

import json
from pathlib import Path

import pytest

from tests import run

ANSWER = {
    "dependencies": [
        {"name": "fine", "version": "1.0", "vulns": []},
        {"name": "unknown", "version": "1.0", "skip_reason": "not found"},
        *({"name": name, "version": version, "vulns": [{"id": one, "aliases": [cve], "fix_versions": [fixed]}]}
          for name, version, one, cve, fixed in (
              ("guarded", "3.0", "GHSA-1", "CVE-2026-4372", "5.3"),
              ("holey", "2.0", "PYSEC-2026-1", "CVE-2026-0001", "2.1"))),
    ]
}  # fmt: skip


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the output of a fake pip-audit."""
    answer = tmp_path / "answer"
    program = f"import sys; sys.stdout.write(open({str(answer)!r}).read()); sys.stderr.write(str(sys.argv))"
    (tmp_path / "pip_audit.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    answer.write_text(json.dumps(ANSWER))
    return answer


@pytest.mark.parametrize(("listed", "code"), [(["CVE-2026-0001"], 1), (["CVE-2026-9999"], 0)])
def test_only_exploited_vulnerabilities_fail_the_audit(
    answer: Path, tmp_path: Path, listed: list[str], code: int
) -> None:
    catalogue = tmp_path / "catalogue.json"
    catalogue.write_text(json.dumps({"vulnerabilities": [{"cveID": name} for name in [*listed, "CVE-2026-4372"]]}))
    shown = run(".ci/audit.py", catalogue.as_uri())
    assert shown.returncode == code, shown.stderr
    assert "2 known vulnerabilities in requirements/runtime.txt and requirements/build.txt" in shown.stdout
    assert "holey 2.0: PYSEC-2026-1, fixed in 2.1\n" in shown.stdout
    assert "guarded 3.0: GHSA-1, fixed in 5.3; mitigated: a checkpoint" in shown.stdout
    assert "Not audited, since the database does not know them: unknown" in shown.stdout
    assert shown.stderr.count("requirements/") == 2, "once for the image and once for the build"
    assert ("EXPLOITED" in shown.stderr) == bool(code)


@pytest.mark.parametrize("text", [json.dumps(ANSWER), ""], ids=["no catalogue", "no output of pip-audit"])
def test_an_unreachable_database_is_reported_and_does_not_fail_the_audit(
    answer: Path, tmp_path: Path, text: str
) -> None:
    answer.write_text(text)
    shown = run(".ci/audit.py", (tmp_path / "missing.json").as_uri())
    assert (shown.returncode, "Traceback" in shown.stderr) == (0, False)
    assert "Not audited: " in shown.stdout
