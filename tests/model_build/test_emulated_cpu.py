"""The committed model has the same scores on an emulated Haswell, the minimum that Lambda promises: AVX2, no VNNI.

Needs QEMU's user mode emulation (Debian's package qemu-user-static). CPUS_OPTIONAL=1 skips the test without it.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from model_build.manifest import REFERENCE_TEXTS
from model_build.verify import MAX_WEIGHT
from tests import ROOT

# Disable the Haswell features that QEMU lacks and warns about. None of them affects arithmetic.
HASWELL = "Haswell-noTSX,-pcid,-x2apic,-tsc-deadline,-invpcid"

# In toxicity scores: another CPU rounds differently.
TOLERANCE = 0.02

PAIRS = 384  # of products, each pair added in 16 bits

PROGRAM = """
import json, sys
import numpy as np, onnxruntime
from toxicity_bot.classifier import Classifier
model, products, *texts = json.load(sys.stdin)
classifier = Classifier(model, threads=1)
session = onnxruntime.InferenceSession(products, providers=["CPUExecutionProvider"])
activations = np.full((7, session.get_inputs()[0].shape[1]), 255, dtype=np.uint8)
print(json.dumps({
    "scores": [classifier.toxicity(text) for text in texts],
    "products": [int(product[0, 0]) for product in session.run(None, {"activations": activations})],
}))
"""


def score(command: list[str], products: Path) -> Any:
    done = subprocess.run(
        [*command, "-c", PROGRAM],
        cwd=ROOT,
        input=json.dumps([str(ROOT / "model"), str(products), *REFERENCE_TEXTS]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=600,
    )
    return json.loads(done.stdout)


def write_products(path: Path, weights: tuple[int, ...]) -> None:
    """Write a graph that multiplies its input by one matrix per weight."""
    names = [f"product_of_{weight}" for weight in weights]
    matrices = [np.full((2 * PAIRS, 64), weight, dtype=np.int8) for weight in weights]
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["activations", f"{name}_weights"], [name]) for name in names],
        "products",
        [helper.make_tensor_value_info("activations", TensorProto.UINT8, [7, 2 * PAIRS])],
        [helper.make_tensor_value_info(name, TensorProto.INT32, [7, 64]) for name in names],
        [numpy_helper.from_array(matrix, f"{name}_weights") for name, matrix in zip(names, matrices, strict=True)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_scores_are_the_same_without_vnni(tmp_path: Path) -> None:
    emulator = shutil.which("qemu-x86_64-static")
    if platform.machine() != "x86_64" or not emulator:
        reason = "needs qemu-x86_64-static on x86_64: sudo apt-get install qemu-user-static"
        if os.environ.get("CPUS_OPTIONAL") == "1":
            pytest.skip(reason)
        pytest.fail(f"{reason} (or skip this test: CPUS_OPTIONAL=1)")
    write_products(tmp_path / "products.onnx", (MAX_WEIGHT, -MAX_WEIGHT, 127))
    # Python finds its virtual environment by argv[0], which QEMU lets us set apart from the file that it runs.
    emulated = [emulator, "-cpu", HASWELL, "-0", sys.executable, str(Path(sys.executable).resolve())]

    here = score([sys.executable], tmp_path / "products.onnx")
    there = score(emulated, tmp_path / "products.onnx")

    assert there["scores"] == pytest.approx(here["scores"], abs=TOLERANCE)
    within, below, beyond = there["products"]
    assert within == -below == 255 * MAX_WEIGHT * 2 * PAIRS, "7-bit weights must not overflow"
    # 2 x 255 x 127 saturates at 32,767, which shows that the emulated CPU has no VNNI.
    assert beyond == 32_767 * PAIRS
