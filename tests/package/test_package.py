"""Install the package with pip into a new environment and score with it."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of a new virtual environment with the package and its dependencies."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", ROOT], check=True)
    return python


def run(python: Path, program: str, folder: Path) -> str:
    return subprocess.run([python, "-c", program], cwd=folder, check=True, text=True, capture_output=True).stdout


def test_the_package_scores_text_from_any_folder_with_its_own_model(python: Path, tmp_path: Path) -> None:
    program = "from toxicity_bot import Classifier; print(Classifier().toxicity('you are useless'))"
    assert 0.5 < float(run(python, program, tmp_path)) <= 1


def test_the_package_scores_a_file_from_any_folder(python: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,body\n1,you are useless\n", encoding="utf-8")
    (tmp_path / "numpy.py").write_text("raise ImportError", encoding="utf-8")
    command = [str(python.parent / "toxicity-bot"), "score", "in.csv", "--text-column", "body"]
    done = subprocess.run(command, cwd=tmp_path, check=True, text=True, capture_output=True)
    (row,) = csv.DictReader(done.stdout.splitlines())
    assert 0.5 < float(row["toxicity"]) <= 1
    assert (row["id"], row["verdict"], row["language"]) == ("1", "toxic", "en")


def test_the_package_installs_only_what_scoring_needs(python: Path, tmp_path: Path) -> None:
    program = "import importlib.metadata as m; print(*(d.name for d in m.distributions()), sep='\\n')"
    installed = run(python, program, tmp_path).splitlines()
    assert "onnxruntime" in installed
    assert not {"boto3", "slack-sdk", "slack_sdk", "aws-lambda-powertools", "aws_lambda_powertools"} & set(installed)
