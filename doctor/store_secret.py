"""`make secret`: ask for the Slack app's credentials without showing them, and store them in the stack's secret.

The previous signing secret stays valid beside the new one, so that no request is lost while Slack changes over.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from doctor.aws import AWS_ERRORS, client, refused
from toxicity_bot.credentials import PLACEHOLDER

if TYPE_CHECKING:
    from collections.abc import Callable

    Ask = Callable[[str], str]

ACCEPTED = 2  # signing secrets: the current and the previous one


class RefusedInputError(Exception):
    """Raised if the input cannot be a credential; the message does not contain it."""


def renewed(present: dict[str, Any], signing_secret: str, bot_token: str) -> dict[str, Any]:
    """Return the secret with the new values; an empty value keeps the stored one."""
    known = [one for one in present.get("signing_secrets", []) if one != PLACEHOLDER]
    secrets = [signing_secret, *(one for one in known if one != signing_secret)] if signing_secret else known
    token = bot_token or present.get("bot_token", PLACEHOLDER)
    if not secrets or token == PLACEHOLDER:
        raise RefusedInputError("Nothing was stored: no value is stored yet, so both are needed.")
    return present | {"signing_secrets": secrets[:ACCEPTED], "bot_token": token}


def asked(ask: Ask) -> tuple[str, str]:
    """Ask for the signing secret and the token; raises RefusedInputError for obvious mistakes."""
    print("What you paste is not shown. Enter alone keeps the stored value.")
    signing_secret = ask("Signing Secret (Basic Information, App Credentials): ").strip()
    if signing_secret and not (signing_secret.isalnum() and len(signing_secret) >= 16):
        raise RefusedInputError("Nothing was stored: a signing secret has letters and digits only, usually 32.")
    bot_token = ask("Bot User OAuth Token (OAuth & Permissions, xoxb-...): ").strip()
    if bot_token and not bot_token.startswith("xoxb-"):
        raise RefusedInputError("Nothing was stored: a bot's token begins with xoxb-.")
    return signing_secret, bot_token


def main(
    stack: Annotated[str, typer.Option(help="The CloudFormation stack.")],
    region: Annotated[str, typer.Option(help="AWS's name of the region, such as eu-west-1.")] = "",
) -> None:
    """Ask for the Slack app's credentials and store them in the stack's secret."""
    if region:
        os.environ["AWS_DEFAULT_REGION"] = region
    try:
        raise typer.Exit(store(stack, getpass.getpass))
    except (KeyboardInterrupt, EOFError):
        sys.exit("\nNothing was stored.")


def store(stack: str, ask: Ask) -> int:
    """Ask, store, and print how many secrets are stored; return the exit status."""
    try:
        described = client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
        secrets = client("secretsmanager")
        present = _parsed(secrets.get_secret_value(SecretId=outputs["SecretId"])["SecretString"])
        secret = renewed(present, *asked(ask))
        secrets.put_secret_value(SecretId=outputs["SecretId"], SecretString=json.dumps(secret))
    except AWS_ERRORS as error:
        finding = refused(f"stack {stack}", error, "check its name and its region")
        print(f"Nothing was stored; {finding.subject}: {finding.sentence}. To mend: {finding.mend}.", file=sys.stderr)
        return 1
    except KeyError:
        print(f"Nothing was stored: {stack} has no output SecretId, so it is not this bot's.", file=sys.stderr)
        return 1
    except RefusedInputError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Stored: {len(secret['signing_secrets'])} signing secret(s) and the token. The bot reads them by itself.")
    return 0


def _parsed(text: str) -> dict[str, Any]:
    """Return the stored object, or an empty one if it has another form: then both values are needed again."""
    try:
        present = json.loads(text)
    except ValueError:
        return {}
    return present if isinstance(present, dict) else {}


if __name__ == "__main__":
    typer.run(main)
