"""The reference texts: scored at build by PyTorch, recorded in `model.json`, and scored again wherever it is served.

Of our own wording; some friendly, some rude, none hateful, all short.
"""

from __future__ import annotations

TEXTS = (
    "Thanks a lot, the deployment went smoothly.",
    "Could you look at my pull request before lunch?",
    "You are an idiot.",
    "This is the dumbest idea I have ever read, you fool.",
    "Shut up, nobody wants to hear your stupid opinion.",
    "I disagree, but let us try it and measure.",
    "What a load of rubbish, did you even think before writing that?",
    "The build is broken again and I hate this flaky test.",
    "You people are pathetic losers.",
    "Happy birthday! 🎉 See you all at the party tonight.",
    "Damn, that was a hell of a good talk.",
    "Get lost, you are useless and everybody knows it.",
)
