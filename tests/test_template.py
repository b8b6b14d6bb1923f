"""template.yaml: permissions, limits, alarms, and values that must match the code."""

import itertools
import json
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from local import aws, functions
from tests.cloudformation import template
from toxicity_bot import perspective
from toxicity_bot.errors import SettingError
from toxicity_bot.jobs import MAX_ATTEMPTS
from toxicity_bot.settings import DEFAULTS, Settings

TEMPLATE = template()
# Actions without a resource: X-Ray has none, and CodeDeploy describes alarms by a list of names.
WITHOUT_RESOURCES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords", "cloudwatch:DescribeAlarms"}
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
PARAMETERS: dict[str, dict[str, Any]] = TEMPLATE["Parameters"]
GROUPS: list[dict[str, Any]] = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
FUNCTIONS = ("Receiver", "Worker", "Scorer")
VARIABLES: dict[str, Any] = {}
"""The environment variables of all functions."""
for function in (TEMPLATE["Globals"]["Function"], *(RESOURCES[name]["Properties"] for name in FUNCTIONS)):
    VARIABLES |= function.get("Environment", {}).get("Variables", {})


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = RESOURCES[name]["Properties"]
    return found


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == kind}


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, role in of_type("AWS::IAM::Role").items():
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement.get("Fn::If", [None, statement])[1]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_all_functions_share_an_image_and_differ_in_command_and_role() -> None:
    assert RESOURCES["Receiver"]["Metadata"] == RESOURCES["Worker"]["Metadata"] == RESOURCES["Scorer"]["Metadata"]
    assert of_type("AWS::Serverless::Function").keys() == set(FUNCTIONS)
    for name in FUNCTIONS:
        assert properties(name)["ImageConfig"]["Command"] == [f"toxicity_bot.{name.lower()}.handler"]
        assert properties(name)["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}


@pytest.mark.failure(59)
def test_each_role_allows_only_what_its_function_needs() -> None:
    assert not any("ManagedPolicyArns" in role for role in of_type("AWS::IAM::Role").values())
    assert not any("Policies" in one for one in of_type("AWS::Serverless::Function").values()), "SAM adds no role"
    kinds = {one["Type"] for one in RESOURCES.values() if one["Type"].startswith("AWS::IAM::")}
    assert kinds == {"AWS::IAM::Role"}, "every permission is in a role of this template"
    rights: dict[str, set[tuple[str, str]]] = {}
    for role, statement in statements():
        assert statement["Effect"] == "Allow"
        for action, resource in itertools.product(listed(statement["Action"]), listed(statement["Resource"])):
            if resource == "*":
                assert action in WITHOUT_RESOURCES, f"{role} has a permission beyond this stack: {action}"
                resource = {"Ref": "*"}
            ((function, target),) = resource.items()
            assert function in ("Ref", "Fn::GetAtt", "Fn::Sub"), (
                f"{role} has access to a resource outside this stack: {resource}"
            )
            rights.setdefault(role, set()).add((listed(target)[0], action))

    def of(resource: str, service: str, *actions: str) -> set[tuple[str, str]]:
        return {(resource, f"{service}:{action}") for action in actions}

    traces = of("*", "xray", "PutTraceSegments", "PutTelemetryRecords")  # if the owner enables tracing
    every = of("SlackSecret", "secretsmanager", "GetSecretValue") | traces
    own = {name: every | of(f"{name}Logs", "logs", "CreateLogStream", "PutLogEvents") for name in FUNCTIONS}
    receiver, worker = "${Receiver.Arn}:live", "${Worker.Arn}:live"
    switching = ("GetAlias", "UpdateAlias", "GetProvisionedConcurrencyConfig")
    jobs = ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes")
    ledger = ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Scan")  # Scan is for the weekly summary
    assert rights == {
        "DeploymentRole": of("*", "cloudwatch", "DescribeAlarms")
        | of(receiver, "lambda", *switching)
        | of(worker, "lambda", *switching),
        "ReceiverRole": own["Receiver"]
        | of("JobsQueue", "sqs", "SendMessage")
        | of(worker, "lambda", "InvokeFunction"),
        "ScorerRole": own["Scorer"],
        "WorkerRole": own["Worker"] | of("JobsQueue", "sqs", *jobs) | of("LedgerTable", "dynamodb", *ledger),
    }, "only the receiver may invoke a function, and the worker may not send to its queue"


@pytest.mark.failure(48)
def test_timeouts_and_counts_follow_the_advice_of_aws_and_match_the_local_bot(worker: ModuleType) -> None:
    jobs, function = properties("JobsQueue"), properties("Worker")
    assert jobs["VisibilityTimeout"] == 6 * function["Timeout"] == aws.VISIBILITY_SECONDS
    assert function["Timeout"] == functions.TIMEOUT_SECONDS == worker.MAX_CLAIM_SECONDS
    assert jobs["RedrivePolicy"]["maxReceiveCount"] == MAX_ATTEMPTS
    assert jobs["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    assert properties("DeadLetterQueue")["MessageRetentionPeriod"] > jobs["MessageRetentionPeriod"]
    source = function["Events"]["Job"]["Properties"]
    assert source["BatchSize"] == functions.BATCH_SIZE
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert properties("Receiver")["Timeout"] <= 30, "an HTTP API waits 30 s at most"


@pytest.mark.failure(3, 54)
def test_the_gateway_the_functions_and_the_queue_have_limits_against_floods() -> None:
    throttling = properties("Api")["DefaultRouteSettings"]
    assert throttling == {key: {"Ref": "RequestsPerSecond"} for key in ("ThrottlingRateLimit", "ThrottlingBurstLimit")}
    for name in ("Receiver", "Worker"):
        assert properties(name)["ReservedConcurrentExecutions"]["Fn::If"][0] == "Reserved"
    at_once = {"Ref": "WorkerConcurrency"}
    assert properties("Worker")["ReservedConcurrentExecutions"]["Fn::If"][1] == at_once
    assert properties("Worker")["Events"]["Job"]["Properties"]["ScalingConfig"]["MaximumConcurrency"] == at_once
    assert (PARAMETERS["WorkerConcurrency"]["MinValue"], PARAMETERS["WorkerConcurrency"]["MaxValue"]) == (2, 1000)
    assert 2 <= properties("Receiver")["ReservedConcurrentExecutions"]["Fn::If"][1] <= 1000
    assert 1 <= PARAMETERS["RequestsPerSecond"]["Default"] <= 1000


def test_data_is_encrypted_and_has_a_short_retention() -> None:
    table = properties("LedgerTable")
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiration", "Enabled": True}
    assert table["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert all(queue["SqsManagedSseEnabled"] is True for queue in of_type("AWS::SQS::Queue").values())
    logs = {name: one["RetentionInDays"] for name, one in of_type("AWS::Logs::LogGroup").items()}
    assert logs == {f"{name}Logs": {"Ref": "LogRetentionDays"} for name in ("Api", "Receiver", "Worker", "Scorer")}
    assert PARAMETERS["LogRetentionDays"]["Default"] <= 30
    for name in FUNCTIONS:
        assert properties(name)["LoggingConfig"] == {"LogGroup": {"Ref": f"{name}Logs"}}


@pytest.mark.failure(3, 48)
def test_every_kind_of_failure_has_an_alarm_with_a_recipient() -> None:
    alarms = of_type("AWS::CloudWatch::Alarm")
    watched = {(json.dumps(one["Namespace"]), one["MetricName"]) for one in alarms.values()}
    assert {
        ('"AWS/SQS"', "ApproximateNumberOfMessagesVisible"),
        ('"AWS/SQS"', "ApproximateAgeOfOldestMessage"),
        ('"AWS/ApiGateway"', "5xx"),
        ('"AWS/ApiGateway"', "Latency"),
        ('"AWS/Lambda"', "Errors"),
        ('"AWS/Lambda"', "Throttles"),
        ('{"Ref": "AWS::StackName"}', "ErrorsLogged"),
    } <= watched
    # The scorer's throttling is expected, so it has no alarm.
    for metric, watching in (("Errors", ["Receiver", "Scorer", "Worker"]), ("Throttles", ["Receiver", "Worker"])):
        each = [one["Dimensions"][0]["Value"]["Ref"] for one in alarms.values() if one["MetricName"] == metric]
        assert sorted(each) == watching, f"{metric} of each function"
    for name, one in alarms.items():
        assert one["AlarmActions"]["Fn::If"][:2] == ["Told", [{"Ref": "AlarmTopic"}]], name
        assert one["TreatMissingData"] == "notBreaching", f"{name}: missing data must not raise an alarm"
        assert one["AlarmDescription"].endswith((".", "?")), f"{name}: the description must be sentences"


def test_access_logs_are_json_without_bodies_query_strings_or_headers() -> None:
    settings = properties("Api")["AccessLogSettings"]
    assert settings["DestinationArn"] == {"Fn::GetAtt": ["ApiLogs", "Arn"]}
    fields = json.loads(settings["Format"])
    assert set(fields.values()) == {
        f"$context.{name}"
        for name in ("requestId", "requestTime", "identity.sourceIp", "routeKey", "status", "error.responseType",
                     "integration.integrationStatus", "responseLatency", "integration.latency")
    }  # fmt: skip


def test_tracing_is_optional_and_gradual_deployment_excludes_provisioned_concurrency() -> None:
    assert TEMPLATE["Globals"]["Function"]["Tracing"] == {"Fn::If": ["Traced", "Active", "PassThrough"]}
    assert (PARAMETERS["Tracing"]["Default"], PARAMETERS["GradualDeployment"]["Default"]) == ("no", "no")
    rule = TEMPLATE["Rules"]["GradualOrProvisioned"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "GradualDeployment"}, "yes"]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Equals": [{"Ref": "ProvisionedConcurrency"}, 0]}
    for name in ("Receiver", "Worker"):
        one = properties(name)
        minutes = int(re.findall(r"\d+", one["DeploymentPreference"]["Type"])[1])
        periods = [properties(alarm["Ref"])["Period"] for alarm in one["DeploymentPreference"]["Alarms"]]
        assert 60 * minutes >= 2 * max(periods), f"each alarm must see the new version of {name} for a whole period"


def test_the_weekly_summary_is_off_by_default_and_needs_a_channel() -> None:
    schedule = properties("Worker")["Events"]["WeeklySummary"]
    assert (schedule["Type"], PARAMETERS["WeeklySummary"]["Default"]) == ("Schedule", "no")
    assert schedule["Properties"]["State"] == {"Fn::If": ["Weekly", "ENABLED", "DISABLED"]}
    assert json.loads(schedule["Properties"]["Input"]) == {"summary": {}}, "the event that the worker's handler expects"
    rule = TEMPLATE["Rules"]["SummaryHasChannel"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "WeeklySummary"}, "yes"]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ModeratorsChannel"}, ""]}]}


def test_the_scorer_is_optional_and_cannot_use_the_bots_concurrency() -> None:
    assert {name for name, one in RESOURCES.items() if one.get("Condition") == "Scoring"} >= {"Scorer", "ScorerApi"}
    assert (PARAMETERS["ScoringApi"]["Default"], TEMPLATE["Outputs"]["ScoringUrl"]["Condition"]) == ("no", "Scoring")
    scorer = properties("Scorer")
    assert scorer["Events"]["Request"]["Properties"] == {"ApiId": {"Ref": "ScorerApi"}}
    throttling = properties("ScorerApi")["DefaultRouteSettings"]
    assert set(map(str, throttling.values())) == {"{'Ref': 'ScoringRequestsPerSecond'}"}
    assert scorer["ReservedConcurrentExecutions"]["Fn::If"][:2] == ["Reserved", {"Ref": "ScorerConcurrency"}]
    assert 2 * perspective.BUDGET_SECONDS < scorer["Timeout"] < 30, "an HTTP API waits 30 s at most"


def test_every_setting_has_a_variable_and_parameters_have_the_defaults_of_the_code() -> None:
    in_the_secret_and_the_image = {"SLACK_SIGNING_SECRET", "SLACK_BOT_TOKEN", "MODEL_DIR", "API_KEY_HASHES"}
    settings = VARIABLES.keys() - {"AWS_ENDPOINT_URL", "POWERTOOLS_METRICS_NAMESPACE"}
    assert settings == DEFAULTS.keys() - in_the_secret_and_the_image
    for name, value in VARIABLES.items():
        if isinstance(value, dict) and (parameter := PARAMETERS.get(str(value.get("Ref")))):
            assert str(parameter["Default"]) == DEFAULTS[name], f"{name} has another default in template.yaml"


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_has_a_description_and_limits(name: str) -> None:
    parameter = PARAMETERS[name]
    assert parameter["Description"].endswith("."), f"{name}: the description must be a sentence"
    assert parameter.keys() & {"AllowedValues", "AllowedPattern", "MinValue"}, f"{name} accepts any value"
    if "AllowedPattern" in parameter:
        assert re.fullmatch(parameter["AllowedPattern"], str(parameter["Default"])), f"{name} refuses its own default"
    if "AllowedValues" in parameter:
        assert parameter["Default"] in parameter["AllowedValues"]
    assert [one for group in GROUPS for one in group["Parameters"]].count(name) == 1


THRESHOLDS = (
    ["", "0", "1", "1.0", "0.5", ".75", "0.80"],
    ["2", "-1", "1.5", "half", "0,8", "80%", "nan", "1e-1", "0.", "0_1", "\u0660.5"],
)


@pytest.mark.failure(81)
@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("ToxicThreshold", *THRESHOLDS),
        ("MaybeToxicThreshold", *THRESHOLDS),
        ("ReplyTo", ["thread", "reactor", "moderators", "C0123ABC"],
         ["everywhere", "general", "#general", "Thread", "c0123abc", "U0123ABC", "<#C0123ABC>"]),
        ("TriggerEmoji", ["biohazard_sign", "a,b", ":tada:", "+1::skin-tone-2", "\u3042\u308a", "pi\u00f1ata"],
         ["", ",", "a b", "\u2623\ufe0f", "\u2623", "a,\u2623", "\U0001f44d", "\u3297", "Tada", "skin-tone-2",
          "a::skin-tone-9", "a:b", "a,,b", "<:a>"]),
        ("ModeratorsChannel", ["", "C0123ABC", "G0123ABC"],
         ["moderators", "#moderators", "c0123abc", "U0123ABC", "U0ADA"]),
        ("ChannelSettings", [
            "",
            "{}",
            '{"*": {}}',
            '{"*":{"verdicts":"reactor","emoji":["eyes",":+1::skin-tone-2:"]},"C0123ABC":{"toxic_threshold":0.9}}',
            '{ "G01" : { "watch" : true , "watch_threshold" : 1.0 } , "C02" : { "off" : false } }',
            '{"C01": {"toxic_threshold": 1, "maybe_toxic_threshold": 0}, "C02": {"verdicts": "moderators"}}',
        ], [
            "reactor",
            "[]",
            '{"#general": {}}',
            '{"C01": {"verdicts": "everybody"}}',
            '{"C01": {"threshold": 0.9}}',
            '{"C01": {"toxic_threshold": "0.9"}}',
            '{"C01": {"toxic_threshold": 0,9}}',
            '{"C01": {"toxic_threshold": 1.5}}',
            '{"C01": {"emoji": []}}',
            '{"C01": {"emoji": ["\u2623"]}}',
            '{"C01": {"off": "yes"}}',
            '{"C01": {"off": true,}}',
            '{"C01": {}, }',
            '{"C01": {} "C02": {}}',
            "{'C01': {}}",
            '{"C01": {}',
        ]),
        ("IgnoredReactors", ["", "U0ADA", "U0ADA,W0BOB"], ["@ada", "ada", "B0BOT", "U0ADA;U0BOB"]),
        ("SlackApiUrl", ["https://slack-gov.com/api/", "http://127.0.0.1:8090/api/"],
         ["slack.com", "https://", "ftp://x"]),
        ("AlarmEmail", ["", "ops@example.com"], ["ops", "a b@example.com"]),
        ("AttributeAliases", ["", "INSULT=TOXICITY,THREAT=TOXICITY"], ["INSULT", "INSULT=THREAT", "a=TOXICITY"]),
    ],
)  # fmt: skip
def test_parameters_accept_and_refuse_the_same_values_as_the_code(name: str, good: list[str], bad: list[str]) -> None:
    pattern = PARAMETERS[name]["AllowedPattern"]
    assert [value for value in good if not re.fullmatch(pattern, value)] == []
    assert [value for value in bad if re.fullmatch(pattern, value)] == []
    for variable in (variable for variable, value in VARIABLES.items() if value == {"Ref": name}):
        for value in good:
            Settings.from_environ({"MODERATORS_CHANNEL": "C0MODERATION", variable: value})
        # An empty value means unset, and the code accepts superfluous commas.
        for value in filter(None, set(bad) - {"a,,b"}):
            with pytest.raises(SettingError, match=f"^{variable} "):
                Settings.from_environ({variable: value})


