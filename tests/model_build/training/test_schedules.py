"""Learning-rate schedules at the places that define them."""

from __future__ import annotations

import pytest
import torch

from model_build.train.schedules import SCHEDULES, scheduler


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("linear", {0.0: 0.0, 0.03: 0.5, 0.06: 1.0, 0.53: 0.5, 1.0: 0.0}),
        ("one-cycle", {0.0: 0.04, 0.15: 0.52, 0.3: 1.0, 0.65: 0.50005, 1.0: 1e-4}),
        ("triangular", {0.0: 0.04, 0.25: 0.52, 0.5: 1.0, 0.75: 0.52, 1.0: 0.04}),
        ("step", {0.0: 0.0, 0.06: 1.0, 0.49: 1.0, 0.5: 0.1, 0.79: 0.1, 0.8: 0.01, 1.0: 0.01}),
    ],
)
def test_the_share_of_the_highest_rate(name: str, shares: dict[float, float]) -> None:
    assert {done: SCHEDULES[name](done) for done in shares} == pytest.approx(shares)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_run_reaches_the_highest_rate_and_never_more(name: str) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule = scheduler(name, optimizer, 100)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert max(rates) == pytest.approx(0.5, rel=1e-3)
    assert min(rates) >= 0
    assert rates[-1] < 0.1


def test_one_cycle_is_pytorchs() -> None:
    ours = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    # PyTorch's last step is the hundredth, ours the end of it.
    schedules = (
        scheduler("one-cycle", ours, 99),
        torch.optim.lr_scheduler.OneCycleLR(
            theirs, max_lr=1.0, total_steps=100, final_div_factor=400, cycle_momentum=False
        ),
    )
    for _ in range(99):
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], abs=0.03)
        for optimizer, schedule in zip((ours, theirs), schedules, strict=True):
            optimizer.step()
            schedule.step()
