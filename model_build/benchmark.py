"""Benchmark the bot's session against other runtimes: latency of single messages and bulk throughput.

Every runtime gets the weights of the model directory and must score the build's reference texts as the bot does. Each
runs in its own process, pinned to one core, and waits while another runtime is measured. A runtime is one of the
functions below, which import its libraries when they are called.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import json
import logging
import math
import multiprocessing
import os
import platform
import random
import re
import statistics
import struct
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import typer

from model_build.errors import ModelBuildError
from model_build.manifest import REFERENCE_TEXTS as TEXTS
from toxicity_bot.message_text import fold
from toxicity_bot.model_directory import ModelDirectory

# No import here may load onnxruntime, because it requests AMX immediately.
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    import numpy.typing as npt

    Batch: TypeAlias = Sequence[Sequence[int]]  # token ids of texts, with special tokens
    Scorer: TypeAlias = Callable[[Batch], npt.NDArray[np.float64]]  # (texts, labels)
    Row: TypeAlias = dict[str, Any]

BOT = "ours"  # the bot's own session, in tables and in benchmark.json
LENGTHS = (12, 32, 128)  # tokens with special tokens: a remark, a message, a window of a long text
SEED = 20260401
# The bulk messages. Their lengths are log-normal, as in a chat, and limited to one window.
BULK_MESSAGES, BULK_MEDIAN_TOKENS, BULK_SIGMA = 64, 20, 0.8
BATCH = 16
ROUNDS_PER_BULK_ROUND = 4  # bulk workloads run fewer rounds, because each takes as long as dozens of messages
WARM_UP_SECONDS = 0.1  # untimed runs before each measurement; cold caches took up to 80 ms
TOLERANCE = (
    0.4  # of a probability: coarse 8-bit quantization changes it by up to 0.3, wrong weights or a wrong graph more
)
# For the runtimes' processes. OpenMP and BLAS read it on loading. OpenVINO sends no telemetry if CI is set.
ENVIRONMENT = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
ENVIRONMENT |= {"CI": "true", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
SPAWN = multiprocessing.get_context("spawn")
PACKAGES = ("ctranslate2", "nncf", "onnxruntime", "openvino", "optimum-onnx", "torch", "transformers")
CPU_FLAGS = ("avx2", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_int8", "amx_bf16", "asimddp", "i8mm")
# https://docs.kernel.org/arch/x86/xstate.html and https://docs.kernel.org/userspace-api/seccomp_filter.html
ARCH_PRCTL, ARCH_GET_XCOMP_PERM, ARCH_REQ_XCOMP_PERM, XTILEDATA = 158, 0x1022, 0x1023, 1 << 18


@dataclass(frozen=True)
class Setup:
    """The inputs of a runtime."""

    model: ModelDirectory
    checkpoint: Path
    work: Path  # each converted form of the checkpoint has a folder in it
    references: list[list[int]]  # token ids of the build's reference texts
    threads: int = 1

    def load_checkpoint(self) -> Any:
        """Load the checkpoint in PyTorch at full precision. Call only once per process."""
        import torch
        import transformers

        from model_build.safe_loading import from_pretrained

        torch.set_num_threads(self.threads)
        torch.set_num_interop_threads(1)
        kind = transformers.AutoModelForSequenceClassification
        return from_pretrained(kind, self.checkpoint, dtype=torch.float32).eval()

    def exported(self) -> Path:
        """Return Optimum's export of the checkpoint, which several runtimes use."""
        path = self.work / "exported" / "model.onnx"
        if not path.exists():
            from optimum.exporters.onnx import onnx_export_from_model

            module = self.load_checkpoint()
            onnx_export_from_model(module, path.parent, task="text-classification", do_validation=False)
        return path

    def inputs(self, batch: Batch) -> dict[str, npt.NDArray[np.int64]]:
        """Return the exported graph's inputs by name, padded to the longest text of the batch."""
        input_ids = np.full((len(batch), max(map(len, batch))), self.model.pad_id, dtype=np.int64)
        for row, ids in zip(input_ids, batch, strict=True):
            row[: len(ids)] = ids
        return {"input_ids": input_ids, "attention_mask": (input_ids != self.model.pad_id).astype(np.int64)}

    def scorer(self, logits: Callable[[Batch], npt.NDArray[Any]]) -> Scorer:
        """Return the function to time. It converts logits, (texts, labels), to probabilities as the bot does."""
        from toxicity_bot.model_session import activate

        model = self.model
        return lambda batch: activate(logits(batch).astype(np.float64) / model.temperature, model.activation)


