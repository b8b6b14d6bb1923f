"""The worst case of the model's own 8-bit arithmetic: its weight matrices come in, products with known results go out.

Without VNNI, two products of an unsigned and a signed 8-bit number are added in 16 bits, and what does not fit is cut
off. Any two weights that can overflow do so when both activations are 255, so rows of 255 try every pair there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

# Every operator that multiplies 8-bit numbers here takes the weights second.
OPERATORS = ("MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "QAttention")

# More than one, so that the kernel for matrices runs, and no multiple of its rows, so that its remainder does as well.
ROWS = 7

# The control, as far as 8 bits go: exact with VNNI and on arm64, 12,582,528 where pairs are added in 16 bits.
CONTROL = "full_range"
CONTROL_WEIGHTS = np.full((768, 64), 127, dtype=np.int8)


def write(model: Path, folder: Path) -> int:
    """Write the products of every matrix and of the control into `folder`; return how many matrices the model has."""
    matrices = weights(model / "model.onnx")
    if not matrices:
        raise ModelBuildError(
            f"{model / 'model.onnx'} multiplies no 8-bit matrix ({', '.join(OPERATORS)}): is it fp32?"
        )
    every = {**matrices, CONTROL: CONTROL_WEIGHTS}
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(_graph(every), folder / "products.onnx")
    activations = {f"{name}.activations": np.full((ROWS, len(every[name])), 255, dtype=np.uint8) for name in every}
    np.savez(folder / "inputs.npz", allow_pickle=False, **activations)
    np.savez(folder / "exact.npz", allow_pickle=False, **{name: _exact(matrix) for name, matrix in every.items()})
    return len(matrices)


def weights(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the matrices of 8-bit numbers that the graph multiplies with, by a number for each."""
    graph = onnx.load(path).graph
    names = {node.input[1] for node in graph.node if node.op_type in OPERATORS}
    used = [numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.name in names]
    return {f"matrix_{number}": matrix for number, matrix in enumerate(used)}


def _exact(matrix: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.tile(255 * matrix.astype(np.int64).sum(axis=0), (ROWS, 1))


def _graph(matrices: dict[str, npt.NDArray[Any]]) -> Any:
    return helper.make_model(
        helper.make_graph(
            [
                helper.make_node("MatMulInteger", [f"{name}.activations", f"{name}.weights"], [name])
                for name in matrices
            ],
            "products",
            [
                helper.make_tensor_value_info(f"{name}.activations", TensorProto.UINT8, [ROWS, len(matrix)])
                for name, matrix in matrices.items()
            ],
            [
                helper.make_tensor_value_info(name, TensorProto.INT32, [ROWS, matrix.shape[1]])
                for name, matrix in matrices.items()
            ],
            [numpy_helper.from_array(matrix, f"{name}.weights") for name, matrix in matrices.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
