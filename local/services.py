"""`make local-services`: a local Slack and embedded AWS where containers can reach them, for `sam local`.

Writes build/local-env.json (what `sam local --env-vars` takes) and events/, and signs the receiver's event files anew
every minute. In the foreground; nothing is left behind when it ends.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Self

from local.aws import EmbeddedAws
from local.engine import Engine, EngineError
from local.events import Deliveries
from local.events.__main__ import FOLDER, write
from local.events.situations import Morning, receiver_events, worker_events
from local.slack_server import SlackServer

ROOT = Path(__file__).parent.parent
ENV_FILE = ROOT / "build" / "local-env.json"
SIGNED_EVERY = 60.0  # seconds; signatures hold for 300
REQUEST_URL = "http://127.0.0.1:3000/slack/events"  # sam local start-api


class LocalServices:
    """Slack with the morning's messages, SQS, DynamoDB and Secrets Manager; `environ` is what both functions need."""

    def __init__(
        self, host: str = "127.0.0.1", *, slack_port: int = 0, aws_port: int = 0, request_url: str = ""
    ) -> None:
        self.morning = Morning(time.time)
        self._host, self._slack_port, self._aws_port, self._request_url = host, slack_port, aws_port, request_url

    def __enter__(self) -> Self:
        workspace = self.morning.workspace
        deliveries = Deliveries(self._request_url, workspace.signing_secret) if self._request_url else None
        with contextlib.ExitStack() as stack:
            self.aws = stack.enter_context(EmbeddedAws(port=self._aws_port, host=self._host))
            self.slack = stack.enter_context(
                SlackServer(workspace, host=self._host, port=self._slack_port, deliveries=deliveries)
            )
            secret = {"signing_secrets": [workspace.signing_secret], "bot_token": workspace.token}
            self.aws.client("secretsmanager").create_secret(Name="slack", SecretString=json.dumps(secret))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def environ(self, seen_as: str = "") -> dict[str, str]:
        """The functions' variables; `seen_as` is this machine's name where they run, if it is another one there."""
        values = {
            "SLACK_SECRET_ID": "slack",
            "SLACK_API_URL": self.slack.url,
            "AWS_ENDPOINT_URL": self.aws.url,
            "JOBS_QUEUE_URL": self.aws.queue_url,
            "LEDGER_TABLE": self.aws.table,
        }
        return {
            name: value.replace(f"//{self._host}:", f"//{seen_as or self._host}:") for name, value in values.items()
        }

    def outcomes(self, ts: str, channel: str = "C0GENERAL") -> list[str]:
        """How the bot's posts about a message are marked, wherever in the channel they stand."""
        marks = [
            message["metadata"]["event_payload"]
            for message in self.morning.workspace.conversation(channel)
            if message.get("metadata", {}).get("event_type") == "toxicity_verdict"
        ]
        return [mark["outcome"] for mark in marks if mark["key"].split("/")[2] == ts]

    def sign_events(self, folder: Path = FOLDER) -> None:
        """Write the receiver's event files with the signature of this moment."""
        write(receiver_events(self.morning, time.time()), folder)


def addresses(stack: contextlib.ExitStack) -> tuple[str, str]:
    """Where to listen so that containers get here, and under which name they see it; an engine lives as the stack."""
    if sys.platform != "linux":
        return "127.0.0.1", "host.docker.internal"  # Docker Desktop's bridge is inside its own machine
    engine = stack.enter_context(Engine(ROOT / "build" / "engine"))
    if engine.is_ours:
        print(f"export DOCKER_HOST={engine.environ['DOCKER_HOST']}   # an engine was started for as long as this runs")
    return engine.host_address(), ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.services", description=__doc__)
    parser.add_argument("--host", help="listen here instead of where containers can reach it")
    parser.add_argument("--slack-port", type=int, default=8090)
    parser.add_argument("--aws-port", type=int, default=5055)
    parser.add_argument("--request-url", default=REQUEST_URL, help="where reactions are delivered")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with contextlib.ExitStack() as stack:
        try:
            host, seen_as = (options.host, "") if options.host else addresses(stack)
        except EngineError as error:
            print(f"{error}\nWithout containers: python -m local.services --host 127.0.0.1", file=sys.stderr)
            return 1
        services = stack.enter_context(
            LocalServices(
                host, slack_port=options.slack_port, aws_port=options.aws_port, request_url=options.request_url
            )
        )
        ENV_FILE.parent.mkdir(exist_ok=True)
        ENV_FILE.write_text(json.dumps({"Parameters": services.environ(seen_as)}, indent=2) + "\n")
        write(worker_events(services.morning))
        print(f"Slack   {services.slack.address}/local/conversation?channel=C0GENERAL")
        print(f"AWS     {services.aws.url}")
        print("Try     .venv-sam/bin/sam local invoke Worker --event events/worker-toxic.json")
        print("Ctrl-C ends them.", flush=True)
        while not stop.is_set():
            services.sign_events()
            stop.wait(SIGNED_EVERY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
