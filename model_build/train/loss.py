"""Logits, labels and a teacher's probabilities come in, one loss comes out: hard targets, soft targets, or both.

Soft targets are those of Hinton, Vinyals and Dean (2015, https://arxiv.org/abs/1503.02531).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

# A teacher's probability of 0 or 1 has no finite logit.
LEAST = 1e-4


@dataclass(frozen=True)
class Targets:
    """How much the soft targets count beside the hard ones, 0 to 1, and the temperature that softens both sides."""

    soft_share: float = 0.5
    temperature: float = 2.0

    def loss(self, logits: Tensor, labels: Tensor, soft: Tensor | None) -> Tensor:
        """Return the mean over the batch; logits (batch, 2), labels (batch,), `soft` the probability of toxic (batch,).

        The soft part is multiplied by the temperature's square, so that its gradients keep their size.
        """
        logits = logits.float()
        hard = functional.cross_entropy(logits, labels)
        if soft is None or not self.soft_share:
            return hard
        teacher = torch.logit(soft.float(), eps=LEAST) / self.temperature
        wanted = torch.stack([-teacher / 2, teacher / 2], dim=-1).log_softmax(dim=-1)
        given = (logits / self.temperature).log_softmax(dim=-1)
        divergence = functional.kl_div(given, wanted, reduction="batchmean", log_target=True)
        return (1 - self.soft_share) * hard + self.soft_share * self.temperature**2 * divergence