@pytest.mark.parametrize("name", ["RequestsPerSecondPerKey", "MaxEventAgeHours"])
def test_the_code_accepts_the_bounds_of_numbers(name: str) -> None:
    (variable,) = [variable for variable, value in VARIABLES.items() if value == {"Ref": name}]
    for bound in ("MinValue", "MaxValue"):
        Settings.from_environ({variable: str(PARAMETERS[name][bound])})


def test_the_first_parameter_is_who_sees_a_verdict_and_lists_its_values() -> None:
    assert list(PARAMETERS)[:2] == ["ReplyTo", "ModeratorsChannel"], "SAM asks in this order"
    assert GROUPS[0]["Parameters"][:2] == ["ReplyTo", "ModeratorsChannel"], "so does the console"
    assert all(f"{answer} - " in PARAMETERS["ReplyTo"]["Description"] for answer in ("thread", "reactor", "moderators"))
    rule = TEMPLATE["Rules"]["ModeratorsHaveAChannel"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "ReplyTo"}, "moderators"]}
    assert "ModeratorsChannel" in rule["Assertions"][0]["AssertDescription"]


def test_the_dashboard_is_valid_json_and_shows_the_bots_metrics() -> None:
    body, conditional = properties("Dashboard")["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(re.sub(r"\$\{[^}]+\}", "x", body))["widgets"]
    assert len({(widget["x"], widget["y"]) for widget in widgets}) == len(widgets)
    shown = set(re.findall(r'"((?:Job|Event|Request|Receiver|Text|Scoring)[A-Z]\w+)"', body.replace("\\", "")))
    jobs = {"JobEnded", "JobPostponed", "JobFailed", "JobDuration"}
    scoring = {"TextScored", "ScoringRefused", "ScoringFailed"}
    assert shown == jobs | scoring | {"EventIgnored", "RequestRefused", "ReceiverFailed"}
    referenced = {name.split(".")[0] for name in re.findall(r"\$\{([^}:]+)\}", body)}
    assert referenced - conditional.keys() <= RESOURCES.keys()
    assert conditional == {"ScorerSource": {"Fn::If": ["Scoring", {"Fn::Sub": "SOURCE '${ScorerLogs}' | "}, ""]}}, (
        "without the scoring API its logs do not exist"
    )


