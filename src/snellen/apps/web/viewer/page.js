// The page of `snellen serve` and `snellen browse`: what is shown, and what keys and buttons do.

import { comparison } from "./compare.js";
import { article, closeUp, light, zoom } from "./detail.js";
import { byId, el, plural } from "./element.js";
import { csv, download, json, note, rejected, report } from "./export.js";
import { Folder } from "./folder.js";
import { Grid } from "./grid.js";
import { Items, selected } from "./items.js";
import { Uploads } from "./uploads.js";

const items = new Items();
const inFolder = document.documentElement.dataset.source === "folder";
const token = { value: "", ask: askToken };
const source = inFolder ? new Folder(items, token) : new Uploads(items, token);
const grid = new Grid(byId("grid"), open);
const filters = byId("filters");
const clear = filters.querySelector("[type=reset]");
const detail = byId("detail");
const beside = byId("compare");
const dialog = byId("dialog");
let group = null; // the group that alone is shown
let shown = null; // the picture in `detail`
let kept = null; // the place that was shown one to one: the next picture is shown there too
let unsaved = false;

// ---- what is shown

function wanted() {
  return Object.fromEntries(new FormData(filters));
}

function refilter() {
  grid.show(selected(items.all, wanted(), group));
  const first = (field) => (field.type === "select-one" ? field.selectedIndex === 0 : !field.value);
  clear.hidden = [...filters.querySelectorAll("select, input")].every(first);
  facts();
}

function facts() {
  const scored = items.all.filter((item) => item.score !== null).length;
  const failed = items.all.filter((item) => item.state === "failed").length;
  const left = items.all.filter((item) => item.state === "waiting" || item.state === "working").length;
  const parts = [
    grid.items.length === items.all.length ? plural(items.all.length, "picture")
      : `${grid.items.length.toLocaleString("en")} of ${plural(items.all.length, "picture")}`,
    scored < items.all.length ? `${scored.toLocaleString("en")} scored` : "", failed ? `${failed} failed` : "",
    !inFolder && left ? `${left} to come` : "", source.model ?? "",
  ];
  byId("facts").textContent = items.all.length ? parts.filter(Boolean).join(" · ") : "";
  byId("drop").hidden = inFolder || items.all.length > 0;
  for (const id of ["grid", "filters", "export"]) byId(id).hidden = !inFolder && !items.all.length;
  byId("dates").hidden = !items.all.some((item) => item.taken !== null);
  byId("add").hidden = inFolder || !items.all.length;
}

let planned = false;
items.addEventListener("changed", ({ detail: item }) => {
  if (item) {
    grid.refresh(item);
    if (item === shown && detail.open) fillDetail();
  }
  if (planned) return;
  planned = true;
  setTimeout(() => {
    planned = false;
    kinds();
    if (item === null || filters.elements.sort.value !== "added" || document.activeElement !== byId("grid")) refilter();
    else facts();
  }, 120);
});
items.addEventListener("decided", () => { unsaved = true; });
items.addEventListener("progress", ({ detail: { text } }) => note(text));
filters.addEventListener("input", refilter);
filters.addEventListener("reset", () => setTimeout(refilter));
filters.addEventListener("submit", (event) => event.preventDefault());

function kinds() {
  const select = filters.elements.kind;
  const known = new Set([...select.options].map((option) => option.value));
  for (const kind of new Set(items.all.flatMap((item) => item.issues.map((issue) => issue.kind)))) {
    if (!known.has(kind)) select.append(el("option", { value: kind }, kind));
  }
}

// ---- one picture, two pictures

async function open(item) {
  if (!item) return;
  shown = item;
  kept = detail.open ? closeUp(detail) ?? kept : null;
  detail.replaceChildren(el("p", { class: "dim" }, "…"));
  if (!detail.open) detail.showModal();
  shown.address = await source.address(item);
  if (shown === item) fillDetail();
}

