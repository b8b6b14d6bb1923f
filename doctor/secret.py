"""Check the signing secret and the token. `make secret` prompts for them without echo and stores them.

The previous signing secret stays valid next to the new one, so that no request is lost while Slack switches over.
"""

from __future__ import annotations

import getpass
import json
import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from doctor.findings import (
    AWS_ERRORS,
    Check,
    aws_checked,
    aws_error,
    aws_exception,
    client,
    ok,
    unknown,
    wrong,
)
from doctor.installation import outputs_of
from toxicity_bot import api_keys
from toxicity_bot.command_line import STOPPED
from toxicity_bot.credentials import PLACEHOLDER, Credentials, parse
from toxicity_bot.errors import SecretStoreError, SettingError
from toxicity_bot.settings import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from toxicity_bot.settings import Settings

ACCEPTED = 2  # signing secrets: the current and the previous one

Secrets = dict[str, Any]
"""The contents of a stack's secret."""

_SET_ID = "set SLACK_SECRET_ID to the stack's output SecretId, and use the stack's region"
_PLACES = (
    "the Signing Secret is at https://api.slack.com/apps under Basic Information > App Credentials, "
    "the token (xoxb-...) under OAuth & Permissions"
)


class Keys(NamedTuple):
    """The signing secret and the token. Unknown ones are empty."""

    signing_secret: Secret = Secret("")
    bot_token: Secret = Secret("")


class RefusedInputError(Exception):
    """Raised if the input cannot be a credential. The message does not contain the input."""


def check_secret(settings: Settings, stack: str) -> Check[Keys]:
    """Read the secret as the functions do. `stack` is the name of their stack, if there is one."""
    if stack:
        remedy = f"make secret STACK={stack}"
    elif settings.secret_id:
        remedy = "make secret STACK=... REGION=... asks for both and stores them"
    else:
        remedy = "set SLACK_SIGNING_SECRET and SLACK_BOT_TOKEN in the environment of the bot"
    return (yield from aws_checked("secret", _SET_ID, _check(settings, remedy))) or Keys()


def _check(settings: Settings, remedy: str) -> Check[Keys]:
    credentials = Credentials(settings)
    try:
        signing_secrets, bot_token = credentials.signing_secrets, credentials.bot_token
    except SecretStoreError as error:
        # Do not show the id: somebody may have put the token itself into the variable.
        yield aws_error("secret", error.code, "secretsmanager:GetSecretValue", _SET_ID)
        return Keys()
    except SettingError as error:
        yield wrong("secret", str(error), f"{remedy}; {_PLACES}")
        return Keys()
    credentials_read = [("signing secret", secret) for secret in signing_secrets] + [("token", bot_token)]
    if not signing_secrets or not bot_token:
        yield unknown("secret", "not checked: the settings contain no secret, or only a part of it")
    elif padded := sorted({name for name, value in credentials_read if value != value.strip()}):
        yield wrong("secret", f"has spaces or line breaks around the pasted value: {' and '.join(padded)}", remedy)
    elif not bot_token.startswith("xoxb-"):
        sentence = "contains a token that is not a bot token; those begin with xoxb-"
        yield wrong("secret", sentence, f"{remedy}; {_PLACES}")
    else:
        number = "one signing secret" if len(signing_secrets) == 1 else f"{len(signing_secrets)} signing secrets"
        yield ok("secret", f"{number} and a bot token")
    return Keys(signing_secrets[0] if signing_secrets else Secret(""), bot_token)


def with_credentials(present: Secrets, ask: Callable[[str], str]) -> tuple[Secrets, str]:
    """Replace the signing secret and the token with the values that `ask` returns. Empty keeps the stored value."""
    signing_secret, bot_token = _prompt_for_credentials(ask)
    stored = present.get("signing_secrets")
    known = [one for one in stored if _is_value(one)] if isinstance(stored, list) else []
    secrets = [signing_secret, *(one for one in known if one != signing_secret)] if signing_secret else known
    token = bot_token or present.get("bot_token")
    if not secrets or not _is_value(token):
        raise RefusedInputError("no value is stored yet, so both are needed.")
    accepted = secrets[:ACCEPTED]
    message = f"Stored: {len(accepted)} signing secret(s) and the token. The bot reads them without a restart."
    changed = present | {"signing_secrets": accepted, "bot_token": token}
    parse(json.dumps(changed))  # the bot would refuse malformed tokens of other installations
    return changed, message


