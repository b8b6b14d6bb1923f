import { act } from "./api.js";
import { byId, el, reconcile, titled } from "./dom.js";

const { trigger, triggerEmoji, bot, botName } = document.body.dataset;
const emojiButtons = [...byId("reactions").content.querySelectorAll("button")];
const shortcuts = [...byId("shortcuts").content.querySelectorAll("button")];
const list = byId("messages");
let channels = [];
let current = "";
let replyingTo = "";
const known = new Set();

const me = () => document.querySelector('[name="person"]:checked');
const nameOf = (id) => titled(document.querySelector(`[name="person"][value="${CSS.escape(id)}"]`)?.dataset.name ?? botName);

/** Show the current state of the channels. */
export function showChannels(now) {
  channels = now;
  if (!channels.some((one) => one.id === current)) current = channels[0].id;
  render();
}

function render() {
  const visible = channels.filter((one) => one.kind === "public" || one.members.includes(me().value));
  const channel = visible.find((one) => one.id === current) ?? visible[0];
  current = channel.id;
  reconcile(byId("channels"), visible.map((one) => ({ key: one.id, item: tabOf(one, channel) })), channelItem);
  byId("channel-title").textContent = channel.kind === "im" ? botName : channel.name;
  byId("channel-title").dataset.kind = channel.kind;
  byId("channel-about").textContent = about(channel);
  byId("composer").hidden = channel.kind === "im";
  byId("composer-label").textContent = `Message to ${channel.name} as ${titled(me().dataset.name)}`;
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  reconcile(list, itemsOf(channel), itemElement);
  announce(atEnd);
}

const tabOf = (one, shown) => ({
  id: one.id, name: one.kind === "im" ? botName : one.name, kind: one.kind, shown: one === shown,
});

function about(channel) {
  if (channel.kind === "im") return "The bot writes to you here when it cannot answer in a channel.";
  if (!channel.has_bot) return "The bot is not a member.";
  return channel.kind === "private" ? "A private channel. The bot is a member." : "The bot is a member.";
}

function channelItem({ id, name, kind, shown }) {
  const choose = () => { current = id; replyingTo = ""; render(); list.scrollTop = list.scrollHeight; };
  const button = el("button", { type: "button", "aria-current": shown ? "true" : null, "data-focus": id, click: choose },
    el("span", { class: "channel-name", "data-kind": kind }, name));
  return el("li", {}, button);
}

/** Order messages with replies below their roots. Include ephemeral messages for the current person. */
function itemsOf(channel) {
  const mine = channel.private.filter((one) => one.shown_to === me().value);
  const messages = [...channel.messages, ...mine].sort((a, b) => a.ts.localeCompare(b.ts));
  const roots = new Set(messages.map((one) => one.ts));
  const isReply = (one) => one.thread_ts && one.thread_ts !== one.ts && roots.has(one.thread_ts);
  const items = [];
  for (const root of messages.filter((one) => !isReply(one))) {
    items.push({ ...root, channel: channel.id, reply: false });
    const replies = messages.filter((one) => isReply(one) && one.thread_ts === root.ts);
    items.push(...replies.map((one) => ({ ...one, channel: channel.id, reply: true })));
    if (replyingTo === root.ts) items.push({ ts: `reply-${root.ts}`, channel: channel.id, form: root.ts, to: root.name });
  }
  return items.map((item) => ({ key: item.ts, item: { ...item, me: me().value } }));
}

function itemElement(item) {
  if (item.form) return replyForm(item);
  const own = item.author === item.me && !item.gone;
  const title = el("p", { class: "byline" },
    el("span", { class: "author" }, item.gone ? "Slack" : item.name),
    item.is_bot ? el("span", { class: "badge" }, "App") : "",
    el("time", { datetime: new Date(item.ts * 1000).toISOString() }, clock(item.ts)),
    item.edited ? el("span", { class: "muted" }, "(edited)") : "");
  const classes = ["message", item.reply ? "reply" : "", item.is_bot && item.author === bot ? "from-bot" : ""];
  const element = el("li", { class: classes.join(" ").trim(), "data-outcome": item.outcome || null },
    avatar(item),
    el("div", { class: "message-body" },
      item.shown_to ? el("p", { class: "only-you muted" }, `Only visible to ${nameOf(item.shown_to)}`) : "",
      title, ...item.lines.map(lineElement), buttonsOf(item), reactionsOf(item)));
  if (!item.gone && !item.shown_to) element.append(toolbar(item, own, element));
  return element;
}

