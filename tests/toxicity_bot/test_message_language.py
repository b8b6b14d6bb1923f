from __future__ import annotations

import pytest

from toxicity_bot.message_language import foreign_language

# Messages, separated by bars.
WORKPLACE_ENGLISH = """
lgtm, shipping it | can someone pls restart prod-db-2 | brb, standup in 5 | wtf is this PR doing on main |
nvm, fixed it myself | ok cool thx | the CI is red again ffs | ping me when u merge | who broke staging?? |
PTO next week, back on Monday | gonna grab lunch, anyone in? | k8s pod keeps crashlooping | ETA for the hotfix? |
pls review my diff asap | lol that's a feature not a bug | any update on JIRA-1234? | rebase pls |
sgtm, let's sync tmrw | deploy failed, rolling back | nice one mate | IMO we should just drop that table |
wfh today, kid is sick | oncall got paged at 3am again | tl;dr we ship friday | idk man ask Priya |
Hamza, Giulia and J\u00fcrgen are ooo | ur code is garbage lol | shut up you idiot | docker compose up hangs forever |
yaml indentation strikes again | no me gusta lol | merci for the review, @user!
"""


@pytest.mark.failure(40)
@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("de", "Das ist wirklich eine dumme Idee, mein Freund"),
        ("de", "Halt die Klappe, du bl\u00f6der Trottel"),
        ("fr", "Tu es vraiment un idiot et personne ne t'aime ici"),
        ("es", "Eres un idiota y nadie te quiere aqu\u00ed"),
        ("pt", "Voc\u00ea \u00e9 um idiota e ningu\u00e9m gosta de voc\u00ea"),
        ("it", "Sei un idiota e nessuno ti vuole qui"),
        ("nl", "Jij bent een enorme idioot en niemand vindt je aardig"),
        ("pl", "Jeste\u015b idiot\u0105 i nikt ci\u0119 nie lubi"),
        ("tr", "Sen ger\u00e7ekten tam bir aptals\u0131n"),
        ("ja", "\u304a\u524d\u306f\u672c\u5f53\u306b\u99ac\u9e7f\u3060\u306a"),
        ("ru", "\u0422\u044b \u043f\u043e\u043b\u043d\u044b\u0439 \u0438\u0434\u0438\u043e\u0442"),
        ("ru", "\u043e\u0442\u0441\u0442\u0430\u043d\u044c"),
        ("ar", "\u0623\u0646\u062a \u063a\u0628\u064a \u062c\u062f\u0627"),
        ("zh", "\u4f60\u771f\u662f\u4e2a\u767d\u75f4"),
        ("ko", "\ubc14\ubcf4\uc57c \uc870\uc6a9\ud788 \ud574"),
        ("hi", "\u0924\u0941\u092e \u092c\u0947\u0935\u0915\u0942\u092b \u0939\u094b"),
        ("el", "\u03b5\u03af\u03c3\u03b1\u03b9 \u03b7\u03bb\u03af\u03b8\u03b9\u03bf\u03c2"),
    ],
)
def test_other_languages_are_recognized(code: str, line: str) -> None:
    assert foreign_language(line) == code


@pytest.mark.parametrize(
    "line",
    ["\u6eda\u5f00", "\u5404", "\uc2eb\uc5b4", "\u043d\u0435\u0442",
     # Names of emoji and links do not count as English.
     "\u043d\u0435\u0442 :slightly_smiling_face: \U0001f642", "\u6eda\u5f00 @user :no_entry_sign:",
     "\u6eda\u5f00 https://example.com/an/english/address"],
)  # fmt: skip
def test_a_word_in_another_script_is_never_english(line: str) -> None:
    assert foreign_language(line) not in (None, "en")


@pytest.mark.failure(40, 86)
@pytest.mark.parametrize(
    "line",
    [
        *(message.strip() for message in WORKPLACE_ENGLISH.split("|")),
        # English in look-alike letters; the last one says: you are bad.
        "\u0443\u043eu \u0430r\u0435 \u0430 st\u0443p\u0456d p\u0456ec\u0435 of tr\u0430sh",
        "\uff59\uff4f\uff55 \uff41\uff52\uff45 \uff53\uff54\uff55\uff50\uff49\uff44 \uff54\uff52\uff41\uff53\uff48",
        "\U0001d432\U0001d428\U0001d42e \U0001d41a\U0001d42b\U0001d41e \U0001d41b\U0001d41a\U0001d41d",
        "ok \U0001f602 :joy: :rolling_on_the_floor_laughing: done",
        # Letters apart, and faces.
        " ".join("You are a stupid idiot and everybody hates you."),
        " ".join("Youareastupididiotandeverybodyhatesyou"),
        *("\u00af\\_(\u30c4)_/\u00af", "\u0ca0_\u0ca0", "(\u256f\u00b0\u25a1\u00b0)\u256f\ufe35 \u253b\u2501\u253b"),
        *(
            "\u0295\u2022\u1d25\u2022\u0294",
            "\u1555( \u141b )\u1557",
            "(\u30ce\u0ca0\u76ca\u0ca0)\u30ce\u5f61\u253b\u2501\u253b",
        ),
        *("no idea \u0f3c \u3064 \u25d5_\u25d5 \u0f3d\u3064", "(\uff89\u25d5\u30ee\u25d5)\uff89"),
        # No words, or too few letters to tell.
        *("", "   ", ":tada:", "https://example.com", "@user", "1234567890123456", "?!", "danke"),
    ],
)
def test_english_as_typed_at_work_or_in_disguise_and_text_without_words_are_not_foreign(line: str) -> None:
    assert foreign_language(line) is None
