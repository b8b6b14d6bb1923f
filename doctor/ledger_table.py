"""Check the ledger's table: its state, its key and the expiry of its rows."""

from __future__ import annotations

from doctor.aws import asking, client
from doctor.findings import Check, ok, unknown, wrong

# Powertools' default names, which the ledger uses.
KEY = "id"
EXPIRY = "expiration"


def check_table(name: str) -> Check[None]:
    """Check the table and its expiry."""
    if not name:
        yield unknown("ledger", "not checked: LEDGER_TABLE is not set")
        return
    set_name = "set LEDGER_TABLE to the stack's output LedgerTableName"
    if (yield from asking("ledger", set_name, _check_table(name))):
        yield from asking("ledger expiry", set_name, _check_expiry(name))
    else:
        yield unknown("ledger expiry", "not checked: the table does not answer")


def _check_table(name: str) -> Check[bool]:
    table = client("dynamodb").describe_table(TableName=name)["Table"]
    keys = [key["AttributeName"] for key in table["KeySchema"]]
    if table["TableStatus"] != "ACTIVE":
        yield wrong("ledger", f"the table is {table['TableStatus']}, not ACTIVE", "wait a minute and run this again")
    elif keys != [KEY]:
        yield wrong(
            "ledger", f"the table's key is {', '.join(keys)}, not {KEY}", "make deploy restores what template.yaml says"
        )
    else:
        yield ok("ledger", f"the table {name} is ACTIVE")
    return True


def _check_expiry(name: str) -> Check[None]:
    expiry = client("dynamodb").describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if expiry["TimeToLiveStatus"] in ("ENABLED", "ENABLING") and expiry.get("AttributeName") == EXPIRY:
        yield ok("ledger expiry", f"rows expire by their attribute {EXPIRY}")
    else:
        specification = f"Enabled=true,AttributeName={EXPIRY}"
        yield wrong(
            "ledger expiry",
            f"rows never expire: the time to live is not on {EXPIRY}",
            f"aws dynamodb update-time-to-live --table-name {name} --time-to-live-specification {specification}",
        )