// A button that does what a key does. more: further attributes.
function button(item, does, text, label, more = {}) {
  return el("button", { type: "button", "data-does": does, "aria-label": label, title: label, onclick: () => act(does, item), ...more }, text);
}

function ownDecision(item) {
  const pressed = (on) => ({ "aria-pressed": String(on) });
  return el("div", { class: "decide", role: "group", "aria-label": "Your decision" },
    button(item, "accept", "✓ accept", "accept (p)", pressed(item.pick === "accept")),
    button(item, "reject", "✕ reject", "reject (x)", pressed(item.pick === "reject")),
    el("span", { class: "stars" }, [1, 2, 3, 4, 5].map((count) => button(item, String(count), count <= item.stars ? "★" : "☆",
      `${plural(count, "star")} (${count})`, pressed(count <= item.stars)))));
}

// What a picture of a folder has below the decision: its group, and the way to the reasoning.
function inFolderOnly(item) {
  const grouped = item.group !== null;
  const reason = inFolder && !item.assessment && item.state !== "working";
  return [
    grouped ? el("p", { class: "dim" }, `One of ${plural(item.size, "picture")} of a scene. ${proposal(item)}`) : null,
    grouped || reason ? el("div", { class: "decide" },
      grouped ? button(item, "group", "Show the group", "show the group (g)") : null,
      reason ? button(item, "assess", "Show the reasoning", "assess with reasoning (r)") : null) : null,
  ];
}

function whole(item) {
  return () => source.address(item, Math.max(item.width, item.height));
}

function fillDetail() {
  const item = shown;
  const at = grid.items.indexOf(item);
  const place = detail.scrollTop;
  const near = closeUp(detail) ?? kept;
  const focused = document.activeElement?.dataset?.does;
  detail.replaceChildren(
    el("div", { class: "above" }, button(item, "before", "←", "picture before (←)", { disabled: at <= 0 }),
      el("span", { class: "dim" }, at >= 0 ? `${at + 1} of ${grid.items.length}` : ""),
      button(item, "next", "→", "next picture (→)", { disabled: at < 0 || at >= grid.items.length - 1 }),
      button(item, "mark", item.marked ? "Chosen to compare" : "Compare", "choose for a comparison (c)"),
      button(item, "close", "Close", "close (Esc)")),
    article(item, item.address, [ownDecision(item), ...inFolderOnly(item)], whole(item)));
  light(detail);
  kept = null;
  if (near && detail.querySelector(".photo[title]")) zoom(detail.querySelector(".photo"), item, whole(item), near);
  detail.scrollTop = place;
  if (focused) detail.querySelector(`[data-does="${focused}"]`)?.focus();
}

function mark(item) {
  item.marked = !item.marked;
  const marked = items.all.filter((one) => one.marked);
  items.changed(item);
  if (marked.length === 2) compare(marked);
  else note(marked.length === 1 ? `${marked[0].name} is chosen; choose another with c to compare.` : "");
}

async function compare(pair) {
  for (const item of pair) {
    item.marked = false;
    items.changed(item);
  }
  note("");
  if (detail.open) detail.close();
  const addresses = await Promise.all(pair.map((item) => source.address(item)));
  beside.replaceChildren(
    el("div", { class: "above" }, el("h2", {}, "Side by side"), el("button", { type: "button", onclick: () => beside.close() }, "Close")),
    comparison(pair, addresses));
  beside.showModal();
}

// ---- keys and buttons

