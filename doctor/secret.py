"""Check the signing secret and the token; `make secret` asks for them without showing them, and stores them.

The previous signing secret stays valid beside the new one, so that no request is lost while Slack changes over.
"""

from __future__ import annotations

import getpass
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from doctor.findings import AWS_ERRORS, Check, asking, client, ok, refusal, refused, unknown, wrong
from doctor.installation import outputs_of
from toxicity_bot import api_keys
from toxicity_bot.command_line import STOPPED
from toxicity_bot.credentials import PLACEHOLDER, Credentials
from toxicity_bot.errors import SecretStoreError, SettingError
from toxicity_bot.settings import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from toxicity_bot.settings import Settings

    Ask = Callable[[str], str]

ACCEPTED = 2  # signing secrets: the current and the previous one

_SET_ID = "set SLACK_SECRET_ID to the stack's output SecretId, and look in the stack's region"
_PLACES = (
    "the Signing Secret is at https://api.slack.com/apps under Basic Information > App Credentials, "
    "the token (xoxb-...) under OAuth & Permissions"
)


class Keys(NamedTuple):
    """The signing secret and the token; empty if unknown."""

    signing_secret: Secret = Secret("")
    bot_token: Secret = Secret("")


class RefusedInputError(Exception):
    """Raised if the input cannot be a credential; the message does not contain it."""


def check_secret(settings: Settings, stack: str) -> Check[Keys]:
    """Read the secret as the functions do; `stack` is the name of their stack, if any."""
    if stack:
        remedy = f"make secret STACK={stack}"
    elif settings.secret_id:
        remedy = "make secret STACK=... REGION=... asks for both and stores them"
    else:
        remedy = "set SLACK_SIGNING_SECRET and SLACK_BOT_TOKEN in the environment that the bot runs with"
    return (yield from asking("secret", _SET_ID, _check(settings, remedy))) or Keys()


def _check(settings: Settings, remedy: str) -> Check[Keys]:
    credentials = Credentials(settings)
    try:
        signing_secrets, bot_token = credentials.signing_secrets, credentials.bot_token
    except SecretStoreError as error:
        # The id is not shown: somebody may have put the token itself into the variable.
        yield refusal("secret", error.code, "secretsmanager:GetSecretValue", _SET_ID)
        return Keys()
    except SettingError as error:
        yield wrong("secret", str(error), f"{remedy}; {_PLACES}")
        return Keys()
    given = [("signing secret", secret) for secret in signing_secrets] + [("token", bot_token)]
    if not signing_secrets or not bot_token:
        yield unknown("secret", "not checked: the settings name no secret, or only a part of it")
    elif padded := sorted({name for name, value in given if value != value.strip()}):
        yield wrong("secret", f"has blanks or line ends around what was pasted: {' and '.join(padded)}", remedy)
    elif not bot_token.startswith("xoxb-"):
        yield wrong("secret", "holds a token that is not a bot's, which begins with xoxb-", f"{remedy}; {_PLACES}")
    else:
        number = "one signing secret" if len(signing_secrets) == 1 else f"{len(signing_secrets)} signing secrets"
        yield ok("secret", f"{number} and a bot's token")
    return Keys(signing_secrets[0] if signing_secrets else Secret(""), bot_token)


def store(stack: str, ask: Ask) -> int:
    """Ask for the credentials, store them in the stack's secret, and return the exit status."""

    def change(present: dict[str, Any]) -> tuple[dict[str, Any], str]:
        secret = _renewed(present, *_asked(ask))
        number = len(secret["signing_secrets"])
        return secret, f"Stored: {number} signing secret(s) and the token. The bot reads them by itself."

    return _change(stack, change)


def add_key(stack: str, name: str) -> int:
    """Store the hash of a new API key by this name, show the key once, and return the exit status."""

    def change(present: dict[str, Any]) -> tuple[dict[str, Any], str]:
        if name in (keys := present.get("api_keys", {})):
            raise RefusedInputError(f"there is a key {name} already: revoke it first, or choose another name.")
        key = api_keys.new_key()
        keys |= {name: api_keys.hashed(key)}
        return present | {"api_keys": keys}, f"{key}\nThis key of {name} is not shown again."

    return _change(stack, change)


