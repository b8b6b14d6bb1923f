"""The resources that SAM creates from template.yaml for CloudFormation. Needs no container engine and no account."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests import ROOT

TRANSFORM = """
import json, sys, boto3
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
session = boto3.session.Session(region_name="eu-west-1")
template = yaml_parse(open("template.yaml").read())
parameters = json.loads(sys.argv[2])
for name in ("Receiver", "Worker", "Scorer"):
    template["Resources"][name]["Properties"]["ImageUri"] = "000000000000.dkr.ecr.example.com/bot:" + sys.argv[1]
print(json.dumps(Translator({}, Parser(), boto_session=session).translate(template, parameters)))
"""


def transformed(image: str, **parameters: str) -> dict[str, Any]:
    command = [str(ROOT / ".venv-sam" / "bin" / "python"), "-c", TRANSFORM, image, json.dumps(parameters)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    resources: dict[str, Any] = json.loads(done.stdout)["Resources"]
    return resources


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    return transformed("one")


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: one for name, one in resources.items() if one["Type"] == kind}


def test_queue_and_api_call_the_versions_behind_the_alias(resources: dict[str, Any]) -> None:
    assert resources["WorkerJob"]["Properties"]["FunctionName"] == {"Ref": "WorkerAliaslive"}
    permissions = [one["Properties"]["FunctionName"] for one in of_type(resources, "AWS::Lambda::Permission").values()]
    called = ("ReceiverAliaslive", "WorkerAliaslive", "ScorerAliaslive")
    assert permissions == [{"Ref": name} for name in called], "the schedule calls the worker"
    (schedule,) = of_type(resources, "AWS::Events::Rule").values()
    assert schedule["Properties"]["State"] == {"Fn::If": ["Weekly", "ENABLED", "DISABLED"]}
    assert [target["Arn"] for target in schedule["Properties"]["Targets"]] == [{"Ref": "WorkerAliaslive"}]
    assert "ReceiverAliaslive" in json.dumps(resources["Api"])
    assert "ScorerAliaslive" in json.dumps(resources["ScorerApi"])


def test_the_scorers_resources_exist_only_if_it_is_enabled(resources: dict[str, Any]) -> None:
    with_it = {name for name, one in resources.items() if one.get("Condition") == "Scoring"}
    assert with_it == {name for name in resources if name.startswith("Scorer")}
    assert resources["ScorerAliaslive"]["Properties"]["ProvisionedConcurrencyConfig"] == {"Ref": "AWS::NoValue"}


def test_a_gradual_deployment_watches_alarms_in_a_role_of_this_template(resources: dict[str, Any]) -> None:
    assert not of_type(resources, "AWS::CodeDeploy::DeploymentGroup"), "gradual deployment is off by default"
    gradual = transformed("one", GradualDeployment="yes")
    watched = {
        "Receiver": ["ReceiverCrashAlarm", "ReceiverThrottledAlarm", "ErrorsLoggedAlarm"],
        "Worker": ["WorkerCrashAlarm", "ErrorsLoggedAlarm"],
    }
    for name, alarms in watched.items():
        group = gradual[f"{name}DeploymentGroup"]["Properties"]
        assert group["AlarmConfiguration"]["Alarms"] == [{"Name": {"Ref": alarm}} for alarm in alarms]
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        assert group["ServiceRoleArn"]["Fn::If"][:2] == ["Gradual", {"Fn::GetAtt": ["DeploymentRole", "Arn"]}]
        assert "Canary10Percent10Minutes" in json.dumps(group["DeploymentConfigName"])
        policy = gradual[f"{name}Aliaslive"]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
        assert policy["DeploymentGroupName"] == {"Ref": f"{name}DeploymentGroup"}
    assert of_type(gradual, "AWS::IAM::Role").keys() == of_type(resources, "AWS::IAM::Role").keys()


def test_another_image_creates_another_version(resources: dict[str, Any]) -> None:
    versions = [set(of_type(one, "AWS::Lambda::Version")) for one in (resources, transformed("two"))]
    assert len(versions[0]) == len(versions[1]) == 3
    assert not versions[0] & versions[1]


def test_sam_adds_no_role_and_no_managed_policy(resources: dict[str, Any]) -> None:
    roles = of_type(resources, "AWS::IAM::Role")
    assert roles.keys() == {"DeploymentRole", "ReceiverRole", "ScorerRole", "WorkerRole"}
    assert not any("ManagedPolicyArns" in role["Properties"] for role in roles.values())
