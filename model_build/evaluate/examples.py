"""Messages written for the purpose, by kind, with what a person would say of them: what the card tells of failures.

A few dozen prove nothing about rates, which the report measures on real messages; they show what a failure looks like.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TOXIC, FINE = "toxic", "fine"


@dataclass(frozen=True)
class Example:
    """A message, its kind, and how a person would judge it."""

    kind: str
    text: str
    expected: str


_WRITTEN = {
    ("plain insults", TOXIC): """
        You are a stupid idiot.
        Shut up, you pathetic loser.
        Only a moron would write code like this.
        You people are disgusting trash.
        Nobody on this team can stand you, get lost.
        """,
    ("insults without rude words", TOXIC): """
        Your work makes everyone around you dumber.
        Did you let your cat write this, or are you always like that?
        We would all be happier if you did not show up tomorrow.
        I have seen houseplants with more talent than you.
        """,
    ("threats", TOXIC): """
        I know where you live, watch your back.
        Say that again and I will break your fingers.
        Somebody should teach you a lesson, and I am on my way.
        """,
    ("contempt for a group", TOXIC): """
        Women should not be allowed near a production server.
        Those immigrants only come here to steal our jobs.
        People of that religion cannot be trusted with anything.
        """,
    ("insults spelt to hide", TOXIC): """
        You are an 1d10t.
        What a l o s e r you are.
        stfu m0r0n
        """,
    ("work talk with violent words", FINE): """
        Kill the process and shoot me a message when it is dead.
        The master branch is broken, abort the job and nuke the cache.
        This regex is a crime, let us hang it in the hall of shame and fix it.
        We are going to crush the competition at the trade fair.
        """,
    ("blunt criticism of work", FINE): """
        This patch is wrong: it leaks memory and must not be merged.
        I strongly disagree, this design will not scale.
        The documentation is terrible and the tests are worse.
        Why would anybody merge this?
        """,
    ("friendly swearing", FINE): """
        Damn, that was a hell of a good talk.
        Holy shit, the fix works, you are amazing!
        This is fucking great work, thank you.
        Hell yes, we shipped it!
        """,
    ("swearing at things", FINE): """
        This damn printer hates me.
        The stupid build is red again.
        My laptop is a piece of crap, I need a new one.
        """,
    ("insults that are negated", FINE): """
        You are not an idiot.
        Nobody here is stupid.
        I never said that you are a loser.
        That was not a dumb question.
        """,
    ("insults that are reported", FINE): """
        He called me an idiot in front of everyone and I would like to report it.
        Please do not use words like moron in reviews.
        The word \u201cstupid\u201d is in our list of words to avoid.
        """,
    ("insults of oneself", FINE): """
        I am such an idiot, I forgot to push the branch.
        My bad, that was dumb of me.
        """,
    ("mentions of identity", FINE): """
        I am a Muslim woman from Lagos.
        She is black and works in finance.
        The Jewish holidays begin on Friday.
        He is deaf, so please use captions.
        As a gay man I loved the keynote.
        """,
    ("words reclaimed by those they were meant for", FINE): """
        My queer friends and I are proud of this talk.
        We queers built this tool, and we are proud of it.
        Bad bitches club meets for lunch on Friday!
        """,
    ("ordinary work talk", FINE): """
        Could you look at my pull request before lunch?
        The release is out, thanks everyone.
        I will be late, my train is stuck.
        Happy birthday! \U0001f389
        """,
}

EXAMPLES = tuple(
    Example(kind, line.strip(), expected)
    for (kind, expected), lines in _WRITTEN.items()
    for line in lines.strip().splitlines()
)


def judged(toxicity: Callable[[str], float], threshold: float) -> list[dict[str, Any]]:
    """Return each example with the score that `toxicity` gives it and whether the verdict is a person's."""
    found = []
    for example in EXAMPLES:
        score = toxicity(example.text)
        right = (score >= threshold) == (example.expected == TOXIC)
        found.append({**asdict(example), "toxicity": round(score, 4), "right": right})
    return found