def test_the_outputs_are_complete_and_the_secret_has_a_valid_placeholder() -> None:
    names = "RequestUrl SecretId JobsQueueUrl DeadLetterQueueUrl LedgerTableName ScoringUrl DashboardUrl"
    assert TEMPLATE["Outputs"].keys() == set(names.split())
    path = properties("Receiver")["Events"]["SlackEvent"]["Properties"]["Path"]
    assert TEMPLATE["Outputs"]["RequestUrl"]["Value"]["Fn::Sub"].endswith(path)
    placeholder = json.loads(properties("SlackSecret")["SecretString"])
    assert placeholder == {"signing_secrets": ["replace-me"], "bot_token": "replace-me"}


@pytest.mark.failure(56)
def test_no_resource_has_a_fixed_name_or_region_so_the_stack_can_run_in_a_second_region() -> None:
    kinds = {"FunctionName", "QueueName", "TableName", "RoleName", "TopicName", "LogGroupName", "AlarmName", "Name"}
    named = {value for one in RESOURCES.values() for name, value in one["Properties"].items()
             if name in kinds and isinstance(value, str)}  # fmt: skip
    assert named == set()
    assert not re.search(r"\b(af|ap|ca|eu|il|me|mx|sa|us)-[a-z]+-\d\b", json.dumps(RESOURCES))