async function act(does, item) {
  const move = (steps) => {
    grid.select((detail.open ? grid.items.indexOf(shown) : grid.current) + steps);
    if (detail.open) open(grid.item);
  };
  if (does === "next") move(1);
  else if (does === "before") move(-1);
  else if (does === "down") move(grid.columns);
  else if (does === "up") move(-grid.columns);
  else if (does === "first") grid.select(0);
  else if (does === "last") grid.select(grid.items.length - 1);
  else if (does === "help") help();
  else if (does === "close" && detail.open) detail.close();
  else if (does === "close" && group !== null) showGroup(null);
  else if (!item) return;
  else if (does === "open") open(item);
  else if (does === "accept" || does === "reject") items.decide(item, item.pick === does ? null : does, item.stars);
  else if (/^[0-5]$/.test(does)) items.decide(item, item.pick === "reject" ? null : item.pick, Number(does));
  else if (does === "clear") items.decide(item, null, 0);
  else if (does === "mark") mark(item);
  else if (does === "zoom" && detail.querySelector(".photo[title]")) zoom(detail.querySelector(".photo"), item, whole(item));
  else if (does === "group" && item.group !== null) showGroup(group === null ? item : null);
  else if (does === "assess" && inFolder && !item.assessment && item.state !== "working") {
    await source.assess(item).catch((error) => note(error.message));
  }
}

// Which picture of the group is proposed, and why.
function proposal(item) {
  const best = items.group(item).find((one) => one.best);
  return `Proposed: ${best ? `${best.name}, ${best.why}` : "none, no picture has a score"}.`;
}

function showGroup(item) {
  if (detail.open) detail.close();
  group = item === null ? null : item.group;
  note(item === null ? "" : `${plural(item.size, "picture")} of one scene. ${proposal(item)} g or Esc leads back.`);
  refilter();
  byId("grid").focus();
}

const KEYS = {
  ArrowRight: "next", ArrowLeft: "before", ArrowDown: "down", ArrowUp: "up", Home: "first", End: "last", Enter: "open",
  " ": "open", p: "accept", x: "reject", u: "clear", c: "mark", z: "zoom", g: "group", r: "assess", "?": "help",
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || beside.open || dialog.open) return;
  if (event.target.closest("input, select, textarea")) return;
  const does = /^[0-5]$/.test(event.key) ? event.key : event.key === "Escape" && !detail.open ? "close" : KEYS[event.key];
  if (!does) return;
  if ((event.key === "Enter" || event.key === " ") && event.target !== byId("grid")) return; // a button or a link
  if (detail.open && (does === "up" || does === "down" || does === "first" || does === "last")) return; // scrolls
  event.preventDefault();
  act(does, detail.open ? shown : grid.item);
});

for (const one of [detail, beside]) {
  one.addEventListener("click", (event) => { if (event.target === one) one.close(); });
  one.addEventListener("close", () => byId("grid").focus());
}

function say(title, ...content) {
  const buttons = content.filter((part) => part instanceof HTMLButtonElement); // beside Close
  dialog.replaceChildren(el("h2", { id: "dialog-title" }, title), ...content.filter((part) => !buttons.includes(part)),
    el("div", { class: "above" }, el("button", { type: "button", onclick: () => dialog.close() }, "Close"), buttons));
  if (!dialog.open) dialog.showModal();
}

function help() {
  const rows = [
    ["arrows, Home, End", "go from picture to picture"], ["Enter", "open a picture; Esc closes it"],
    ["1 to 5, 0", "your stars; none"], ["p", "accept"], ["x", "reject"], ["u", "undo the decision"],
    ["z", "in an open picture: pixels one to one, and back; or a click"],
    ["c", "choose a picture to compare; the second opens both side by side"],
    ...(inFolder ? [["g", "show the group of near-duplicates; g or Esc leads back"], ["r", "assess again, with reasoning"]] : []),
  ];
  say("Keyboard", el("table", {}, el("tbody", {}, rows.map(([keys, what]) => el("tr", {}, el("th", { scope: "row" }, keys), el("td", {}, what))))));
}