def with_key(present: Secrets, name: str) -> tuple[Secrets, str]:
    """Add the hash of a new API key with this name. The key is shown once."""
    if name in (keys := api_keys.keys_in(json.dumps(present))):
        raise RefusedInputError(f"there is a key {name} already: revoke it first, or choose another name.")
    key = api_keys.new_key()
    hashes = {"api_keys": keys | {name: api_keys.hashed(key)}}
    return present | hashes, f"{key}\nThis is the key {name}. It is not shown again."


def without_key(present: Secrets, name: str) -> tuple[Secrets, str]:
    """Remove an API key. Requests with it are refused within a minute."""
    left = api_keys.keys_in(json.dumps(present))
    if name not in left:
        raise RefusedInputError(f"there is no key {name}. Keys: {', '.join(sorted(left)) or 'none'}.")
    del left[name]
    return present | {"api_keys": left}, f"Revoked: {name}. Remaining keys: {', '.join(sorted(left)) or 'none'}."


def store(stack: str, change: Callable[[Secrets], tuple[Secrets, str]]) -> int:
    """Apply `change` to the stack's secret, print its message, and return the exit status."""
    try:
        described = client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        secret_id = outputs_of(described)["SecretId"]
        secrets = client("secretsmanager")
        present = _parsed(secrets.get_secret_value(SecretId=secret_id)["SecretString"])
        secret, done = change(present)
        secrets.put_secret_value(SecretId=secret_id, SecretString=json.dumps(secret))
    except AWS_ERRORS as error:
        finding = aws_exception(f"stack {stack}", error, "check its name and its region")
        problem = f"{finding.subject}: {finding.sentence}; to fix it, {finding.remedy}."
    except KeyError:
        problem = f"{stack} has no output SecretId, so it is not a stack of this bot."
    except (RefusedInputError, SettingError) as error:
        problem = str(error)
    else:
        print(done)
        return 0
    print(f"Nothing was stored: {problem}", file=sys.stderr)
    return 1


def _prompt_for_credentials(ask: Callable[[str], str]) -> tuple[str, str]:
    """Ask for the signing secret and the token. Raises RefusedInputError for obvious mistakes."""
    print("Your input is not shown. Press Enter alone to keep the stored value.")
    signing_secret = ask("Signing Secret (Basic Information, App Credentials): ").strip()
    if signing_secret and not (signing_secret.isalnum() and len(signing_secret) >= 16):
        raise RefusedInputError("a signing secret consists of letters and digits, usually 32.")
    bot_token = ask("Bot User OAuth Token (OAuth & Permissions, xoxb-...): ").strip()
    if bot_token and not bot_token.startswith("xoxb-"):
        raise RefusedInputError("a bot token begins with xoxb-.")
    return signing_secret, bot_token


def _is_value(stored: object) -> bool:
    """Whether a stored signing secret or token is a value and not the placeholder."""
    return isinstance(stored, str) and stored not in ("", PLACEHOLDER)


def _parsed(text: str) -> Secrets:
    """Return the stored object, or an empty one if the text is not a JSON object. Then both values are needed."""
    try:
        present = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return present if isinstance(present, dict) else {}


def main(
    stack: Annotated[str, typer.Option(help="The CloudFormation stack.")],
    new_key: Annotated[str, typer.Option(help="Create an API key with this name instead.")] = "",
    revoke_key: Annotated[str, typer.Option(help="Revoke the API key with this name instead.")] = "",
) -> None:
    """Ask for the Slack app's credentials and store them in the secret of the stack, in AWS_DEFAULT_REGION."""
    change = partial(with_credentials, ask=getpass.getpass)
    if new_key and revoke_key:
        raise typer.BadParameter("pass --new-key first, and --revoke-key once the new key is in use")
    if new_key:
        change = partial(with_key, name=new_key)
    elif revoke_key:
        change = partial(without_key, name=revoke_key)
    try:
        raise typer.Exit(store(stack, change))
    except (KeyboardInterrupt, EOFError) as stop:
        print("\nNothing was stored.", file=sys.stderr)
        raise typer.Exit(STOPPED if isinstance(stop, KeyboardInterrupt) else 2) from None


if __name__ == "__main__":
    typer.run(main)