function avatar(item) {
  const people = [...document.querySelectorAll('[name="person"]')];
  const hue = people.findIndex((one) => one.value === item.author) + 1;
  return el("span", { class: "avatar", "data-hue": hue, "aria-hidden": "true" }, hue ? item.name[0] : triggerEmoji);
}

const clock = (ts) => new Date(ts * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

function lineElement({ kind, pieces }) {
  const inline = pieces.map(({ text, style = [] }) => {
    const tag = style.includes("code") ? "code" : style.includes("bold") ? "strong" : style.includes("italic") ? "em"
      : style.includes("strike") ? "s" : "span";
    return el(tag, style.includes("mention") ? { class: "mention" } : {}, text);
  });
  return el(kind === "code" ? "pre" : kind === "quote" ? "blockquote" : "p", { class: kind === "note" ? "line muted" : "line" }, ...inline);
}

/** The buttons of the bot below its message. */
function buttonsOf(item) {
  if (!item.buttons.length) return "";
  return el("div", { class: "app-buttons", role: "group", "aria-label": "The bot's buttons" }, ...item.buttons.map((one) => el("button", {
    type: "button", class: "quiet", "aria-label": one.label, "data-focus": `${one.action_id} ${one.text}`,
    click: () => act("click", { channel: item.channel, ts: item.ts, user: me().value, action_id: one.action_id, value: one.value }),
  }, one.text)));
}

function reactionsOf(item) {
  if (!item.reactions.length) return "";
  return el("div", { class: "reactions", role: "group", "aria-label": "Reactions" }, ...item.reactions.map((one) => {
    const mine = one.users.includes(item.me);
    const who = one.users.map(nameOf).join(", ");
    return el("button", {
      type: "button", class: "reaction", "aria-pressed": String(mine), title: who, "data-focus": `chip-${one.name}`,
      "aria-label": `${one.emoji} ${one.users.length}, by ${who}`, click: () => react(item, one.name),
    }, el("span", { "aria-hidden": "true" }, `${one.emoji} ${one.users.length}`));
  }));
}

/** The actions for a message. Arrow keys move between them, so that each message is one Tab stop. */
function toolbar(item, own, element) {
  const whose = `${titled(item.name)}'s message`;
  const buttons = emojiButtons.map((template) => {
    const { emoji } = template.dataset;
    return el("button", {
      type: "button", "aria-label": `React with ${template.textContent} to ${whose}`, title: `:${emoji}:`,
      class: emoji === trigger ? "trigger" : null, "data-focus": `react-${emoji}`, click: () => react(item, emoji),
    }, template.textContent);
  });
  const word = (label, run) => buttons.push(el("button", {
    type: "button", class: "word", "aria-label": `${label}: ${whose}`, "data-focus": label, click: run,
  }, label));
  if (!item.thread_ts || item.thread_ts === item.ts) word("Reply", () => { replyingTo = item.ts; render(); focusReply(); });
  if (own) {
    word("Edit", () => startEditing(item, element));
    word("Delete", () => act("delete", { channel: item.channel, ts: item.ts, user: item.me }));
  }
  const menu = menuOf(item, whose);
  word("More", ({ currentTarget }) => {
    menu.hidden = !menu.hidden;
    currentTarget.setAttribute("aria-expanded", String(!menu.hidden));
    if (!menu.hidden) menu.querySelector("button").focus();
  });
  buttons.at(-1).setAttribute("aria-expanded", "false");
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape") buttons.at(-1).click();
    if (event.key === "Escape") buttons.at(-1).focus();
  });
  buttons.forEach((button, place) => { button.tabIndex = place ? -1 : 0; });
  const bar = el("div", {
    class: "toolbar-row", role: "toolbar", "aria-label": `Actions for ${whose}`,
    keydown: (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const place = buttons.indexOf(document.activeElement);
      if (step && place >= 0) buttons[(place + step + buttons.length) % buttons.length].focus();
    },
  }, ...buttons);
  return el("div", { class: "toolbar" }, bar, menu);
}

