"""Every block and element of slack_sdk's models, and some that it lacks, with a word of its own in each field.

Fields without words hold `unread`, which nobody may read.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from slack_sdk.models import blocks as kit
from slack_sdk.models.blocks import RichTextElementParts as Parts
from slack_sdk.models.blocks import block_elements

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]
UNREAD = "unread"
URL = f"https://example.com/{UNREAD}"
ACTION: Any = {"action_id": UNREAD}


class Word:
    """Makes words that occur once, and remembers them."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.made: list[str] = []

    def __call__(self) -> str:
        self.made.append(f"canary{next(self._numbers)}")
        return self.made[-1]


def plain(word: Word) -> kit.PlainTextObject:
    return kit.PlainTextObject(text=word())


def mrkdwn(word: Word) -> kit.MarkdownTextObject:
    return kit.MarkdownTextObject(text=f"*{word()}* <{URL}|{word()}>")


def option(word: Word) -> kit.Option:
    return kit.Option(value=UNREAD, text=plain(word), description=plain(word))


def confirm(word: Word) -> kit.ConfirmObject:
    return kit.ConfirmObject(title=plain(word), text=plain(word), confirm=plain(word), deny=plain(word))


def image(word: Word) -> kit.ImageElement:
    return kit.ImageElement(image_url=URL, alt_text=word())


def rich_text(word: Word) -> kit.RichTextBlock:
    section = kit.RichTextSectionElement(
        elements=[
            Parts.Text(text=f"{word()} ", style=Parts.TextStyle(bold=True)),
            Parts.Link(url=URL, text=word()),
            Parts.Date(timestamp=1731000000, format=f" {word()} {{date_num}}", fallback=UNREAD),
            Parts.User(user_id=UNREAD), Parts.Channel(channel_id=UNREAD), Parts.UserGroup(usergroup_id=UNREAD),
            Parts.Team(team_id=UNREAD), Parts.Broadcast(range="here"), Parts.Emoji(name="tada"),
            Parts.Color(value=UNREAD),
        ]
    )  # fmt: skip
    items = [kit.RichTextSectionElement(elements=[Parts.Text(text=word())]) for _ in range(2)]
    elements = [
        section,
        kit.RichTextListElement(elements=items, style="bullet"),
        kit.RichTextQuoteElement(elements=[Parts.Text(text=word())]),
        kit.RichTextPreformattedElement(elements=[Parts.Text(text=f"{word()} = 1")]),
    ]
    return kit.RichTextBlock(elements=elements)


ELEMENTS: list[Callable[[Word], Any]] = [
    lambda word: kit.ButtonElement(text=plain(word), value=UNREAD, url=URL, style="danger", confirm=confirm(word),
                                   accessibility_label=word(), **ACTION),
    lambda word: kit.LinkButtonElement(text=plain(word), url=URL, **ACTION),
    lambda word: kit.CheckboxesElement(options=[option(word)], confirm=confirm(word), **ACTION),
    lambda word: kit.DatePickerElement(placeholder=plain(word), initial_date="2026-01-05", **ACTION),
    lambda word: kit.TimePickerElement(placeholder=plain(word), initial_time="09:30", timezone=UNREAD, **ACTION),
    lambda word: kit.DateTimePickerElement(initial_date_time=1731000000, confirm=confirm(word), **ACTION),
    lambda word: kit.StaticSelectElement(placeholder=plain(word), options=[option(word)], **ACTION),
    lambda word: kit.StaticMultiSelectElement(
        placeholder=plain(word), option_groups=[kit.OptionGroup(label=plain(word), options=[option(word)])], **ACTION),
    lambda word: kit.SelectElement(placeholder=word(), options=[option(word)], **ACTION),
    lambda word: kit.ExternalDataSelectElement(placeholder=plain(word), initial_option=option(word), **ACTION),
    lambda word: kit.ExternalDataMultiSelectElement(placeholder=plain(word), initial_options=[option(word)], **ACTION),
    lambda word: kit.UserSelectElement(placeholder=plain(word), initial_user="U012AB3CD", **ACTION),
    lambda word: kit.UserMultiSelectElement(placeholder=plain(word), initial_users=["U012AB3CD"], **ACTION),
    lambda word: kit.ConversationSelectElement(
        placeholder=plain(word), filter=kit.ConversationFilter(include=["public"]), **ACTION),
    lambda word: kit.ConversationMultiSelectElement(
        placeholder=plain(word), initial_conversations=["C012AB3CD"], **ACTION),
    lambda word: kit.ChannelSelectElement(placeholder=plain(word), initial_channel="C012AB3CD", **ACTION),
    lambda word: kit.ChannelMultiSelectElement(placeholder=plain(word), **ACTION),
    lambda word: kit.RadioButtonsElement(options=[option(word)], **ACTION),
    lambda word: kit.OverflowMenuElement(options=[option(word)], **ACTION),
    lambda word: block_elements.WorkflowButtonElement(
        text=plain(word), accessibility_label=word(), workflow={"trigger": {"url": URL}}, **ACTION),
]  # fmt: skip
INPUTS: list[Callable[[Word], Any]] = [
    lambda word: kit.PlainTextInputElement(placeholder=plain(word), initial_value=word(), **ACTION),
    lambda word: kit.EmailInputElement(placeholder=plain(word), **ACTION),
    lambda word: kit.UrlInputElement(placeholder=plain(word), initial_value=URL, **ACTION),
    lambda word: kit.NumberInputElement(placeholder=plain(word), min_value="1", is_decimal_allowed=False, **ACTION),
    lambda word: kit.RichTextInputElement(placeholder=plain(word), initial_value=rich_text(word), **ACTION),
    lambda _: block_elements.FileInputElement(filetypes=[UNREAD], **ACTION),
]


