"""`toxicity-bot feedback export`, run as a process."""

import csv
import io
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from local.aws import EmbeddedAws
from local.faults import ErrorBody, Fault, RateLimited, Reset
from local.slack_server import SlackServer
from tests import run_module
from toxicity_bot.commands.feedback import COLUMNS, label
from toxicity_bot.feedback import AGREED, DISAGREED, Opinion
from toxicity_bot.opinions import save
from toxicity_bot.table import Table


def opinion(ts: str, choice: str = AGREED, outcome: str = "toxic", at: float = 1731000100) -> Opinion:
    return Opinion(f"T0LOCAL/C0GENERAL/{ts}/0a1b2c3d", "U0ADA", choice, outcome, "0.9000", at)


def export(*arguments: str, **environ: str) -> CompletedProcess[str]:
    return run_module("toxicity_bot.commands", "feedback", "export", *arguments, environ=environ)


@pytest.fixture
def table(aws: EmbeddedAws) -> Table:
    return Table(aws.table, aws.client("dynamodb"))


def test_rows_have_a_permalink_and_a_label_and_are_sorted_oldest_first(
    aws: EmbeddedAws, slack: SlackServer, table: Table, tmp_path: Path
) -> None:
    there = slack.workspace.post("C0GENERAL", "U0GRACE", "hello")["ts"]
    for one in (opinion("1731000000.000200", DISAGREED, at=1731000200), opinion(there)):
        save(table, one)
    out = tmp_path / "feedback.csv"
    slack.faults.add("chat.getPermalink", RateLimited("0"))
    done = export("--table", aws.table, "--out", str(out))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "2 rows\n")
    first, second = csv.DictReader(io.StringIO(out.read_text()))
    assert tuple(first) == COLUMNS
    name = slack.workspace.identity.team_name
    assert first["permalink"] == f"https://{name}.slack.com/archives/C0GENERAL/p{there.replace('.', '')}"
    assert (first["label"], first["feedback"], first["score"], first["at"]) == (
        "1", "agreed", "0.9000", "2024-11-07T17:21:40+00:00",
    )  # fmt: skip
    # That message was deleted.
    assert second["permalink"] == (
        "https://slack.com/app_redirect?team=T0LOCAL&channel=C0GENERAL&message_ts=1731000000.000200"
    )
    again = export("--table", aws.table, "--out", str(out))
    assert (again.returncode, "--overwrite" in again.stderr) == (2, True)


def test_without_a_token_permalinks_are_built_from_ids_without_calling_slack(
    aws: EmbeddedAws, slack: SlackServer, table: Table
) -> None:
    save(table, opinion("1731000000.000200"))
    slack.faults.add("chat.getPermalink", ErrorBody("fatal_error"))
    done = export(LEDGER_TABLE=aws.table, SLACK_BOT_TOKEN="")
    assert done.returncode == 0
    assert "slack.com/app_redirect?team=T0LOCAL&channel=C0GENERAL" in done.stdout
    assert slack.calls == []


@pytest.mark.parametrize(
    ("outcome", "choice", "expected"),
    [
        ("toxic", AGREED, "1"), ("toxic", DISAGREED, "0"), ("fine", AGREED, "0"), ("fine", DISAGREED, "1"),
        ("maybe_toxic", AGREED, ""), ("maybe_toxic", DISAGREED, ""), ("cannot_judge", DISAGREED, ""),
    ],
)  # fmt: skip
def test_a_label_reflects_the_feedback_and_is_empty_where_the_feedback_does_not_tell(
    outcome: str, choice: str, expected: str
) -> None:
    assert label(opinion("1.2", choice, outcome)) == expected


@pytest.mark.failure(82)
@pytest.mark.parametrize(
    ("arguments", "environ", "fault", "status", "words"),
    [
        ((), {"LEDGER_TABLE": ""}, Fault(), 2, "use --table"),
        (("--table", "nobodys"), {}, Fault(), 1, "nobodys cannot be read in the region of the AWS configuration (Reso"),
        (("--table", "nobodys"), {"AWS_PROFILE": "nobodys"}, Fault(), 1, "for example --region eu-central-1"),
        (("--out", "no/such/folder/x.csv"), {}, Fault(), 2, "cannot be written"),
        ((), {}, ErrorBody("invalid_auth"), 1, "(invalid_auth): set it to the app's token"),
        ((), {}, Reset(), 1, "Slack cannot be reached"),
    ],
    ids=["no table", "unknown table", "unknown profile", "no folder", "refused token", "no Slack"],
)
def test_errors_are_one_sentence_with_an_exit_status_and_nothing_is_written(
    arguments: tuple[str, ...],
    environ: dict[str, str],
    fault: Fault,
    status: int,
    words: str,
    slack: SlackServer,
    table: Table,
    tmp_path: Path,
) -> None:
    save(table, opinion("1731000000.000200"))
    slack.faults.add("auth.test", fault)
    out = tmp_path / "feedback.csv"
    done = export("--out", str(out), *arguments, **environ)
    assert (done.returncode, done.stdout, out.exists()) == (status, "", False)
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
