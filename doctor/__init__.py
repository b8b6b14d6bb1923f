"""`make doctor`: examines an installation with real calls, and names what is amiss and how to mend it.

Each check is a generator: it yields findings and returns what later checks need. None of them changes anything.
"""

import sys

from local.lambda_context import TASK_ROOT

# The bot's modules are a flat task root, not a package; here they read settings and secrets as the functions do.
if str(TASK_ROOT) not in sys.path:
    sys.path.append(str(TASK_ROOT))
