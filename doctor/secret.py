"""Check that the signing secret and the token can be read and have the right form."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from doctor.aws import asking, refusal
from doctor.findings import Check, ok, unknown, wrong
from toxicity_bot.credentials import Credentials
from toxicity_bot.errors import SecretStoreError, SettingError
from toxicity_bot.settings import Secret

if TYPE_CHECKING:
    from toxicity_bot.settings import Settings

NOTHING = Secret("")

_SET_ID = "set SLACK_SECRET_ID to the stack's output SecretId, and look in the stack's region"
_PLACES = (
    "the Signing Secret is at https://api.slack.com/apps under Basic Information > App Credentials, "
    "the token (xoxb-...) under OAuth & Permissions"
)


class Keys(NamedTuple):
    """The signing secret and the token; empty if unknown."""

    signing_secret: Secret = NOTHING
    bot_token: Secret = NOTHING


def check_secret(settings: Settings, stack: str) -> Check[Keys]:
    """Read the secret as the functions do; `stack` is the name of their stack, if any."""
    return (yield from asking("secret", _SET_ID, _check(settings, _mend(settings, stack)))) or Keys()


def _check(settings: Settings, mend: str) -> Check[Keys]:
    credentials = Credentials(settings)
    try:
        signing_secrets, bot_token = credentials.signing_secrets, credentials.bot_token
    except SecretStoreError as error:
        # The id is not shown: somebody may have put the token itself into the variable.
        yield refusal("secret", error.code, "secretsmanager:GetSecretValue", _SET_ID)
        return Keys()
    except SettingError as error:
        yield wrong("secret", str(error), f"{mend}; {_PLACES}")
        return Keys()
    given = [("signing secret", secret) for secret in signing_secrets] + [("token", bot_token)]
    if not signing_secrets or not bot_token:
        yield unknown("secret", "not checked: the settings name no secret, or only a part of it")
    elif padded := sorted({name for name, value in given if value != value.strip()}):
        yield wrong("secret", f"has blanks or line ends around what was pasted: {' and '.join(padded)}", mend)
    elif not bot_token.startswith("xoxb-"):
        yield wrong("secret", "holds a token that is not a bot's, which begins with xoxb-", f"{mend}; {_PLACES}")
    else:
        number = "one signing secret" if len(signing_secrets) == 1 else f"{len(signing_secrets)} signing secrets"
        yield ok("secret", f"{number} and a bot's token")
    return Keys(signing_secrets[0] if signing_secrets else NOTHING, bot_token)


def _mend(settings: Settings, stack: str) -> str:
    if stack:
        return f"make secret STACK={stack}"
    if not settings.secret_id:
        return "set SLACK_SIGNING_SECRET and SLACK_BOT_TOKEN in the environment that the bot runs with"
    return "make secret STACK=... REGION=... asks for both and stores them"