byId("keys").addEventListener("click", help);
byId("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

document.addEventListener("click", (event) => {
  if (!event.target.closest("#export")) byId("export").open = false;
});

byId("export").addEventListener("click", async (event) => {
  const kind = event.target.dataset.export;
  if (!kind) return;
  byId("export").open = false;
  const list = grid.items;
  if (kind === "csv") download("snellen.csv", "text/csv", csv(list));
  if (kind === "json") download("snellen.json", "application/json", json(list));
  if (kind === "rejected") download("rejected.txt", "text/plain", rejected(list));
  if (kind === "html") {
    download("snellen.html", "text/html", await report(list, source, note));
    note("");
  }
  if (kind === "csv" || kind === "json") unsaved = false;
});

// ---- saving decisions of a folder

async function save(naming, write) {
  const changes = await source.sidecars(naming, write).catch((error) => ({ problem: error.message }));
  if (changes.problem) {
    say("Not saved", el("p", { class: "failed" }, changes.problem));
    return;
  }
  const count = (what) => changes.filter((change) => change.what === what).length;
  const todo = count("create") + count("update");
  const choice = el("label", {}, "Names ", el("select", { onchange: (event) => save(event.target.value, false) },
    el("option", { value: "full", selected: naming === "full" }, "IMG.CR2.xmp (darktable, digiKam)"),
    el("option", { value: "base", selected: naming === "base" }, "IMG.xmp (Lightroom, Capture One)")));
  const rows = changes.filter((change) => change.what !== "same").slice(0, 500).map((change) => el("tr", {},
    el("td", {}, change.sidecar), el("td", {}, change.what), change.problem ? el("td", { class: "failed", colspan: 2 }, change.problem)
      : [el("td", {}, change.before), el("td", {}, change.after)]));
  const text = write ? `${plural(todo, "sidecar")} written` : `${count("create")} to create, ${count("update")} to update`;
  if (write && !count("refused")) unsaved = false;
  say(write ? "Saved" : "Save decisions as XMP sidecars",
    el("p", {}, `${text}, ${count("same")} as they are, ${count("refused")} refused. No picture is moved, changed or deleted.`),
    write ? "" : choice,
    rows.length ? el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {},
      ["Sidecar", "", "Before", "After"].map((head) => el("th", { scope: "col" }, head)))), el("tbody", {}, rows))) : "",
    write || !todo ? "" : el("button", { type: "button", class: "main", onclick: () => save(naming, true) }, `Write ${plural(todo, "sidecar")}`));
}

byId("save").addEventListener("click", () => save(source.naming, false));

function askToken() {
  return new Promise((done) => {
    const field = el("input", { type: "password", autocomplete: "off", "aria-label": "token" });
    say("This server asks for a token", el("form", { onsubmit: (event) => {
      event.preventDefault();
      token.value = field.value;
      dialog.close();
    } }, field, el("button", { class: "main" }, "Send")));
    dialog.addEventListener("close", () => done(Boolean(token.value)), { once: true });
  });
}

// ---- where pictures come from

if (inFolder) {
  byId("save").hidden = false;
  byId("grouping").hidden = false;
  source.open().then(() => {
    document.title = `${source.folder} – Snellen`;
    refilter();
    byId("grid").focus();
  }, (error) => note(error.message));
} else {
  const add = (files) => {
    if (!files.length) return;
    source.add([...files]);
    byId("grid").focus();
  };
  for (const id of ["files", "first"]) {
    byId(id).addEventListener("change", (event) => {
      add(event.target.files);
      event.target.value = "";
    });
  }
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragging");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    const dropped = [...event.dataTransfer.items].filter((one) => one.kind === "file");
    const files = dropped.filter((one) => !one.webkitGetAsEntry()?.isDirectory).map((one) => one.getAsFile());
    note(files.length < dropped.length ? "A folder is not taken. Choose the pictures in it, or look at it with snellen browse." : "");
    add(files);
  });
  document.addEventListener("paste", (event) => add(event.clipboardData.files));
}
addEventListener("beforeunload", (event) => {
  if (unsaved && !(inFolder && source.file)) event.preventDefault();
});
refilter();