# The runtimes. Each converts the checkpoint to its own format, unless another process has already done so, loads it and
# returns a function that scores a batch. The docstrings list the settings and appear in the report.


def torch_fp32(setup: Setup) -> Scorer:
    """eager, scaled_dot_product_attention, inference_mode."""
    return _in_pytorch(setup, setup.load_checkpoint())


def torch_int8(setup: Setup) -> Scorer:
    """quantize_dynamic of Linear, engine onednn where there is one: 8.8 ms where x86 took 9.6, fbgemm 10.3."""
    import torch

    module, quantized = setup.load_checkpoint(), torch.backends.quantized
    if "onednn" in quantized.supported_engines:
        quantized.engine = "onednn"
    return _in_pytorch(setup, torch.ao.quantization.quantize_dynamic(module, {torch.nn.Linear}, dtype=torch.qint8))


def _in_pytorch(setup: Setup, module: Any) -> Scorer:
    import torch

    def logits(batch: Batch) -> npt.NDArray[Any]:
        inputs = {name: torch.from_numpy(value) for name, value in setup.inputs(batch).items()}
        with torch.inference_mode():
            return np.asarray(module(**inputs).logits.numpy())

    return setup.scorer(logits)


def ort_fp32(setup: Setup) -> Scorer:
    """Optimum's export at its default opset, all graph optimizations."""
    return _in_onnxruntime(setup, setup.exported())


def ort_int8_stock(setup: Setup) -> Scorer:
    """ORTQuantizer, preset avx512_vnni, dynamic, one scale for each matrix, all graph optimizations."""
    graph = setup.work / "stock" / "model_quantized.onnx"
    if not graph.exists():
        from optimum.onnxruntime import ORTQuantizer
        from optimum.onnxruntime.configuration import AutoQuantizationConfig

        preset = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=False)
        quantizer = ORTQuantizer.from_pretrained(setup.exported().parent, file_name="model.onnx")
        quantizer.quantize(save_dir=graph.parent, quantization_config=preset)
    return _in_onnxruntime(setup, graph)


def _in_onnxruntime(setup: Setup, graph: Path) -> Scorer:
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = setup.threads, 1
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    return setup.scorer(lambda batch: np.asarray(session.run(["logits"], setup.inputs(batch))[0]))


def openvino_int8(setup: Setup) -> Scorer:
    """nncf.quantize for transformers, calibrated on the reference texts, latency hint, one stream."""
    import openvino

    model = setup.work / "openvino" / "model.xml"
    if not model.exists():
        import nncf

        nncf.set_log_level(logging.ERROR)
        calibration = nncf.Dataset([setup.inputs([ids]) for ids in setup.references])
        exported = openvino.convert_model(setup.exported())
        quantized = nncf.quantize(exported, calibration, model_type=nncf.ModelType.TRANSFORMER)
        openvino.save_model(quantized, model)
    hints = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1}
    request = openvino.Core().compile_model(model, "CPU", hints).create_infer_request()

    def logits(batch: Batch) -> npt.NDArray[Any]:
        outputs = request.infer(setup.inputs(batch), share_inputs=True, share_outputs=True)
        return np.array(outputs["logits"])  # a copy: the next call overwrites its outputs

    return setup.scorer(logits)


