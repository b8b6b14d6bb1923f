"""The offline build stage: a checkpoint comes in, the model directory that the bot serves comes out.

Each step reads one folder and writes another, and can be run alone: `python -m model_build --help`. Torch and
transformers are allowed here; the bot imports nothing of this.
"""

import sys
from pathlib import Path

# The bot's modules are a flat task root, not a package; here they check what is built, as they will serve it.
if (_task_root := str(Path(__file__).resolve().parent.parent / "lambda")) not in sys.path:
    sys.path.append(_task_root)
