"""What stands in the template, the documents and the measurements, and not in the functions."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from local.aws import MAX_RECEIVE_COUNT
from local.bot import ROOT
from tests.cloudformation import template

TEMPLATE = template()
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = RESOURCES[name]["Properties"]
    return found


def function(handler: str) -> dict[str, Any]:
    """Return the properties of the function that runs a handler."""
    functions = [properties(name) for name, one in RESOURCES.items() if one["Type"] == "AWS::Serverless::Function"]
    (found,) = [one for one in functions if one["ImageConfig"]["Command"] == [handler]]
    return found


def alarms_on(metric: str, resource: str) -> list[str]:
    """Return the alarms on a metric that have the resource as a dimension."""
    return [
        name
        for name, one in RESOURCES.items()
        if one["Type"] == "AWS::CloudWatch::Alarm"
        and one["Properties"]["MetricName"] == metric
        and resource in json.dumps(one["Properties"].get("Dimensions", ""))
    ]


def number(value: Any, parameters: dict[str, Any]) -> Any:
    """Return what a value is once its parameters and conditions have their defaults."""
    if isinstance(value, dict) and "Fn::If" in value:
        return number(value["Fn::If"][1], parameters)
    if isinstance(value, dict) and "Ref" in value:
        return parameters[value["Ref"]]["Default"]
    return value


def sections(*documents: str) -> list[tuple[str, str]]:
    """Return the headings of documents of ours, each with what stands below it."""
    found: list[tuple[str, str]] = []
    for document in documents:
        parts = re.split(r"^#+ (.*)$", (ROOT / document).read_text(encoding="utf-8"), flags=re.MULTILINE)
        found += zip(parts[1::2], parts[2::2], strict=True)
    return found


def test_f3_a_storm_is_noticed_and_the_receiver_has_room_for_it() -> None:
    assert alarms_on("5xx", "Api"), "Slack sends again what was answered with 5xx"
    assert alarms_on("Latency", "Api"), "and what was answered too late"
    assert (
        number(function("toxicity_bot.receiver.handler")["ReservedConcurrentExecutions"], TEMPLATE["Parameters"]) >= 2
    )


def test_f48_the_queue_gives_up_at_last_and_says_so() -> None:
    redrive = properties("JobsQueue")["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    assert redrive["maxReceiveCount"] == MAX_RECEIVE_COUNT >= 5
    assert alarms_on("ApproximateNumberOfMessagesVisible", "DeadLetterQueue")
    event = function("toxicity_bot.worker.handler")["Events"]["Job"]["Properties"]
    assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"], "else a bad record takes its batch along"


def test_f48_the_way_back_from_the_dead_letter_queue_is_written_down() -> None:
    told = [text for _, text in sections("README.md", "docs/operating.md") if "dead-letter" in text]
    assert any("make redrive" in text or "start-message-move-task" in text for text in told), "how jobs are sent back"


def test_f54_a_flood_meets_limits_at_the_door_at_the_receiver_and_at_the_queue() -> None:
    parameters = TEMPLATE["Parameters"]
    door = properties("Api")["DefaultRouteSettings"]
    worker = function("toxicity_bot.worker.handler")
    scaling = worker["Events"]["Job"]["Properties"]["ScalingConfig"]
    limits = {
        "requests a second": door["ThrottlingRateLimit"],
        "requests at once": door["ThrottlingBurstLimit"],
        "receivers": function("toxicity_bot.receiver.handler")["ReservedConcurrentExecutions"],
        "workers": worker["ReservedConcurrentExecutions"],
        "jobs at once": scaling["MaximumConcurrency"],
    }
    found = {name: number(limit, parameters) for name, limit in limits.items()}
    assert all(isinstance(limit, int) and 1 <= limit <= 1000 for limit in found.values()), found
    assert scaling["MaximumConcurrency"] == worker["ReservedConcurrentExecutions"]["Fn::If"][1], (
        "more pollers than workers would be throttled, and each throttled job would count as received"
    )


def test_f54_the_switch_is_written_down() -> None:
    told = " ".join(text for _, text in sections("README.md", "docs/operating.md"))
    assert re.search(r"put-function-concurrency .*--reserved-concurrent-executions 0\b", told), "how to stop everything"


def test_f56_what_a_lost_region_takes_and_what_brings_the_bot_back_is_written_down() -> None:
    told = " ".join(text for heading, text in sections("docs/operating.md") if "region" in heading.lower())
    for subject in ("domain", "second region", "twice"):
        assert subject in told.lower(), f"docs/operating.md says nothing of {subject!r} under a heading with 'region'"


def test_f59_no_function_can_call_itself_and_the_worker_cannot_feed_its_queue() -> None:
    rights = {role: json.dumps(properties(role)["Policies"]) for role in ("ReceiverRole", "WorkerRole")}
    assert "lambda:Invoke" not in json.dumps(rights)
    assert "sqs:SendMessage" not in rights["WorkerRole"]
    events = [event for one in RESOURCES.values() for event in one.get("Properties", {}).get("Events", {}).values()]
    queues = [event["Properties"]["Queue"] for event in events if event["Type"] == "SQS"]
    assert queues == [{"Fn::GetAtt": ["JobsQueue", "Arn"]}], "the dead-letter queue feeds nobody"


def test_f53_the_model_that_ships_was_measured_on_other_cpus_and_held_its_tolerance() -> None:
    """`make cpus` measures; this holds its record to the model at hand."""
    measured = json.loads((ROOT / "docs" / "cpus.json").read_text(encoding="utf-8"))
    shipped = json.loads((ROOT / "model" / "model.json").read_text(encoding="utf-8"))
    for name, checksum in measured["model"]["sha256"].items():
        assert hashlib.sha256((ROOT / "model" / name).read_bytes()).hexdigest() == checksum, f"{name} was not measured"
    assert measured["tolerance"] == shipped["reference"]["tolerance"]
    assert {"x86_64", "aarch64"} <= {cpu["architecture"] for cpu in measured["cpus"].values()}
    for name, cpu in measured["cpus"].items():
        assert cpu["largest"] <= measured["tolerance"], name
        assert cpu["flips_elsewhere"] == 0, f"on {name} verdicts change that are not near the threshold"
        assert cpu["messages"] >= 100, name