def ctranslate2_int8(setup: Setup) -> Scorer:
    """TransformersConverter, quantization and compute type int8, classification head in numpy."""
    import ctranslate2

    folder = setup.work / "ctranslate2"
    parts = ("dense.weight", "dense.bias", "out_proj.weight", "out_proj.bias")  # of RobertaClassificationHead
    if not folder.exists():
        import transformers

        transformers.logging.set_verbosity_error()  # it warns about the missing pooler, which a classifier does not use
        weights = setup.load_checkpoint().classifier.state_dict()  # refuses code that the converter would run
        converter = ctranslate2.converters.TransformersConverter(str(setup.checkpoint))
        converter.convert(str(folder), quantization="int8")
        np.savez(folder / "head.npz", **{name: weights[name].numpy() for name in parts})
    encoder = ctranslate2.Encoder(str(folder), compute_type="int8", inter_threads=1, intra_threads=1)
    with np.load(folder / "head.npz") as head:
        dense, dense_bias, out, out_bias = (head[name] for name in parts)

    def logits(batch: Batch) -> npt.NDArray[Any]:
        states = np.array(encoder.forward_batch([list(ids) for ids in batch]).last_hidden_state)
        return np.asarray(np.tanh(states[:, 0] @ dense.T + dense_bias) @ out.T + out_bias)

    return setup.scorer(logits)


def bot(setup: Setup) -> Scorer:
    """`lambda/model_session.py` on the model directory, as the bot runs it."""
    from toxicity_bot.model_session import ModelSession

    session = ModelSession(setup.model, threads=1)
    return lambda batch: session.probabilities([ids[1:-1] for ids in batch])  # adds the special tokens itself


RUNTIMES: dict[str, Callable[[Setup], Scorer]] = {
    "torch_fp32": torch_fp32,
    "torch_int8": torch_int8,
    "ort_fp32": ort_fp32,
    "ort_int8_stock": ort_int8_stock,
    "openvino_int8": openvino_int8,
    "ctranslate2_int8": ctranslate2_int8,
    BOT: bot,
}
OTHERS = [name for name in RUNTIMES if name != BOT]
# The model types, as in config.json, that a runtime can convert; all, if it is not listed.
MODEL_TYPES = {"ctranslate2_int8": ("roberta",)}


def exclude(names: Sequence[str], without: str) -> list[str]:
    """Return the names not in `without`, a list such as NAME,.. Raises ModelBuildError for an unknown name."""
    left_out = [name.strip() for name in without.split(",") if name.strip()]
    if unknown := [name for name in left_out if name not in names]:
        raise ModelBuildError(f"--without accepts {', '.join(names)}, not {', '.join(unknown)}")
    return [name for name in names if name not in left_out]


def supports(name: str, model_type: str) -> bool:
    """Whether a runtime can convert models of a type."""
    return model_type in MODEL_TYPES.get(name, (model_type,))


_loaded: list[Scorer] = []  # the runtime of this process, used by the functions below


def _load(name: str, setup: Setup, amx: bool) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the last core: the first handles most interrupts
    if not amx:
        _deny_amx()
    _loaded.append(RUNTIMES[name](setup))
    gc.disable()


def _prepare(name: str, setup: Setup) -> None:
    """Let a runtime convert the checkpoint, in a process that is not measured."""
    RUNTIMES[name](setup)


def _seconds(batches: Sequence[Batch]) -> float:
    score = _loaded[-1]
    warm = time.perf_counter() + WARM_UP_SECONDS
    for batch in itertools.cycle(batches):
        score(batch)
        if time.perf_counter() > warm:
            break
    started = time.perf_counter()
    for batch in batches:
        score(batch)
    return time.perf_counter() - started


def _score(texts: Batch) -> npt.NDArray[np.float64]:
    return np.concatenate([_loaded[-1]([ids]) for ids in texts])


