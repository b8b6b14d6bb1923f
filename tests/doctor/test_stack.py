"""`make doctor STACK=...`: findings about a CloudFormation stack and its functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from doctor.functions import FEED, check_function
from doctor.installation import ALIAS, FUNCTIONS, VARIABLES, Function, check_status
from tests.cloudformation import template
from tests.doctor.deployment import STACK, Deployment, LambdaHost, stack_template
from toxicity_bot.credentials import PLACEHOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.aws import EmbeddedAws
    from local.slack_server import SlackServer
    from tests.doctor.conftest import Examine

ROOT = Path(__file__).parent.parent.parent
MODEL = {"MODEL_DIR": str(ROOT / "model")}
REPORTS = "ReportBatchItemFailures"


class Deploy(Protocol):
    """Deploy the bot. A worker without variables of its own is switched off: only what is about it starts it."""

    def __call__(
        self, *, worker: dict[str, str] | None = None, secret: dict[str, Any] | None = None, visibility: int = 180
    ) -> Deployment: ...


@pytest.fixture
def deploy(
    aws: EmbeddedAws, slack: SlackServer, request_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deploy]:
    for name in ("SLACK_SIGNING_SECRET", "SLACK_BOT_TOKEN", "SLACK_API_URL", "JOBS_QUEUE_URL", "LEDGER_TABLE"):
        monkeypatch.delenv(name)  # a stack's functions know nothing of this machine's
    variables = {"SLACK_SECRET_ID": "bot/slack", "SLACK_API_URL": slack.url}
    in_order = {"signing_secrets": ["local-signing-secret"], "bot_token": slack.workspace.token}

    def make(
        *, worker: dict[str, str] | None = None, secret: dict[str, Any] | None = None, visibility: int = 180
    ) -> Deployment:
        model = {"MODEL_DIR": str(tmp_path / "no-model")}
        functions = {"Receiver": variables, "Worker": variables | model | (worker or {})}
        deployment = Deployment(aws, stack_template(functions, request_url, visibility), secret or in_order)
        if worker is None:
            deployment.switch_off("Worker")
        return deployment

    with LambdaHost(aws) as host:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", host.url)
        yield make


def test_all_is_well(deploy: Deploy, examine: Examine) -> None:
    deploy(worker=MODEL).feed_worker(REPORTS)
    report = examine("--stack", STACK)
    assert report.subjects("wrong") | report.subjects("unknown") == set(), report.findings
    assert (report.code, report.ok) == (0, True)
    assert [finding["subject"] for finding in report.findings] == [
        "stack", "receiver settings", "worker settings", "receiver", "worker", "secret", "slack", "scopes", "clock",
        "request url", "queue", "dead-letter queue", "ledger", "ledger expiry", FEED, "model",
    ]  # fmt: skip


def test_a_fresh_stack_has_placeholders_and_all_else_in_order(deploy: Deploy, examine: Examine) -> None:
    deploy(secret={"signing_secrets": ["replace-me"], "bot_token": "replace-me"}).feed_worker(REPORTS)
    report = examine("--stack", STACK)
    assert "placeholder still" in report.told("secret")
    assert f"make secret STACK={STACK}" in report.told("secret")
    assert {"stack", "receiver", "queue", "ledger", FEED} <= report.subjects("ok")


def test_a_stack_that_is_not_there_is_told_and_nothing_else_guessed(deploy: Deploy, examine: Examine) -> None:
    report = examine("--stack", "nobodys")
    assert [(finding["subject"], finding["mark"]) for finding in report.findings] == [
        ("stack", "wrong"),
        ("everything else", "unknown"),
    ]
    assert "STACK=... REGION=..." in report.told("stack")


def test_another_region_is_another_place(deploy: Deploy, examine: Examine) -> None:
    deploy()
    report = examine("--stack", STACK, AWS_DEFAULT_REGION="eu-central-1")
    assert report.mark("stack") == "wrong"


def test_a_stack_of_another_template_is_told_from_the_bots(aws: EmbeddedAws, examine: Examine) -> None:
    queue = '{"Resources": {"JobsQueue": {"Type": "AWS::SQS::Queue"}}}'
    aws.client("cloudformation").create_stack(StackName="other", TemplateBody=queue)
    report = examine("--stack", "other")
    assert {finding["sentence"].split(":")[0] for finding in report.of("stack")} >= {
        "it has no output SecretId, JobsQueueUrl, LedgerTableName, RequestUrl"
    }
    assert report.told("receiver").startswith("the stack has no Receiver")


def test_f54_the_kill_switch_is_told_and_nothing_is_started(deploy: Deploy, examine: Examine) -> None:
    deployment = deploy(worker=MODEL)
    deployment.feed_worker(REPORTS)
    worker = deployment.switch_off("Worker")
    report = examine("--stack", STACK)
    assert report.mark("worker") == "wrong"
    assert "the kill switch is on" in report.told("worker")
    assert f"aws lambda delete-function-concurrency --function-name {worker}" in report.told("worker")
    assert (report.mark("receiver"), report.mark("model")) == ("ok", "unknown")


def test_f50_a_worker_whose_model_is_missing_is_told_in_its_own_words(deploy: Deploy, examine: Examine) -> None:
    deploy(worker={}).feed_worker(REPORTS)
    report = examine("--stack", STACK)
    assert report.mark("model") == "wrong"
    assert "does not start (ModelError: " in report.told("model")
    assert "model.json is missing" in report.told("model")
    assert "aws logs tail /aws/lambda/bot-Worker-" in report.told("model")


def test_f57_what_a_strange_failure_says_is_not_shown(deploy: Deploy, examine: Examine) -> None:
    deploy(worker=MODEL | {"AWS_DEFAULT_REGION": "the canary region"}).feed_worker(REPORTS)
    assert "does not start (InvalidRegionError)" in examine("--stack", STACK).told("model")


def test_a_functions_bad_setting_is_told_with_its_function(deploy: Deploy, examine: Examine) -> None:
    deploy(worker={"REPLY_TO": "everybody"}).feed_worker(REPORTS)
    report = examine("--stack", STACK)
    assert (report.mark("receiver settings"), report.mark("worker settings")) == ("ok", "wrong")
    assert "REPLY_TO is 'everybody'" in report.told("worker settings")


def test_a_worker_that_nothing_feeds_is_found(deploy: Deploy, examine: Examine) -> None:
    deploy()
    assert "the worker gets no jobs" in examine("--stack", STACK).told(FEED)


def test_a_feed_that_is_switched_off_is_told_with_the_command(deploy: Deploy, examine: Examine) -> None:
    deployment = deploy()
    feed = deployment.feed_worker(REPORTS)
    deployment.functions.update_event_source_mapping(UUID=feed, Enabled=False)
    told = examine("--stack", STACK).told(FEED)
    assert "is Disabled" in told
    assert f"aws lambda update-event-source-mapping --uuid {feed} --enabled" in told


def test_f47_a_feed_that_forgets_failed_jobs_is_found(deploy: Deploy, examine: Examine) -> None:
    deploy().feed_worker()
    assert "they are lost" in examine("--stack", STACK).told(FEED)


def test_a_visibility_time_out_too_short_for_the_worker_is_found(deploy: Deploy, examine: Examine) -> None:
    deploy(visibility=60).feed_worker(REPORTS)
    told = examine("--stack", STACK).told("queue")
    assert "its visibility time-out is 60 s, less than 6 times the worker's 30 s" in told


def test_a_function_that_is_gone_hides_nothing_else(deploy: Deploy, examine: Examine) -> None:
    deployment = deploy()
    deployment.functions.delete_function(FunctionName=deployment.resources["Worker"])
    report = examine("--stack", STACK)
    assert (report.mark("worker"), report.mark("model")) == ("wrong", "unknown")
    assert {"receiver", "secret", "slack", "request url", "queue", "ledger"} <= report.subjects("ok")


@pytest.mark.parametrize(
    ("status", "mark"),
    [
        ("CREATE_COMPLETE", "ok"),
        ("UPDATE_COMPLETE", "ok"),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "unknown"),
        ("UPDATE_ROLLBACK_COMPLETE", "wrong"),
        ("ROLLBACK_COMPLETE", "wrong"),
        ("UPDATE_ROLLBACK_FAILED", "wrong"),
        ("DELETE_FAILED", "wrong"),
    ],
)
def test_a_deployment_that_failed_is_told_from_one_under_way(status: str, mark: str) -> None:
    assert [finding.mark for finding in check_status(STACK, status)] == [mark]


@pytest.mark.parametrize(
    ("state", "mark"), [("Active", "ok"), ("Inactive", "ok"), ("Pending", "unknown"), ("Failed", "wrong")]
)
def test_a_function_that_lambda_could_not_set_up_is_found(state: str, mark: str) -> None:
    configuration = {"State": state, "StateReason": "the image is gone", "MemorySize": 1769, "Timeout": 30}
    (finding,) = check_function(Function("worker", "bot-worker", configuration, reserved_concurrency=None))
    assert finding.mark == mark
    assert ("the image is gone" in finding.sentence) is (mark == "wrong")


def test_the_names_are_the_templates() -> None:
    real = template()
    assert {name: real["Resources"].get(name, {}).get("Type") for name in FUNCTIONS.values()} == dict.fromkeys(
        FUNCTIONS.values(), "AWS::Serverless::Function"
    )
    assert {*VARIABLES, "RequestUrl"} - real["Outputs"].keys() == set()
    assert real["Globals"]["Function"]["AutoPublishAlias"] == ALIAS
    secret = json.loads(real["Resources"]["SlackSecret"]["Properties"]["SecretString"])
    assert secret == {"signing_secrets": [PLACEHOLDER], "bot_token": PLACEHOLDER}
