"""The ledger's table: whether it takes rows, has the key that they are written with, and lets them expire."""

from __future__ import annotations

from doctor.aws import asking, client
from doctor.findings import Check, ok, unknown, wrong

# Powertools' names, which lambda/ledger.py leaves as they are.
KEY = "id"
EXPIRY = "expiration"


def check_table(name: str) -> Check[None]:
    """Look at the table and at its expiry."""
    if not name:
        yield unknown("ledger", "cannot be looked at: LEDGER_TABLE is not set")
        return
    set_name = "set LEDGER_TABLE to the stack's output LedgerTableName"
    if (yield from asking("ledger", set_name, _check_table(name))):
        yield from asking("ledger expiry", set_name, _check_expiry(name))
    else:
        yield unknown("ledger expiry", "cannot be looked at: the table does not answer")


def _check_table(name: str) -> Check[bool]:
    table = client("dynamodb").describe_table(TableName=name)["Table"]
    keys = [key["AttributeName"] for key in table["KeySchema"]]
    if table["TableStatus"] != "ACTIVE":
        yield wrong("ledger", f"the table is {table['TableStatus']}, not ACTIVE", "wait a minute and run this again")
    elif keys != [KEY]:
        yield wrong(
            "ledger", f"the table's key is {', '.join(keys)}, not {KEY}", "make deploy: template.yaml says it right"
        )
    else:
        yield ok("ledger", f"the table {name} is ACTIVE")
    return True


def _check_expiry(name: str) -> Check[None]:
    expiry = client("dynamodb").describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if expiry["TimeToLiveStatus"] in ("ENABLED", "ENABLING") and expiry.get("AttributeName") == EXPIRY:
        yield ok("ledger expiry", f"rows leave the table by their {EXPIRY}")
    else:
        specification = f"Enabled=true,AttributeName={EXPIRY}"
        yield wrong(
            "ledger expiry",
            f"rows never leave the table: its time to live is not on {EXPIRY}",
            f"aws dynamodb update-time-to-live --table-name {name} --time-to-live-specification {specification}",
        )