def revoke(stack: str, name: str) -> int:
    """Remove an API key, which is refused a minute later, and return the exit status."""

    def change(present: dict[str, Any]) -> tuple[dict[str, Any], str]:
        keys = present.get("api_keys", {})
        if name not in keys:
            raise RefusedInputError(f"there is no key {name}, only: {', '.join(sorted(keys)) or 'none'}.")
        left = {other: digest for other, digest in keys.items() if other != name}
        return present | {"api_keys": left}, f"Revoked: {name}. Left: {', '.join(sorted(left)) or 'none'}."

    return _change(stack, change)


def _change(stack: str, change: Callable[[dict[str, Any]], tuple[dict[str, Any], str]]) -> int:
    """Store what `change` makes of the stack's secret, and print what it says."""
    try:
        described = client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        secret_id = outputs_of(described)["SecretId"]
        secrets = client("secretsmanager")
        present = _parsed(secrets.get_secret_value(SecretId=secret_id)["SecretString"])
        secret, done = change(present)
        secrets.put_secret_value(SecretId=secret_id, SecretString=json.dumps(secret))
    except AWS_ERRORS as error:
        finding = refused(f"stack {stack}", error, "check its name and its region")
        problem = f"{finding.subject}: {finding.sentence}; to fix it, {finding.remedy}."
    except KeyError:
        problem = f"{stack} has no output SecretId, so it is not this bot's."
    except RefusedInputError as error:
        problem = str(error)
    else:
        print(done)
        return 0
    print(f"Nothing was stored: {problem}", file=sys.stderr)
    return 1


def _asked(ask: Ask) -> tuple[str, str]:
    """Ask for the signing secret and the token; raises RefusedInputError for obvious mistakes."""
    print("What you paste is not shown. Enter alone keeps the stored value.")
    signing_secret = ask("Signing Secret (Basic Information, App Credentials): ").strip()
    if signing_secret and not (signing_secret.isalnum() and len(signing_secret) >= 16):
        raise RefusedInputError("a signing secret has letters and digits only, usually 32.")
    bot_token = ask("Bot User OAuth Token (OAuth & Permissions, xoxb-...): ").strip()
    if bot_token and not bot_token.startswith("xoxb-"):
        raise RefusedInputError("a bot's token begins with xoxb-.")
    return signing_secret, bot_token


def _renewed(present: dict[str, Any], signing_secret: str, bot_token: str) -> dict[str, Any]:
    """Return the secret with the new values; an empty value keeps the stored one."""
    known = [one for one in present.get("signing_secrets", []) if one != PLACEHOLDER]
    secrets = [signing_secret, *(one for one in known if one != signing_secret)] if signing_secret else known
    token = bot_token or present.get("bot_token", PLACEHOLDER)
    if not secrets or token == PLACEHOLDER:
        raise RefusedInputError("no value is stored yet, so both are needed.")
    return present | {"signing_secrets": secrets[:ACCEPTED], "bot_token": token}


def _parsed(text: str) -> dict[str, Any]:
    """Return the stored object, or an empty one if it has another form: then both values are needed again."""
    try:
        present = json.loads(text)
    except ValueError:
        return {}
    return present if isinstance(present, dict) else {}


def main(
    stack: Annotated[str, typer.Option(help="The CloudFormation stack.")],
    new_key: Annotated[str, typer.Option(help="Make an API key of this name instead.")] = "",
    revoke_key: Annotated[str, typer.Option(help="Revoke the API key of this name instead.")] = "",
) -> None:
    """Ask for the Slack app's credentials and store them in the secret of the stack, in AWS_DEFAULT_REGION."""
    try:
        if new_key:
            raise typer.Exit(add_key(stack, new_key))
        if revoke_key:
            raise typer.Exit(revoke(stack, revoke_key))
        raise typer.Exit(store(stack, getpass.getpass))
    except (KeyboardInterrupt, EOFError) as stop:
        print("\nNothing was stored.", file=sys.stderr)
        raise typer.Exit(STOPPED if isinstance(stop, KeyboardInterrupt) else 2) from None


if __name__ == "__main__":
    typer.run(main)
