"""Measure structured pruning of a classifier: attention heads and feed-forward units, by two measures of importance.

Each layer loses the same share of its heads and units: those with the smallest weights (magnitude), or those whose
removal changes the loss least to first order (https://arxiv.org/abs/1905.10650, https://arxiv.org/abs/1611.06440). Then
the pruned model learns the probabilities of the whole one for some steps. Quality is measured in PyTorch, time and size
in ONNX Runtime with 8 bits, unfused, the whole model likewise.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from sklearn.metrics import roc_auc_score
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from model_build.data import read
from toxicity_bot.message_text import fold

SHARES = (0.1, 0.3, 0.5)
LENGTHS = (12, 32, 128)
HEAD = 64  # width of a head


def layers_of(model):
    return model.mpnet.encoder.layer


def cut(model, heads, units):
    """Remove all but these heads and units of each layer, in place."""
    for layer, keep, kept in zip(layers_of(model), heads, units, strict=True):
        attention = layer.attention.attn
        rows = torch.cat([torch.arange(head * HEAD, (head + 1) * HEAD) for head in keep])
        for name in ("q", "k", "v"):
            linear = getattr(attention, name)
            linear.weight = torch.nn.Parameter(linear.weight.data[rows])
            linear.bias = torch.nn.Parameter(linear.bias.data[rows])
        attention.o.weight = torch.nn.Parameter(attention.o.weight.data[:, rows])
        attention.num_attention_heads, attention.all_head_size = len(keep), len(rows)
        forward, index = attention.forward, torch.tensor(keep)

        def sliced(hidden, mask=None, head_mask=None, position_bias=None, *rest, forward=forward, index=index, **named):
            return forward(hidden, mask, head_mask, position_bias[:, index], *rest, **named)

        attention.forward = sliced
        layer.intermediate.dense.weight = torch.nn.Parameter(layer.intermediate.dense.weight.data[kept])
        layer.intermediate.dense.bias = torch.nn.Parameter(layer.intermediate.dense.bias.data[kept])
        layer.output.dense.weight = torch.nn.Parameter(layer.output.dense.weight.data[:, kept])
    return model


def importance(model, batches, first_order):
    """Return the importance of each head and of each unit, by layer."""
    if first_order:
        for batch in batches:
            model(**batch).loss.backward()

    def value(weight):
        return (weight * weight.grad).abs() if first_order else weight.data**2

    heads, units = [], []
    for layer in layers_of(model):
        attention = layer.attention.attn
        columns = sum(value(getattr(attention, name).weight).sum(1) for name in ("q", "k", "v"))
        columns = columns + value(attention.o.weight).sum(0)
        heads.append(columns.view(-1, HEAD).sum(1).detach())
        units.append((value(layer.intermediate.dense.weight).sum(1) + value(layer.output.dense.weight).sum(0)).detach())
    model.zero_grad()
    return heads, units


def kept(scores, share):
    return [sorted(score.topk(round(len(score) * (1 - share))).indices.tolist()) for score in scores]


def distil(model, whole, batches):
    """Let the pruned model learn the labels and the whole model's probabilities, half and half, at temperature 2."""
    optimizer = torch.optim.AdamW([p for n, p in model.named_parameters() if "embeddings" not in n], lr=7e-5)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.05, len(batches))
    model.train()
    for batch in batches:
        with torch.autocast("cpu", torch.bfloat16):
            found = model(**batch)
            with torch.no_grad():
                target = whole(**batch).logits.float()
        soft = torch.nn.functional.kl_div(
            torch.log_softmax(found.logits.float() / 2, -1), torch.softmax(target / 2, -1), reduction="batchmean"
        )
        (0.5 * found.loss.float() + 0.5 * 4 * soft).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.eval()


@torch.no_grad()
def auc(model, tokenizer, rows):
    """Return the mean ROC AUC of the sources, and that of `written`."""
    scores = np.zeros(len(rows))
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].text))
    for at in range(0, len(order), 48):
        part = order[at : at + 48]
        encoded = tokenizer([fold(rows[i].text) for i in part], truncation=True, max_length=96, padding=True, return_tensors="pt")
        with torch.autocast("cpu", torch.bfloat16):
            scores[part] = model(**encoded).logits.float().diff()[:, 0].numpy()
    labels, sources = np.array([row.label for row in rows]), np.array([row.source for row in rows])
    by_source = {s: roc_auc_score(labels[sources == s], scores[sources == s]) for s in sorted(set(sources))}
    return float(np.mean(list(by_source.values()))), by_source["written"]


def cost(model):
    """Return the milliseconds at each length, on one thread, and the megabytes of the 8-bit model without embeddings."""
    with tempfile.TemporaryDirectory() as folder:
        path, small = Path(folder, "m.onnx"), Path(folder, "q.onnx")
        ids = torch.ones(1, 12, dtype=torch.long)
        model.config.return_dict = False
        torch.onnx.export(model, (ids, ids), path, dynamo=False, input_names=["ids", "mask"], opset_version=17,
                          dynamic_axes={"ids": {1: "n"}, "mask": {1: "n"}})  # fmt: skip
        quantize_dynamic(path, small, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul"])
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(small, options)
        found = []
        for length in LENGTHS:
            ones = {"ids": np.full((1, length), 7, np.int64), "mask": np.ones((1, length), np.int64)}
            for _ in range(5):
                session.run(None, ones)
            times = []
            for _ in range(40):
                started = time.perf_counter()
                session.run(None, ones)
                times.append(time.perf_counter() - started)
            found.append(statistics.median(times) * 1000)
        embeddings = sum(p.numel() for n, p in model.named_parameters() if "embeddings" in n) * 4
        return found, (small.stat().st_size - embeddings) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()
    torch.manual_seed(0)
    rows = read(*given.data)
    chance = random.Random(0)
    train = chance.sample([row for row in rows.of_split("train") if len(row.text) < 600], 48 * given.steps)
    by_source: dict[str, list] = {}
    for row in rows.of_split("dev"):
        by_source.setdefault(row.source, []).append(row)
    dev = [row for group in by_source.values() if len({r.label for r in group}) == 2 for row in chance.sample(group, min(620, len(group)))]
    tokenizer = AutoTokenizer.from_pretrained(given.checkpoint)
    whole = AutoModelForSequenceClassification.from_pretrained(given.checkpoint, attn_implementation="eager").eval()

    def batches(texts):
        for at in range(0, len(texts), 48):
            part = texts[at : at + 48]
            encoded = tokenizer([fold(r.text) for r in part], truncation=True, max_length=96, padding=True, return_tensors="pt")
            yield {**encoded, "labels": torch.tensor([r.label for r in part])}

    ready = list(batches(train))

    def tell(name, share, before, after, timed):
        (ms, mb) = timed
        print(json.dumps({"by": name, "share": share, "before": before, "after": after, "ms": ms, "mb": mb}), flush=True)

    tell("none", 0, auc(whole, tokenizer, dev), None, cost(copy.deepcopy(whole)))
    for name in ("magnitude", "first order"):
        heads, units = importance(copy.deepcopy(whole), ready[:8], name == "first order")
        for share in SHARES:
            model = cut(copy.deepcopy(whole), kept(heads, share), kept(units, share))
            before = auc(model, tokenizer, dev)
            distil(model, whole, ready)
            after = auc(model, tokenizer, dev)
            tell(name, share, before, after, cost(model))


if __name__ == "__main__":
    main()
