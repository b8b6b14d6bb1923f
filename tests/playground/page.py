"""Page object of the playground: actions of people, and the state that they see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page

LONGEST_WAIT = 60_000  # ms. A killed worker's job is redelivered after 11 s.


class Playground:
    """One browser window at the playground. Errors in its console fail the test."""

    def __init__(self, browser: Browser, address: str, **options: Any) -> None:
        # During an animation the colours are not the final ones.
        given = {"viewport": {"width": 1400, "height": 900}, "locale": "en-GB", "reduced_motion": "reduce"} | options
        self.page: Page = browser.new_page(**given)
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._on_console)
        self.page.goto(address)
        expect(self.page.get_by_text("Live", exact=True)).to_be_attached()
        expect(self.messages()).not_to_have_count(0)

    def _on_console(self, line: ConsoleMessage) -> None:
        if line.type in ("error", "warning"):
            self.problems.append(line.text)

    def act_as(self, person: str) -> None:
        self.page.get_by_role("radio", name=person).check(force=True)

    def messages(self) -> Locator:
        return self.page.get_by_role("list", name="Messages").locator("> li")

    def message(self, text: str) -> Locator:
        return self.messages().filter(has_text=text)

    def answers(self) -> Locator:
        """The bot's verdicts in the channel."""
        return self.page.locator(".from-bot[data-outcome]")

    def write(self, text: str) -> Locator:
        """Write a message and return it."""
        box = self.page.get_by_label("Message to")
        box.fill(text)
        box.press("Enter")
        expect(self.message(text)).to_have_count(1)
        return self.message(text)

    def press(self, message: Locator, action: str) -> None:
        """Press a button of a message's toolbar."""
        message.hover()
        button = message.get_by_role("toolbar").get_by_role("button", name=action)
        # A new answer can move the message away from the mouse.
        button.focus()
        button.click()

    def react(self, message: Locator) -> None:
        """React with the trigger emoji and wait until the bot is idle."""
        before = self.page.locator("#trail-state").all()
        number = int(before[0].get_attribute("data-number") or 0) if before else 0
        self.press(message, "React with ☣️")
        self.wait_until_done(number + 1)

    def wait_until_done(self, number: int = 1) -> None:
        """Wait until the request with this number, counted from the first one, is done."""
        state = self.page.locator(f'#trail-state[data-number="{number}"]')
        expect(state).to_contain_text("Nothing is left", timeout=LONGEST_WAIT)

    def shortcut(self, message: Locator, label: str) -> None:
        """Choose a shortcut from a message's menu."""
        self.press(message, "More")
        message.get_by_role("button", name=label).click()

    def trouble(self, label: str, *, on: bool = True) -> None:
        switch = self.page.get_by_role("switch", name=label)
        switch.set_checked(on)
        expect(switch).to_be_checked(checked=on)

    def expect_counted(self, *numbers: int) -> None:
        """Wait for the last request's counts: deliveries, jobs, attempts, attempted posts, answers."""
        expect(self.page.locator(".counters dd")).to_have_text([str(number) for number in numbers])

    def hops(self) -> list[str]:
        """The steps of the last request."""
        hops: list[str] = self.page.locator(".hop").all_inner_texts()
        return hops


def serious_faults(playground: Playground) -> list[str]:
    """Return the serious faults that axe-core finds in the current view."""
    found = Axe().run(playground.page).response["violations"]
    return [
        f"{fault['id']}: {node['html']}: {node['failureSummary']}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]
