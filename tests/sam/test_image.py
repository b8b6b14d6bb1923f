"""The image: its layers, what is in it and what is not, and that it asks for no rights."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from local.emulator import INVOCATIONS
from local.events.situations import Morning, receiver_events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.engine import Engine

MB = 1_000_000


def layers(engine: Engine, image: str) -> list[int]:
    """Return the bytes of each layer, newest first."""
    history = engine.run("history", "--human=false", "--format", "{{.Size}}", image)
    return [int(size) for size in history.split()]


def test_the_layers_are_as_small_as_promised(engine: Engine, image: str) -> None:
    base, app = sum(layers(engine, "slack-toxicity-bot-base")), sum(layers(engine, image))
    lambda_base = sum(layers(engine, lambda_base_of(engine)))
    assert app - base < 1 * MB
    assert app - lambda_base < 250 * MB


def lambda_base_of(engine: Engine) -> str:
    """Return the image that the base layer was built upon: the one with which it shares most layers."""

    def digests(name: str) -> list[str]:
        found: list[str] = json.loads(engine.run("inspect", "--format", "{{json .RootFS.Layers}}", name))
        return found

    ours = digests("slack-toxicity-bot-base")
    below = [
        name
        for name in engine.run("images", "--format", "{{.Repository}}:{{.Tag}}").split()
        if "<none>" not in name and "toxicity" not in name and digests(name) == ours[: len(digests(name))]
    ]
    return max(below, key=lambda name: len(digests(name)))


def inside(engine: Engine, image: str, program: str) -> Any:
    """Run Python in the image as Lambda would: nobody's user, a read-only file system, no network, no capability."""
    limits = ["--user", "65534", "--read-only", "--cap-drop", "ALL", "--network", "none"]
    python = ["--entrypoint", "python3", image, "-c", program]
    return json.loads(engine.run("run", "--rm", *limits, "--env", "PYTHONPATH=/opt/python", *python).splitlines()[-1])


def test_it_holds_no_torch_and_no_hub_client(engine: Engine, image: str) -> None:
    names = inside(engine, image, "import os, json; print(json.dumps(os.listdir('/opt/python')))")
    assert {"onnxruntime", "tokenizers", "slack_sdk", "boto3"} <= set(names)
    assert not {"torch", "transformers", "optimum", "huggingface_hub", "pip"} & set(names)


def test_every_module_is_byte_compiled_and_never_compared_with_its_source(engine: Engine, image: str) -> None:
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


def test_telemetry_is_off_and_the_model_is_where_the_code_looks(engine: Engine, image: str) -> None:
    environ = inside(engine, image, "import os, json; print(json.dumps(dict(os.environ)))")
    assert environ["ORT_DISABLE_TELEMETRY"] == "1"
    score = inside(
        engine,
        image,
        "import sys; sys.path.insert(0, '/var/task'); import pathlib, os; from classifier import Classifier; "
        "print(Classifier(pathlib.Path(os.environ['MODEL_DIR'])).toxicity('You stupid idiot.'))",
    )
    assert score > 0.5


@pytest.fixture
def receiver_alone(engine: Engine, image: str) -> Iterator[str]:
    """The receiver in a container of its own, with the emulator that the base image brings."""
    settings = {"SLACK_SIGNING_SECRET": "local-signing-secret", "JOBS_QUEUE_URL": "http://127.0.0.1:9/queue",
                "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_DEFAULT_REGION": "eu-west-1",
                "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}  # fmt: skip
    variables = [argument for item in settings.items() for argument in ("--env", "=".join(item))]
    limits = ["--user", "65534", "--read-only", "--cap-drop", "ALL"]
    container = engine.run(
        "run", "--detach", *limits, *variables, "--publish", "127.0.0.1::8080", image, "receiver.handler"
    )
    try:
        yield f"http://{engine.run('port', container, '8080/tcp')}"
    finally:
        engine.run("rm", "--force", container)


def test_it_runs_as_nobody_on_a_read_only_file_system(receiver_alone: str) -> None:
    import time

    event = receiver_events(Morning(time.time), time.time())["receiver-url-verification"]
    request = urllib.request.Request(receiver_alone + INVOCATIONS, data=json.dumps(event).encode(), method="POST")
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert json.load(answer)["statusCode"] == 200
                return
        except ConnectionError:
            assert time.monotonic() < deadline, "the container does not answer"
            time.sleep(0.1)
