"""`make doctor STACK=...`: findings about a CloudFormation stack and its functions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doctor.functions import FEED, PRIVATE, check_function
from doctor.installation import ALIAS, FUNCTIONS, VARIABLES, Function, check_status
from local.aws import EmbeddedAws
from local.slack_server import SlackServer
from tests import ROOT
from tests.cloudformation import template
from tests.doctor.conftest import OK, PLACEHOLDERS, UNKNOWN, Examine, Expected
from tests.doctor.deployment import SECRET_ID, STACK, Deployment, run_functions_here, stack_template

Deploy = Callable[..., Deployment]

MODEL = {"MODEL_DIR": str(ROOT / "model")}
REPORTS = "ReportBatchItemFailures"
REST_OK = dict.fromkeys(("stack", "receiver", "queue", "ledger", FEED), OK)
BAD_REPLY_TO = "REPLY_TO is 'everybody'"
BAD_REGION = {"AWS_DEFAULT_REGION": "the canary region"}  # the error message contains it and must not be shown
NO_MODEL = ("does not start (ModelError: ", "is not a directory", "aws logs tail /aws/lambda/bot-Worker-")
SWITCHED_OFF = ("the kill switch is on", "aws lambda delete-function-concurrency --function-name bot-Worker-")
failure = pytest.mark.failure


@pytest.fixture
def deploy(
    aws: EmbeddedAws, slack: SlackServer, request_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Deploy:
    """Deploy the bot. The worker is disabled unless the test sets variables for it."""
    for name in ("SLACK_SIGNING_SECRET", "SLACK_BOT_TOKEN", "SLACK_API_URL", "JOBS_QUEUE_URL", "LEDGER_TABLE"):
        monkeypatch.delenv(name)  # a stack's functions do not see this machine's variables
    variables = {"SLACK_SECRET_ID": SECRET_ID, "SLACK_API_URL": slack.url, "MODEL_DIR": str(tmp_path / "no-model")}
    right = {"signing_secrets": ["local-signing-secret"], "bot_token": slack.workspace.token}

    def make(
        worker: dict[str, str] | None = None,
        receiver: dict[str, str] | None = None,
        secret: dict[str, Any] = right,
        visibility: int = 180,
        responses: tuple[str, ...] | None = (REPORTS,),
        scorer: dict[str, str] | None = None,
    ) -> Deployment:
        functions = {"Receiver": variables | (receiver or {}), "Worker": variables | (worker or {})}
        functions |= {} if scorer is None else {"Scorer": variables | scorer}
        deployment = Deployment(aws, stack_template(functions, request_url, visibility), secret)
        if responses is not None:
            deployment.feed_worker(responses)
        if worker is None:
            name = deployment.resources["Worker"]
            deployment.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        return deployment

    run_functions_here(aws, monkeypatch)
    return make


def test_a_complete_installation_passes(deploy: Deploy, examine: Examine) -> None:
    deploy(worker=MODEL)
    report = examine("--stack", STACK)
    assert report.marked("ok") == set(report.subjects), report.findings
    assert (report.code, report.ok) == (0, True)
    assert report.subjects == [
        "stack", "receiver settings", "worker settings", "receiver", "worker", PRIVATE, "secret", "slack", "scopes",
        "clock", "request url", "queue", "dead-letter queue", "ledger", "ledger expiry", "last 7 days", FEED, "model",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("deployed", "expected"),
    [
        ({"secret": PLACEHOLDERS}, {"secret": ("wrong", "a placeholder", f"make secret STACK={STACK}")} | REST_OK),
        ({"worker": {"REPLY_TO": "everybody"}}, {"receiver settings": OK, "worker settings": ("wrong", BAD_REPLY_TO)}),
        ({"visibility": 60}, {"queue": ("wrong", "timeout is 60 s, less than 6 times the worker's 30 s")}),
        ({"receiver": {"WORKER_FUNCTION": ""}}, {PRIVATE: ("wrong", "WORKER_FUNCTION of the receiver", "make deploy")}),
        ({"receiver": {"WORKER_FUNCTION": "other:live"}}, {PRIVATE: ("wrong", "the receiver invokes other, but")}),
        ({"receiver": {"SHORTCUTS": "no"}}, {PRIVATE: ("ok", "the command: the receiver invokes bot-Worker-")}),
        ({"scorer": {}}, {"scorer": OK, "scorer settings": OK}),
        ({"scorer": {"ATTRIBUTE_ALIASES": "no"}}, {"scorer": OK, "scorer settings": ("wrong", "ATTRIBUTE_ALIASES")}),
        ({"responses": None}, {FEED: ("wrong", "the worker gets no jobs")}),
        pytest.param({}, {"worker": ("wrong", *SWITCHED_OFF), "receiver": OK, "model": UNKNOWN}, marks=failure(54)),
        pytest.param({"responses": ()}, {FEED: ("wrong", "they are lost")}, marks=failure(47)),
        pytest.param({"worker": {}}, {"model": ("wrong", *NO_MODEL)}, marks=failure(50)),
        pytest.param({"worker": MODEL | BAD_REGION}, {"model": ("wrong", "(InvalidRegionError)")}, marks=failure(57)),
    ],
)
def test_a_defect_of_the_deployment_is_found(
    deploy: Deploy, examine: Examine, deployed: dict[str, Any], expected: Expected
) -> None:
    deploy(**deployed)
    examine("--stack", STACK).expect(expected)


def test_a_disabled_event_source_is_found(deploy: Deploy, examine: Examine) -> None:
    deployment = deploy()
    deployment.functions.update_event_source_mapping(UUID=deployment.feed, Enabled=False)
    command = f"aws lambda update-event-source-mapping --uuid {deployment.feed} --enabled"
    examine("--stack", STACK).expect({FEED: ("wrong", "is Disabled", command)})


def test_a_deleted_function_is_found_and_the_other_checks_still_run(deploy: Deploy, examine: Examine) -> None:
    deployment = deploy()
    deployment.functions.delete_function(FunctionName=deployment.resources["Worker"])
    others = dict.fromkeys(("receiver", "secret", "slack", "request url", "queue", "ledger"), OK)
    examine("--stack", STACK).expect({"worker": ("wrong",), "model": UNKNOWN} | others)


def test_without_the_stack_its_resources_are_not_checked(deploy: Deploy, examine: Examine) -> None:
    deploy()
    for name, region in (("nobodys", "eu-west-1"), (STACK, "eu-central-1")):
        report = examine("--stack", name, AWS_DEFAULT_REGION=region)
        assert report.subjects == ["stack", "everything else"]
        report.expect({"stack": ("wrong", "STACK=... REGION=..."), "everything else": UNKNOWN})


def test_a_stack_from_another_template_is_found(aws: EmbeddedAws, examine: Examine) -> None:
    queue = '{"Resources": {"JobsQueue": {"Type": "AWS::SQS::Queue"}}}'
    aws.client("cloudformation").create_stack(StackName="other", TemplateBody=queue)
    report = examine("--stack", "other")
    missing = "it has no output SecretId, JobsQueueUrl, LedgerTableName, RequestUrl"
    assert missing in {sentence.split(":")[0] for sentence in report.of("stack")}
    assert "the stack has no Receiver" in report.told("receiver")


@pytest.mark.parametrize(
    ("status", "mark"),
    [
        *((f"{change}_COMPLETE", "ok") for change in ("CREATE", "UPDATE")),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "unknown"),
        *((f"{change}_COMPLETE", "wrong") for change in ("ROLLBACK", "UPDATE_ROLLBACK")),
        *((f"{change}_FAILED", "wrong") for change in ("UPDATE_ROLLBACK", "DELETE")),
        ("REVIEW_IN_PROGRESS", "wrong"),
    ],
)
def test_failed_deployments_and_deployments_in_progress_are_told_apart(status: str, mark: str) -> None:
    assert [finding.mark for finding in check_status(STACK, status)] == [mark]


@pytest.mark.parametrize(
    ("state", "mark"), [("Active", "ok"), ("Inactive", "ok"), ("Pending", "unknown"), ("Failed", "wrong")]
)
def test_a_function_that_lambda_could_not_set_up_is_found(state: str, mark: str) -> None:
    configuration = {"State": state, "StateReason": "the image is gone", "MemorySize": 1769, "Timeout": 30}
    (finding,) = check_function(Function("worker", "bot-worker", configuration, reserved_concurrency=None))
    assert finding.mark == mark
    assert ("the image is gone" in finding.sentence) is (mark == "wrong")


def test_the_doctor_uses_the_names_in_the_template() -> None:
    real = template()
    assert {name: real["Resources"].get(name, {}).get("Type") for name in FUNCTIONS.values()} == dict.fromkeys(
        FUNCTIONS.values(), "AWS::Serverless::Function"
    )
    assert {*VARIABLES, "RequestUrl"} - real["Outputs"].keys() == set()
    assert real["Globals"]["Function"]["AutoPublishAlias"] == ALIAS
    secret = json.loads(real["Resources"]["SlackSecret"]["Properties"]["SecretString"])
    assert secret == PLACEHOLDERS
