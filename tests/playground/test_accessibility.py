"""axe-core finds no serious fault in any view. If SCREENSHOTS is a folder, screenshots are saved there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.playground.page import Playground, serious_faults

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LARGEST_PICTURE = 300_000  # bytes
LIGHT: dict[str, Any] = {"color_scheme": "light"}
DARK: dict[str, Any] = {"color_scheme": "dark"}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
VIEWS = {"light": LIGHT, "dark": DARK, "phone": LIGHT | PHONE, "phone-dark": DARK | PHONE}


def picture(playground: Playground, name: str) -> None:
    """Save a screenshot of the window if SCREENSHOTS is set."""
    if (folder := os.environ.get("SCREENSHOTS")) and not name.startswith("phone-dark"):
        path = Path(folder) / f"playground-{name}.png"
        playground.page.screenshot(path=path, animations="disabled")
        assert path.stat().st_size < LARGEST_PICTURE


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_is_accessible(name: str, browser: Browser, address: str) -> None:
    playground = Playground(browser, address, **VIEWS[name])
    page = playground.page
    assert serious_faults(playground) == []
    if name == "light":
        page.get_by_role("switch", name="Deliver twice").check()
    playground.react(playground.message("You broke it"))
    expect(playground.answers()).to_have_count(1)
    page.mouse.move(0, 0)
    picture(playground, name)
    if "phone" in name:
        page.get_by_role("button", name="Last request").click()
        expect(page.get_by_role("button", name="Close")).to_be_focused()
    page.get_by_text("The job on the queue").click()
    assert serious_faults(playground) == []
    if "phone" in name:
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Last request")).to_be_focused()
    playground.press(playground.message("Could you look"), "Reply")
    page.get_by_role("button", name="private").click()
    assert serious_faults(playground) == []
    page.get_by_role("tab", name="Score a text").click()
    page.get_by_label("Text", exact=True).fill("y0u are such an 1d1ot, and everybody knows it.")
    expect(page.locator("#verdict-words")).to_have_text("likely toxic")
    picture(playground, f"{name}-score")
    assert serious_faults(playground) == []
    assert playground.problems == []
