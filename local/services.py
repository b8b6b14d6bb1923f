"""`make local-services`: serve a local Slack and embedded AWS to the containers of `sam local`.

Write build/local-env.json for `sam local --env-vars` and the files in events/, and sign the receiver's events again
every minute. Run in the foreground until Ctrl-C.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Annotated, Literal, Self

import typer

from local.aws import EmbeddedAws
from local.bot import ROOT, SIGNAL_PAUSE, BotError, verdicts, wait_for
from local.events import Deliveries
from local.situations import Situations, receiver_events, worker_events, write
from local.slack_server import SlackServer
from toxicity_bot.command_line import past_proxies, signals_to_end

if TYPE_CHECKING:
    from collections.abc import Mapping

ENV_FILE = ROOT / "build" / "local-env.json"
SIGNING_INTERVAL = 60.0  # seconds; signatures are valid for 300
SLACK_PORT, AWS_PORT = 8090, 5055
MODERATORS = "C0PRIVATE"  # the moderators' channel if a channel is watched
REQUEST_URL = "http://127.0.0.1:3000/slack/events"  # sam local start-api


class LocalServices:
    """SQS, DynamoDB, Secrets Manager, and a local Slack with the messages of `situations`."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        *,
        slack_port: int = 0,
        aws_port: int = 0,
        request_url: str = "",
        limits: str = "",
        watch: str = "",
    ) -> None:
        self.situations, self._host, self._watch = Situations(), host, watch
        workspace = self.situations.workspace
        deliveries = Deliveries(request_url, workspace.signing_secret) if request_url else None
        self.aws = EmbeddedAws(aws_port, host)
        self.slack = SlackServer(
            workspace, host=host, port=slack_port, deliveries=deliveries, send_message_events=bool(watch), limits=limits
        )

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.aws)
            stack.enter_context(self.slack)
            workspace = self.situations.workspace
            secret = {"signing_secrets": [workspace.signing_secret], "bot_token": workspace.token}
            self.aws.client("secretsmanager").create_secret(Name="slack", SecretString=json.dumps(secret))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def environ(self, seen_as: str = "") -> dict[str, str]:
        """Return the functions' variables. `seen_as` is this machine's name in their containers if it differs."""
        values = {
            "SLACK_SECRET_ID": "slack",
            "SLACK_API_URL": self.slack.url,
            "AWS_ENDPOINT_URL": self.aws.url,
            "JOBS_QUEUE_URL": self.aws.queue_url,
            "LEDGER_TABLE": self.aws.table,
        }
        if self._watch:
            entry = {self._watch: {"watch": True}}
            values |= {"CHANNEL_SETTINGS": json.dumps(entry), "MODERATORS_CHANNEL": MODERATORS}
        return {
            name: value.replace(f"//{self._host}:", f"//{seen_as or self._host}:") for name, value in values.items()
        }

    def outcomes(self, ts: str) -> list[str]:
        """Return the outcomes of the bot's posts about a message."""
        posts = verdicts(self.situations.workspace)[ts]
        return [post["metadata"]["event_payload"]["outcome"] for post in posts]


def addresses(environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Return the address to listen at so that containers can connect, and its name in containers if that differs.

    `environ` is the environment of the `docker` command.
    """
    if sys.platform != "linux":
        return "127.0.0.1", "host.docker.internal"  # Docker Desktop's bridge is in a virtual machine
    command = ["docker", "network", "inspect", "bridge", "--format", "{{json (index .IPAM.Config 0)}}"]
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BotError(f"Docker does not answer ({error}). Without containers: --host 127.0.0.1") from error
    network = json.loads(done.stdout)
    # A new daemon does not report its gateway yet. The gateway has the network's first address.
    return network.get("Gateway") or str(next(ipaddress.ip_network(network["Subnet"]).hosts())), ""


def main(
    host: Annotated[str, typer.Option(help="The address to listen at. Default: one that containers can reach.")] = "",
    limits: Annotated[
        Literal["", "tier_3", "one_a_minute"], typer.Option(help="Enforce Slack's rate limits on reads.")
    ] = "",
    watch: Annotated[str, typer.Option(help=f"A channel to watch, such as C0GENERAL. Cards go to {MODERATORS}.")] = "",
) -> None:
    """Serve a local Slack and embedded AWS until Ctrl-C."""
    stopping = signals_to_end()
    host, seen_as = (host, "") if host else addresses()
    past_proxies(host)
    with LocalServices(
        host, slack_port=SLACK_PORT, aws_port=AWS_PORT, request_url=REQUEST_URL, limits=limits, watch=watch
    ) as services:
        ENV_FILE.parent.mkdir(exist_ok=True)
        ENV_FILE.write_text(json.dumps({"Parameters": services.environ(seen_as)}, indent=2) + "\n")
        write(worker_events(services.situations))
        print(f"Slack   {services.slack.address}/local/conversation?channel=C0GENERAL")
        print(f"AWS     {services.aws.url}")
        print("Try     .venv-sam/bin/sam local invoke Worker --event events/worker-toxic.json")
        print("Ctrl-C stops both.", flush=True)
        while not stopping:
            write(receiver_events(services.situations, time.time()))
            wait_for(lambda: bool(stopping), SIGNING_INTERVAL, SIGNAL_PAUSE)


if __name__ == "__main__":
    typer.run(main)
