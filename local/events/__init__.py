"""What reaches the bot: Slack's envelopes and deliveries, and the events that Lambda makes of them.

`python -m local.events` writes one file per situation into events/, for `sam local invoke`.
"""

from local.events.delivery import ANSWER_SECONDS, Deliveries, Delivery, deliver
from local.events.envelope import USER_AGENT, app_rate_limited, encoded, event_callback, signed, url_verification
from local.events.invocation import api_gateway_event, sqs_event

__all__ = [
    "ANSWER_SECONDS",
    "USER_AGENT",
    "Deliveries",
    "Delivery",
    "api_gateway_event",
    "app_rate_limited",
    "deliver",
    "encoded",
    "event_callback",
    "signed",
    "sqs_event",
    "url_verification",
]
