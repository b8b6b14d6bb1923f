"""Hard and soft targets: what the loss is at its limits, and where its gradient vanishes."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from model_build.train.loss import Targets

LOGITS = torch.tensor([[2.0, -1.0], [0.5, 0.25], [-3.0, 1.0]])
LABELS = torch.tensor([0, 1, 1])


def test_without_a_soft_share_it_is_cross_entropy() -> None:
    expected = functional.cross_entropy(LOGITS, LABELS)
    soft = torch.tensor([0.9, 0.1, 0.5])
    assert Targets(soft_share=0.0).loss(LOGITS, LABELS, soft) == expected
    assert Targets(soft_share=0.5).loss(LOGITS, LABELS, None) == expected


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_a_student_that_agrees_with_its_teacher_has_nothing_to_learn(temperature: float) -> None:
    logits = LOGITS.clone().requires_grad_()
    soft = LOGITS.softmax(-1)[:, 1]
    loss = Targets(1.0, temperature).loss(logits, LABELS, soft)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert torch.allclose(logits.grad, torch.zeros_like(LOGITS), atol=1e-6)


def test_soft_targets_at_temperature_one_are_the_teachers_probabilities() -> None:
    soft = torch.tensor([0.2, 0.7, 0.99])
    wanted = torch.stack([1 - soft, soft], dim=-1)
    entropy = -(wanted * wanted.log()).sum(-1).mean()
    expected = functional.cross_entropy(LOGITS, wanted) - entropy
    assert float(Targets(1.0, 1.0).loss(LOGITS, LABELS, soft)) == pytest.approx(float(expected), rel=1e-5)


def test_the_gradient_keeps_its_size_at_a_high_temperature() -> None:
    soft = torch.tensor([0.6, 0.4, 0.45])
    sizes = []
    for temperature in (4.0, 16.0):
        logits = (LOGITS / 10).requires_grad_()
        Targets(1.0, temperature).loss(logits, LABELS, soft).backward()
        sizes.append(float(logits.grad.norm()))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


def test_a_teacher_that_is_quite_sure_gives_a_finite_loss() -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = Targets(1.0, 1.0).loss(logits, LABELS, torch.tensor([0.0, 1.0, 1.0]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_half_and_half() -> None:
    soft = torch.tensor([0.2, 0.7, 0.99])
    hard, taught, both = (float(Targets(share, 2.0).loss(LOGITS, LABELS, soft)) for share in (0.0, 1.0, 0.5))
    assert both == pytest.approx((hard + taught) / 2, rel=1e-6)
