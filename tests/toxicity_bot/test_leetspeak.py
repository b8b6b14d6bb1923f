from __future__ import annotations

import pytest

from toxicity_bot.leetspeak import undisguised
from toxicity_bot.message_text import has_words

WORK = """
v1.2.3 of h264, sha256 and utf8 for x86_64
i18n, l10n and a11y on k8s, s3 and ec2
b2b, p2p, r2d2, 2FA and log4j
SH17 is closed, restart fo01, AS55 is dropped, order ten PI55, node ki11 is down
p99 at 10:30 or 5h17 is 17h5m, 1337 of 455, top5 at 4xx
commit 3f21d39 deadbeef a55 b00b 0xa55 #a55
step5 of test5, a1 and c4
$PATH and $hell, ${item5}, $5m, US$, 100 %
p@ss for x@ss.com or ada@b1tch.com
@user and @ada.l @5pm
s3://sh1t and /d1ck/ in d1ck.txt where sh1t=1 and fuck-1
A B C D E and x y z w, i d i d it, 1 2 3 4, 4 5 5 3 5
a.s.s.e.t in the U.S.A., i.e. all
!important a|b|c, x | y | z | w, 1/2/3/4, c/l/a/s/s
2 * x, **kwargs, *args, char* s, foo* and ba**, ***
an idiot spelt as it is
"""


@pytest.mark.failure(41, 86)
@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("you 1d10t", "you idiot"),
        ("You 1D10TS!", "You idiots!"),
        ("(st00pid)", "(stupid)"),
        ("$tup1d!!!", "stupid!!!"),
        ("@ssh0le, b@stard", "asshole, bastard"),
        ("a$$", "ass"),
        ("sh!t!", "shit!"),
        ("l0$er of a m0r0n", "loser of a moron"),
        ("p4th3tic tr@sh", "pathetic trash"),
        ("s t u p i d", "stupid"),
        ("you are a s t u p i d fool", "you are a stupid fool"),
        ("S.T.U.P.I.D, f-u-c-k, i*d*i*o*t*s", "stupid, fuck, idiots"),
        ("i d 1 0 t", "idiot"),
        ("i/d/i/o/t i|d|i|o|t i\u00b7d\u00b7i\u00b7o\u00b7t i_d_i_o_t", "idiot idiot idiot idiot"),
        ("i/d|i.o-t, i - d - i - o - t, i, d, i, o, t", "idiot, idiot, idiot"),
        ("Y o u   a r e  a   s t u p i d  f o o l .", "You are a stupid fool ."),
        ("y o u i d i o t l o l", "y o u idiot l o l"),
        ("f*ck this sh*t, id**ts, b****: f***", "f*ck this sh*t, idiots, bitch: f***"),
    ],
)
def test_a_disguised_insult_is_read(written: str, read: str) -> None:
    assert undisguised(written) == read


@pytest.mark.failure(41)
@pytest.mark.parametrize("written", WORK.strip().splitlines())
def test_versions_hashes_times_code_and_names_stay_as_they_are(written: str) -> None:
    assert undisguised(written) == written


@pytest.mark.failure(86)
def test_a_star_that_masks_no_insult_is_dropped() -> None:
    assert undisguised("p*thon and c*rl: use a*b instead of a**b") == "pthon and crl: use ab instead of ab"


def test_a_disguised_insult_counts_as_a_word_and_a_mention_does_not() -> None:
    assert has_words("@sshole")
    assert not has_words("@sally")
