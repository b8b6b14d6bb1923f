"""A classifier of twice the width computes what it did before, its twins learn different things, and all is undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from transformers import RobertaForSequenceClassification

from model_build.errors import ModelBuildError
from model_build.train.widen import narrowed, widened

if TYPE_CHECKING:
    from pathlib import Path

IDS = torch.tensor([[0, 9, 30, 77, 12, 2], [0, 5, 41, 2, 1, 1]])
MASK = (IDS != 1).long()


@pytest.fixture
def narrow(base: Path) -> RobertaForSequenceClassification:
    model = RobertaForSequenceClassification.from_pretrained(base).eval()
    # Weights as they are after training: larger, and no bias nought.
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def test_the_same_function_at_twice_the_width(narrow: RobertaForSequenceClassification) -> None:
    wide = widened(narrow, seed=1).eval()
    assert wide.config.hidden_size == 2 * narrow.config.hidden_size
    assert wide.config.num_attention_heads == narrow.config.num_attention_heads
    with torch.inference_mode():
        before, after = (model(IDS, attention_mask=MASK).logits for model in (narrow, wide))
    assert float((before[0] - before[1]).abs().max()) > 1e-3
    assert torch.allclose(before, after, atol=1e-5)


@pytest.mark.parametrize(("apart", "different"), [(0.0, False), (0.2, True)])
def test_noise_lets_twins_learn_different_things(
    narrow: RobertaForSequenceClassification, apart: float, different: bool
) -> None:
    wide = widened(narrow, seed=1, apart=apart)
    wide(IDS, attention_mask=MASK, labels=torch.tensor([0, 1])).loss.backward()
    gradient = wide.roberta.encoder.layer[0].intermediate.dense.weight.grad
    first, second = gradient.chunk(2)
    assert bool((first - second).abs().max() > 1e-3 * gradient.abs().max()) is different


def test_narrowing_undoes_widening(narrow: RobertaForSequenceClassification) -> None:
    again = narrowed(widened(narrow, seed=1)).state_dict()
    for name, tensor in narrow.state_dict().items():
        assert torch.allclose(again[name], tensor, atol=1e-6), name


def test_narrowing_takes_the_mean_of_twins_that_differ(narrow: RobertaForSequenceClassification) -> None:
    wide = widened(narrow, seed=1)
    with torch.no_grad():
        wide.roberta.embeddings.LayerNorm.bias[0] += 1
    found = narrowed(wide).roberta.embeddings.LayerNorm.bias.detach()
    assert float(found[0] - narrow.roberta.embeddings.LayerNorm.bias.detach()[0]) == pytest.approx(0.5, abs=1e-5)


def test_another_architecture(narrow: RobertaForSequenceClassification) -> None:
    narrow.config.model_type = "camembert"
    with pytest.raises(ModelBuildError, match="a camembert cannot be widened"):
        widened(narrow, seed=1)
    with pytest.raises(ModelBuildError, match="a camembert cannot be narrowed"):
        narrowed(narrow)


def test_a_width_that_cannot_be_halved(narrow: RobertaForSequenceClassification) -> None:
    narrow.config.hidden_size, narrow.config.num_attention_heads = 6, 2
    with pytest.raises(ModelBuildError, match="6 wide with 2 heads"):
        narrowed(narrow)
