"""A soak that is over -> what people read: the counts, and the first of those that are not as they should be."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, get_args

from local.soak.findings import Offence
from local.soak.logs import tries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.soak.findings import Findings
    from local.soak.soak import Soak

MOST_OFFENDERS = 10


def lines(soak: Soak, found: Findings, seconds: float) -> Iterator[str]:
    """Yield the report, one line a subject."""
    people, size = soak.people, soak.size
    reactions = sum(len(written.reactions) for written in people.messages.values())
    ends = sum((worker.ends for worker in soak.workers), Counter[str]())
    met = sum((worker.weather.met for worker in soak.workers), Counter[str]())
    jobs = tries(soak.logs)
    yield f"seed {soak.seed}: {reactions} reactions to {len(people.messages)} messages, {seconds:.0f} s"
    yield f"  requests        {sum(soak.sender.statuses.values())}: {_counted(soak.sender.statuses)}"
    yield f"  jobs            {sum(jobs.values())} tries: {_counted(jobs)}"
    yield f"  worker deaths   {sum(ends.values())}: {_counted(ends)}"
    yield f"  faults          {sum(met.values())}: {_counted(met)}"
    yield f"  meanwhile       {people.edits} edits, {people.deletions} deletions"
    yield f"  verdicts        {sum(found.outcomes.values())}: {_counted(found.outcomes)}"
    yield f"  poisoned jobs   {size.poisoned}"
    yield "  " + ", ".join(f"{offence} {found.offences[offence]}" for offence in get_args(Offence))
    yield from (f"  {offender}" for offender in found.offenders[:MOST_OFFENDERS])


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{what} {number}" for what, number in counter.most_common()) or "none"
