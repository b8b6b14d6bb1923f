"""Build the stand-in: `python -m local.stand_in` leaves the image `lambda-base-stand-in` in the engine at hand."""

import sys

from local.emulator import EmulatorError
from local.engine import Engine, EngineError
from local.stand_in import BUILD, build

try:
    with Engine(BUILD / "engine") as engine:
        print(build(engine))
except (EngineError, EmulatorError) as error:
    sys.exit(f"The stand-in cannot be built: {error}")
