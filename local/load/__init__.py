"""`make load`: how fast reactions are acknowledged, how fast they are judged, and what becomes of too many of them."""