def _deny_amx() -> None:
    """Install a seccomp filter that denies AMX, which every library must request from the kernel."""
    load, jump_eq, return_, deny, allow = 0x20, 0x15, 0x06, 0x00050001, 0x7FFF0000  # deny: with EPERM
    code = [(load, 0, 0, 0), (jump_eq, 0, 3, ARCH_PRCTL)]  # first the system call, then its argument
    code += [(load, 0, 0, 16), (jump_eq, 0, 1, ARCH_REQ_XCOMP_PERM), (return_, 0, 0, deny), (return_, 0, 0, allow)]
    lines = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    ctypes.CDLL(None).prctl(22, 2, struct.pack("HP", len(code), ctypes.addressof(lines)))  # PR_SET_SECCOMP


def _has_amx() -> bool:
    granted = ctypes.c_uint64()
    ctypes.CDLL(None).syscall(ARCH_PRCTL, ARCH_GET_XCOMP_PERM, ctypes.byref(granted))
    return bool(granted.value & XTILEDATA)


def call(pool: ProcessPoolExecutor, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in another process. If it fails or dies, raises ModelBuildError with the runtime's name."""
    try:
        return pool.submit(function, *arguments).result()
    except Exception as error:  # the libraries' errors have no narrower common type
        raise ModelBuildError(
            f"{name} failed ({type(error).__name__}: {error}): install its packages with `make benchmark`, or pass "
            f"--without {name}"
        ) from error


class Workload(NamedTuple):
    name: str
    tokens: int  # length of the single text; 0 for bulk messages
    batches: Sequence[Batch]


def workloads(model: ModelDirectory, vocabulary: int) -> list[Workload]:
    """Return reproducible random texts: one of each length, and the bulk messages."""
    draw = random.Random(SEED)  # noqa: S311 - tokens, not secrets
    words = [id_ for id_ in range(vocabulary) if id_ not in (model.bos_id, model.eos_id, model.pad_id)]

    def text(tokens: int) -> list[int]:  # at most one window, as the bot reads it
        return [model.bos_id, *draw.choices(words, k=min(max(tokens, 3), model.window) - 2), model.eos_id]

    drawn = (draw.lognormvariate(math.log(BULK_MEDIAN_TOKENS), BULK_SIGMA) for _ in range(BULK_MESSAGES))
    singles, bulk = map(text, LENGTHS), sorted((text(round(tokens)) for tokens in drawn), key=len)
    return [
        *(Workload(f"{len(ids)} tokens", len(ids), [[ids]]) for ids in singles),
        Workload("bulk, one by one", 0, [[ids] for ids in bulk]),
        Workload(f"bulk, batches of {BATCH}", 0, [bulk[at : at + BATCH] for at in range(0, len(bulk), BATCH)]),
    ]


def run_rounds(runtimes: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Time each runtime once per round, in random order; return the seconds. The first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runtimes}
    order = list(runtimes)
    shuffle = random.Random(SEED).shuffle  # noqa: S311 - an order, not a secret
    for number in range(rounds + 1):
        shuffle(order)
        for name in order:
            taken = runtimes[name]()
            if number:
                seconds[name].append(taken)
    return seconds


def summarize(seconds: Sequence[float], messages: int) -> dict[str, float]:
    """Return statistics of two or more measurements, each of this many messages."""
    times = [1000 * taken / messages for taken in seconds]
    median, p95 = statistics.median(times), statistics.quantiles(times, n=20, method="inclusive")[-1]
    return {"median_ms": round(median, 3), "p95_ms": round(p95, 3), "messages_per_second": round(1000 / median, 1)}


def check_agreement(runtime: str, found: npt.NDArray[np.float64], bot: npt.NDArray[np.float64]) -> float:
    """Return the largest difference from the bot's probabilities. Raises ModelBuildError if it is too large."""
    difference = float(np.abs(found - bot).max()) if found.shape == bot.shape else math.inf
    if not difference <= TOLERANCE:
        raise ModelBuildError(
            f"{runtime} does not score as the bot does: a reference text differs by {difference:.3f}, more than "
            f"{TOLERANCE}; pass the model's own checkpoint with --source, or --without {runtime}"
        )
    return difference


def measure(names: Sequence[str], setup: Setup, loads: Sequence[Workload], rounds: int) -> tuple[list[Row], list[Row]]:
    """Return the times and each runtime's difference from the bot: without AMX and, if the CPU has it, with AMX."""
    rows, checks = [], []
    for amx in (True, False) if "amx_int8" in describe_machine() else (False,):
        with contextlib.ExitStack() as stack:
            pools = {name: stack.enter_context(ProcessPoolExecutor(1, SPAWN)) for name in names}
            for name in names:
                call(pools[name], name, _load, name, setup, amx)
            scores = {name: call(pools[name], name, _score, setup.references) for name in names}
            for name in names:
                difference = check_agreement(name, scores[name], scores[BOT])
                checks.append({"runtime": name, "amx": amx, "difference": round(difference, 4)})
                if not amx and call(pools[name], name, _has_amx):
                    raise ModelBuildError(f"AMX cannot be turned off for {name}: pass --without {name}")
            for load in loads:
                print(f"measure: {load.name}, AMX {'on' if amx else 'off'}", flush=True)
                counted = rounds if load.tokens else max(2, rounds // ROUNDS_PER_BULK_ROUND)
                turns = {name: partial(call, pools[name], name, _seconds, load.batches) for name in names}
                for name, seconds in run_rounds(turns, counted).items():
                    row = {"runtime": name, "amx": amx, "threads": 1, "workload": load.name, "tokens": load.tokens}
                    rows.append(row | summarize(seconds, sum(map(len, load.batches))) | {"samples": counted})
    return rows, checks


def describe_machine() -> str:
    """Describe the CPU, its flags that affect the speed, its number of cores and the system in one line."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    name = re.search(r"model name\s*: (.+)", info)
    flags = [flag for flag in CPU_FLAGS if re.search(rf"\b{flag}\b", info)]
    return f"{name[1] if name else 'CPU'} with {', '.join(flags)}; {os.cpu_count()} cores; {platform.system()}"


def table(rows: Sequence[Row], amx: bool) -> str:
    """Return a Markdown table: a row per runtime, and a row that compares the bot with the fastest other."""
    from tabulate import tabulate

    cells: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row["amx"] is amx:
            cells.setdefault(row["runtime"], {})[row["workload"]] = row
    columns = list(cells[BOT])
    lines = [[f"`{name}`", *(_cell(found[column]) for column in columns)] for name, found in cells.items()]
    if others := [found for name, found in cells.items() if name != BOT]:
        fastest = {column: min(other[column]["median_ms"] for other in others) for column in columns}
        ratios = (f"{cells[BOT][column]['median_ms'] / fastest[column]:.2f}" for column in columns)
        lines.append([f"time of `{BOT}` / fastest other", *ratios])
    head, align = [f"AMX {'on' if amx else 'off'}", *columns], ["left", *["right"] * len(columns)]
    return str(tabulate(lines, head, "pipe", colalign=align, disable_numparse=True))


def _cell(row: Row) -> str:
    return f"{row['median_ms']:.2f} / {row['p95_ms']:.2f}" if row["tokens"] else f"{row['messages_per_second']:.0f}/s"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the plot: a panel per workload, in a row with AMX and a row without."""
    from matplotlib.figure import Figure

    modes, columns = (list(dict.fromkeys(row[key] for row in rows)) for key in ("amx", "workload"))
    figure: Any = Figure(figsize=(3 * len(columns), 2.4 * len(modes) + 0.4), layout="constrained")
    panels = figure.subplots(len(modes), len(columns), squeeze=False, sharey=True)
    for axes, (amx, column) in zip(panels.flat, itertools.product(modes, columns), strict=True):
        times = {row["runtime"]: row["median_ms"] for row in rows if (row["amx"], row["workload"]) == (amx, column)}
        bars = axes.barh(list(times), list(times.values()), color=["C3" if name == BOT else "C7" for name in times])
        axes.bar_label(bars, fmt="%.1f", padding=2)
        axes.set(title=f"{column}, AMX {'on' if amx else 'off'}", xmargin=0.2)
    figure.supxlabel("median milliseconds per message")
    figure.savefig(path, dpi=110)


def benchmark(
    model: Annotated[Path, typer.Option(help="The model directory.")] = Path("model"),
    source: Annotated[Path | None, typer.Option(help="Its checkpoint; default: restored from the model.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for benchmark.md, .json and .png; default: none.")] = None,
    without: Annotated[str, typer.Option(help=f"Runtimes to leave out: NAME,.. of {', '.join(OTHERS)}.")] = "",
    rounds: Annotated[int, typer.Option(help="Measurements per runtime and workload.", min=2)] = 60,
) -> None:
    """Compare the bot's speed with other runtimes on one core: single messages and bulk throughput."""
    others = exclude(OTHERS, without)
    os.environ |= ENVIRONMENT
    from tokenizers import Tokenizer

    from model_build import manifest
    from model_build.train.initial_model import restore
    from model_build.verify import verify

    verify(model)
    directory, tokenizer = ModelDirectory.read(model), Tokenizer.from_file(str(model / "tokenizer.json"))
    loads = workloads(directory, tokenizer.get_vocab_size())
    texts = [tokenizer.encode(fold(text), add_special_tokens=False).ids for text in TEXTS]
    references = [[directory.bos_id, *ids, directory.eos_id] for ids in texts]
    report: dict[str, Any] = {"machine": describe_machine(), "date": time.strftime("%Y-%m-%d")}
    report |= {"load": round(os.getloadavg()[0], 2), "weights": source.name if source else "restored"}
    report["model"] = {name: facts["sha256"] for name, facts in manifest.read(model)["files"].items()}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as work:
        setup = Setup(directory, source or Path(work, "checkpoint"), Path(work), references)
        for part in () if source else restore(model):
            part.save_pretrained(setup.checkpoint)
        kind = json.loads((setup.checkpoint / "config.json").read_text(encoding="utf-8"))["model_type"]
        report["unsupported"] = [name for name in others if not supports(name, kind)]
        for name in report["unsupported"]:
            print(f"skip: {name}, which cannot convert a model of type {kind}", flush=True)
        others = [name for name in others if name not in report["unsupported"]]
        names = [*others, BOT]
        for name in others:
            print(f"prepare: {name}", flush=True)
            with ProcessPoolExecutor(1, SPAWN) as pool:
                call(pool, name, _prepare, name, setup)
        report["rows"], report["agreement"] = measure(names, setup, loads, rounds)
    report["versions"] = {found.name: found.version for found in distributions() if found.name in PACKAGES}
    report["settings"] = {name: RUNTIMES[name].__doc__ for name in names}
    tables = {amx: table(report["rows"], amx) for amx in dict.fromkeys(row["amx"] for row in report["rows"])}
    print(*tables.values(), sep="\n\n", flush=True)
    if out:
        from model_build.model_card import render

        out.mkdir(parents=True, exist_ok=True)
        shown = {"tables": tables, "warm_up": WARM_UP_SECONDS, "bulk": BULK_MESSAGES, "tolerance": TOLERANCE}
        page = render(Path(__file__).with_suffix(".md.j2"), report | shown)
        (out / "benchmark.md").write_text(page, encoding="utf-8")
        (out / "benchmark.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        draw(report["rows"], out / "benchmark.png")