def task(word: Word) -> kit.TaskCardBlock:
    source = kit.UrlSourceElement(url=URL, text=word())
    details, output = rich_text(word), rich_text(word)
    return kit.TaskCardBlock(
        task_id=UNREAD, title=word(), details=details, output=output, sources=[source], status="complete"
    )


def card(word: Word) -> kit.CardBlock:
    texts: Any = {key: mrkdwn(word) for key in ("title", "subtitle", "body")}
    return kit.CardBlock(hero_image=image(word), icon=image(word), actions=[ELEMENTS[0](word)], **texts)


def container(word: Word, *children: Any) -> Json:
    """A container of blocks."""
    blocks = list(children) or [kit.MarkdownBlock(text=word())]
    made = kit.ContainerBlock(
        child_blocks=[],
        title=plain(word),
        rich_text_title=as_json(rich_text(word)),
        subtitle=mrkdwn(word),
        width="wide",
    )
    return made.get_non_null_attributes() | {"icon": as_json(image(word)), "child_blocks": as_json(blocks)}


def of_tomorrow(word: Word, *children: Any) -> Json:
    """A block of a type that nobody knows."""
    return {
        "type": "hologram", "hologram_id": UNREAD, "style": UNREAD, "value": UNREAD, "image_url": URL, "see": URL,
        "owner": "U012AB3CD", "color": "#F405B3", "provider_name": UNREAD, "starts": "2026-01-05T09:30:00Z",
        "heading": word(), "scene": {"body": {"type": "hologram_text", "text": word()}, "captions": [word(), word()]},
        "panels": as_json(list(children)),
    }  # fmt: skip


def bar_chart(word: Word) -> Json:
    series = [{"name": word(), "data": [{"label": word(), "value": 1}]}]
    axes = {"categories": [word()], "x_label": word(), "y_label": word()}
    chart = {"type": "bar", "series": series, "axis_config": axes}
    return {"type": "data_visualization", "title": word(), "chart": chart}


def data_table(word: Word) -> Json:
    head = {"type": "raw_text", "text": word()}
    number = {"type": "raw_number", "value": 1, "text": word()}
    return {"type": "data_table", "caption": word(), "rows": [[head], [as_json(rich_text(word))], [number]]}


def feedback(word: Word) -> kit.FeedbackButtonsElement:
    buttons = [kit.FeedbackButtonObject(text=plain(word), accessibility_label=word(), value=UNREAD) for _ in range(2)]
    return kit.FeedbackButtonsElement(positive_button=buttons[0], negative_button=buttons[1], **ACTION)


BLOCKS: list[Callable[[Word], Any]] = [
    lambda word: kit.SectionBlock(text=mrkdwn(word), fields=[plain(word), mrkdwn(word)], accessory=image(word)),
    *(lambda word, element=element: kit.ActionsBlock(elements=[element(word)]) for element in ELEMENTS),
    *(lambda word, element=element: kit.InputBlock(label=plain(word), hint=plain(word), element=element(word))
      for element in INPUTS),
    lambda _: kit.DividerBlock(block_id=UNREAD),
    lambda word: kit.ImageBlock(image_url=URL, alt_text=word(), title=plain(word)),
    lambda word: kit.ContextBlock(elements=[plain(word), mrkdwn(word), image(word)]),
    lambda word: kit.ContextActionsBlock(elements=[
        feedback(word), kit.IconButtonElement(icon="trash", text=plain(word), accessibility_label=word(), **ACTION)]),
    lambda _: kit.FileBlock(external_id=UNREAD, source="remote"),
    lambda _: kit.CallBlock(call_id=UNREAD),
    lambda word: kit.HeaderBlock(text=plain(word)),
    lambda word: kit.MarkdownBlock(text=f"# {word()}\n**{word()}** [{word()}]({URL})"),
    lambda word: kit.VideoBlock(
        title=plain(word), description=plain(word), alt_text=word(), video_url=URL, thumbnail_url=URL,
        author_name=UNREAD, provider_name=UNREAD, title_url=URL),
    rich_text,
    lambda word: kit.TableBlock(rows=[[kit.RawTextObject(text=word()), as_json(rich_text(word))]]),
    task,
    lambda word: kit.PlanBlock(title=word(), tasks=[task(word), task(word)]),
    lambda word: kit.AlertBlock(text=mrkdwn(word), level="warning"),
    card,
    lambda word: kit.CarouselBlock(elements=[card(word), card(word)]),
    lambda word: kit.AuthProviderBlock(
        value=UNREAD, name=plain(word), is_connected=True, description=plain(word), icon_url=URL, auth_url=URL,
        connected_identity=plain(word), connected_context=plain(word), fallback=[kit.HeaderBlock(text=plain(word))]),
    container,
    bar_chart,
    data_table,
]  # fmt: skip


def as_json(value: Any) -> Any:
    """Return models as the JSON that Slack gets."""
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value if isinstance(value, dict) else value.to_dict()
