"""The image: its layers, its content, and that its functions need no privileges."""

from __future__ import annotations

import json
import re
import subprocess
import time
from typing import TYPE_CHECKING, Any

from local.aws import aws_environ
from local.situations import Situations, receiver_events
from tests import ROOT
from tests.sam.engine import IMAGE, LIMITS, Container

if TYPE_CHECKING:
    from tests.sam.engine import Engine

MB = 1_000_000


def test_the_image_layers_are_within_their_size_limits(engine: Engine, lambda_base: str, image: str) -> None:
    below, base, app = (sum(size for size, _ in engine.layers(name)) for name in (lambda_base, f"{IMAGE}-base", image))
    assert app - base < 1 * MB
    assert app - below < 250 * MB


def inside(engine: Engine, image: str, program: str) -> Any:
    """Run Python in the image as nobody, with a read-only file system, without network and capabilities."""
    path = ["--env", "PYTHONPATH=/opt/python:/var/task"]
    python = ["--network", "none", *path, "--entrypoint", "python3", image, "-c", program]
    return json.loads(engine.run("run", "--rm", *LIMITS, *python).splitlines()[-1])


def test_the_image_contains_neither_torch_nor_a_hub_client(engine: Engine, image: str) -> None:
    names = inside(engine, image, "import os, json; print(json.dumps(os.listdir('/opt/python')))")
    assert {"onnxruntime", "tokenizers", "slack_sdk", "boto3"} <= set(names)
    assert not {"torch", "transformers", "optimum", "huggingface_hub", "pip"} & set(names)


def test_the_image_can_create_each_aws_client_that_its_functions_use(engine: Engine, image: str) -> None:
    sources = "".join(path.read_text() for path in (ROOT / "lambda").glob("*.py"))
    used = {
        *re.findall(r'boto3\.client\("([^"]+)"', sources),
        "dynamodb",
        "secretsmanager",
    }  # the last two: by Powertools
    assert {"lambda", "sqs"} <= used
    program = f"""
import boto3, json
clients = [boto3.client(name, region_name="eu-west-1") for name in {sorted(used)}]
print(json.dumps([client.meta.service_model.service_name for client in clients]))
"""
    assert inside(engine, image, program) == sorted(used)


def test_every_module_is_byte_compiled_without_source_checks(engine: Engine, image: str) -> None:
    program = """
import json, pathlib
flags = {}
for root in ("/var/task", "/opt/python"):
    for source in pathlib.Path(root).rglob("*.py"):
        (compiled,) = list((source.parent / "__pycache__").glob(source.stem + ".cpython-*.pyc")) or [None]
        flags[str(source)] = int.from_bytes(compiled.read_bytes()[4:8], "little") if compiled else None
print(json.dumps([name for name, flag in flags.items() if flag != 1][:5] + [len(flags)]))
"""
    *others, number = inside(engine, image, program)
    assert others == []
    assert number > 500


def test_telemetry_is_disabled_and_the_model_is_at_its_expected_path(engine: Engine, image: str) -> None:
    environ = inside(engine, image, "import os, json; print(json.dumps(dict(os.environ)))")
    assert environ["ORT_DISABLE_TELEMETRY"] == "1"
    program = "from toxicity_bot.classifier import Classifier; print(Classifier(%r).toxicity('You stupid idiot.'))"
    assert inside(engine, image, program % environ["MODEL_DIR"]) > 0.5


def test_the_functions_run_as_nobody_on_a_read_only_file_system(engine: Engine, image: str) -> None:
    nowhere = "http://127.0.0.1:9"
    settings = {"SLACK_SIGNING_SECRET": "local-signing-secret", "JOBS_QUEUE_URL": f"{nowhere}/queue"}
    settings |= aws_environ(nowhere, {})
    event = receiver_events(Situations(), time.time())["receiver-url-verification"]
    with Container(engine, "toxicity_bot.receiver.handler", settings, cpus=1, memory_mb=1024) as container:
        assert container.invoke(event)["statusCode"] == 200


def test_another_label_creates_another_image_and_thus_another_version(
    engine: Engine, lambda_base: str, image: str
) -> None:
    def labelled(value: str) -> str:
        command = ["make", "image", f"LAMBDA_BASE={lambda_base}", f"LABEL=--label deployed={value}"]
        subprocess.run(command, cwd=ROOT, env=engine.environ, check=True, capture_output=True)
        return engine.run("inspect", "--format", "{{.Id}}", image)

    assert labelled("monday") != labelled("tuesday")
