"""The failures by their numbers, which are stable, and what is right in each; and which test is about which.

A test names its numbers: `test_f30_f31_a_rate_limited_job_sleeps_in_the_queue`.
"""

from __future__ import annotations

import re

FAILURES = {
    1: "The same event is delivered again: 200, no second verdict",
    2: "Only a retry arrives: processed like any other",
    3: "A storm of retries: the receiver only verifies and enqueues",
    4: "A cold receiver: loads neither the model nor Slack's client",
    5: "The queue refuses the job: 5xx, Slack sends again, nothing counts as done",
    6: "A signed request that can never work: 200 and a count, or 4xx and no retry",
    7: "A bad signature: 401 in constant time, the body not logged",
    8: "A replayed request: refused past 300 s, harmless before",
    9: "Hostile headers: 401, never an exception",
    10: "Clock skew: 401 and a metric with the offset",
    11: "A base64 body, with or without its flag, or broken: decoded first, else 400",
    12: "Malformed JSON: verified, then 400, no traceback",
    13: "A huge body: 413, before any HMAC",
    14: "Header names in any case: the same",
    15: "url_verification, on a cold start too: the challenge, signed requests only",
    16: "app_rate_limited: 200 and a metric",
    17: "Another app's id, an unknown event: 200, counted, dropped",
    18: "Another emoji, a skin tone, an alias: normalised, dropped before the queue",
    19: "A reaction by this bot: dropped; by another bot: by setting",
    20: "A message of this bot: never judged",
    21: "A message of another bot or of a webhook: judged",
    22: "Many people react to one message: one verdict",
    23: "The reaction is taken back: still judged; by setting not",
    24: "A thread reply: the right message, answered in its parent's thread",
    25: "The message is deleted before the fetch: a quiet end",
    26: "The message is deleted before the post: a quiet end",
    27: "The message is edited after its verdict: a new reaction, a new verdict",
    28: "The bot is not in the channel: one hint to whoever reacted",
    29: "A scope is missing: one hint, which names it",
    30: "429 on the fetch: the job sleeps in the queue for Retry-After",
    31: "429 on the post: the job sleeps in the queue for Retry-After",
    32: "502, 504, HTML, a reset: again, after growing delays",
    33: "The reply to a post is lost: the bot's own post is looked for first",
    34: "A restricted, locked or archived channel: ends with a metric",
    35: "An ephemeral message is not delivered: it is never the only record",
    36: "Text only in blocks, rich text or attachments: found",
    37: "Only emoji, links, mentions or files: nothing to judge, no model",
    38: "Escapes and mentions: decoded once, escaped in what is echoed",
    39: "More than 512 tokens: read to the end, and said so",
    40: "Not English: can't say, and why",
    41: "Leetspeak, look-alikes, zero-width characters: folded before the model",
    42: "Reclaimed words, identities, negation, friendly swearing: a likelihood, no guilt",
    43: "The token is expired or revoked: stops at once, clearly",
    44: "Signing secret or token rotated: read again, nothing lost",
    45: "Enterprise Grid, shared channels: the right token; nothing to outsiders",
    46: "SQS delivers twice: harmless",
    47: "One bad record in a batch: only that one again",
    48: "A poison message: dead-letter queue, alarm, a way back",
    49: "The worker dies half-way: its lease ends, the post is found",
    50: "The model starts slowly or not at all: jobs wait, the error is clear",
    51: "A model file is missing, truncated, damaged or swapped: refused at the start",
    52: "No network to a model hub: none is ever tried",
    53: "Another CPU: the same verdicts, within a tolerance",
    54: "A flood: throttle and concurrency limits; zero is the switch",
    55: "Expired ledger rows still readable: they do not count",
    56: "A region is lost: documented",
    57: "Texts, names, tokens: in no log, queue, row or error",
    58: "An event hours late: judged while younger than the setting",
    59: "Loops: none",
}

_NUMBERED = re.compile(r"\btest((?:_f[0-9]+)+)_")


def numbers_of(test: str) -> list[int]:
    """Return the numbers in a test's name."""
    found = _NUMBERED.search(test)
    return [int(number) for number in re.findall("[0-9]+", found[1])] if found else []