/** The app's shortcuts, as in a message's menu in Slack. */
function menuOf(item, whose) {
  return el("div", { class: "menu", role: "group", "aria-label": `Shortcuts for ${whose}`, hidden: true },
    ...shortcuts.map((template) => el("button", {
      type: "button", "data-focus": template.dataset.shortcut,
      click: ({ currentTarget }) => {
        currentTarget.parentElement.parentElement.querySelector("[aria-expanded]").click();
        act("shortcut", { channel: item.channel, ts: item.ts, user: me().value, callback_id: template.dataset.shortcut });
      },
    }, template.textContent)));
}

const react = (item, emoji) => act("react", { channel: item.channel, ts: item.ts, user: me().value, emoji });

function replyForm({ channel, form: root, to }) {
  const close = () => { replyingTo = ""; render(); };
  const text = el("textarea", { rows: "1", "aria-label": `Reply to ${titled(to)} as ${titled(me().dataset.name)}`, required: true });
  const send = async () => {
    if (await act("post", { channel, user: me().value, text: text.value, thread_ts: root })) close();
  };
  const row = el("form", { class: "composer-row", submit: (event) => { event.preventDefault(); send(); } },
    text, el("button", { type: "submit", class: "primary" }, "Reply"),
    el("button", { type: "button", class: "quiet", click: close }, "Cancel"));
  sendOnEnter(text, row, close);
  const item = el("li", { class: "message reply reply-form" }, row);
  item.dataset.busy = "true";
  return item;
}

const focusReply = () => list.querySelector(".reply-form textarea")?.focus();

function startEditing(item, element) {
  const stop = () => {
    delete element.dataset.busy;
    element.dataset.json = "";
    render();
    list.querySelector(`[data-key="${CSS.escape(item.ts)}"] [data-focus="Edit"]`)?.focus();
  };
  const text = el("textarea", { rows: "2", "aria-label": "Edit the message" });
  text.value = item.text;
  const save = async () => {
    if (await act("edit", { channel: item.channel, ts: item.ts, user: item.me, text: text.value })) stop();
  };
  const form = el("form", { class: "composer-row", submit: (event) => { event.preventDefault(); save(); } },
    text, el("button", { type: "submit", class: "primary" }, "Save"),
    el("button", { type: "button", class: "quiet", click: stop }, "Cancel"));
  sendOnEnter(text, form, stop);
  element.dataset.busy = "true";
  element.querySelector(".message-body").replaceChildren(form);
  element.querySelector(".toolbar").remove();
  text.focus();
}

function sendOnEnter(text, form, cancel) {
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    } else if (event.key === "Escape" && cancel) {
      cancel();
    }
  });
}

/** Announce new answers to screen readers, and scroll to new messages. */
function announce(atEnd) {
  const first = known.size === 0;
  for (const channel of channels) {
    for (const one of [...channel.messages, ...channel.private]) {
      const key = `${channel.id} ${one.ts}`;
      if (known.has(key)) continue;
      known.add(key);
      const element = channel.id === current ? list.querySelector(`[data-key="${CSS.escape(one.ts)}"]`) : null;
      if (first) continue;
      if (one.is_bot) byId("news").textContent = `${titled(one.name)} in ${channel.name}: ${element?.querySelector(".line")?.textContent.split("\n")[0] ?? "a new message"}`;
      element?.scrollIntoView({ block: "nearest" });
    }
  }
  if (first || atEnd) list.scrollTop = list.scrollHeight;
}

const composer = byId("composer");
const composerText = byId("composer-text");
sendOnEnter(composerText, composer);
composer.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = composerText.value;
  composerText.value = "";
  const command = text.match(/^\/toxicity(?:\s+|$)(.*)$/s);
  const fields = { channel: current, user: me().value };
  const sent = command ? act("command", { ...fields, text: command[1] }) : act("post", { ...fields, text, thread_ts: "" });
  if (!(await sent)) composerText.value = text;
});
byId("people").addEventListener("change", () => { replyingTo = ""; render(); });
