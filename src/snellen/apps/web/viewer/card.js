// A card of the grid. Few elements, as each costs at every scroll step, and only what differs is written. What few
// pictures have (a box, a group, a decision) gets its element when a picture of the card first has it.

import { boxShape, decisionText, el, faultText, isWhole, number, plural, share, stars, svg, verdict } from "./element.js";

export class Card {
  // lost: is called where the thumbnail cannot be had.
  constructor(parent, lost) {
    this.item = null;
    this.late = false; // its picture is not asked for yet
    this.written = new Map();
    this.image = el("img", { alt: "", decoding: "async", draggable: "false", onerror: () => lost(this) });
    this.picture = el("div", { class: "picture" }, this.image);
    for (const part of ["number", "name", "word", "strip", "faults"]) this[part] = el("span", { class: part });
    this.strip.append(el("i"), el("b"));
    this.element = el("div", { class: "card", role: "option" },
      this.picture, this.number, this.name, this.word, this.strip, this.faults);
    parent.append(this.element);
  }

  // Show a picture at a place of the grid; hurry: without its thumbnail, if it is not there yet.
  fill(item, hurry) {
    if (this.item !== item) this.#write("src", "", () => this.image.removeAttribute("src"));
    this.item = item;
    this.late = hurry && item.thumb !== null && item.shown !== false;
    if (item.shown === false) this.#write("src", "", () => this.image.removeAttribute("src"));
    else if (!hurry && item.thumb) this.#write("src", item.thumb, () => { this.image.src = item.thumb; });
    const scored = item.score !== null;
    const word = scored ? item.label ?? verdict(item.score) : stateText(item);
    this.#text("name", item.name);
    this.#text("number", scored ? number(item.score) : "");
    this.#text("word", word, scored ? `verdict ${word}` : item.state === "failed" ? "failed" : "");
    this.#text("faults", faultLine(item), `s${Math.max(0, ...item.issues.map((issue) => issue.severity))}`);
    this.#strip(item);
    this.#extra("blank", item.shown === false ? "no preview" : "");
    this.#extra("decision", stars(item));
    this.#extra("badge", item.group === null ? "" : item.best ? `best of ${item.size}` : `one of ${item.size}`, item.why);
    this.#boxes(item);
    for (const [name, on] of Object.entries({
      rejected: item.pick === "reject", accepted: item.pick === "accept", working: item.state === "working", unscored: !scored,
    })) this.#write(name, on, () => this.element.classList.toggle(name, on));
    this.#attribute("aria-selected", String(item.marked));
    this.#attribute("aria-label", spoken(item));
  }

  place(transform, index, count) {
    this.#write("transform", transform, () => { this.element.style.transform = transform; });
    this.#write("hidden", false, () => { this.element.hidden = false; });
    this.#attribute("aria-setsize", count);
    this.#attribute("aria-posinset", index + 1);
  }

  // Show nothing; the card waits for another picture.
  hide() {
    this.#write("src", "", () => this.image.removeAttribute("src"));
    this.#write("hidden", true, () => { this.element.hidden = true; });
  }

  set current(on) {
    this.#write("current", on, () => {
      this.element.classList.toggle("current", on);
      this.element.toggleAttribute("id", on);
      if (on) this.element.id = "current";
    });
  }

  // Write what differs from what was written before.
  #write(what, value, write) {
    if (this.written.get(what) === value) return;
    this.written.set(what, value);
    write();
  }

  #attribute(name, value) {
    this.#write(name, value, () => this.element.setAttribute(name, value));
  }

  #text(part, text, more = "") {
    this.#write(part, text, () => { this[part].textContent = text; });
    this.#write(`class of ${part}`, more, () => { this[part].className = `${part} ${more}`; });
  }

  // A label on the picture; without text there is none.
  #extra(part, text, title = "") {
    this.#write(part, text, () => {
      this[part] ??= this.picture.appendChild(el("span", { class: part }));
      this[part].textContent = text;
    });
    if (this[part]) this.#write(`title of ${part}`, title, () => { this[part].title = title; });
  }

  // The score on its interval on the scale.
  #strip(item) {
    const known = item.score !== null;
    const [low, high] = known ? [share(item.low ?? item.score), share(item.high ?? item.score)] : [0, 0];
    this.#write("strip", known ? `${low} ${high} ${item.score}` : "", () => {
      this.strip.hidden = !known;
      if (!known) return;
      const [bar, mark] = this.strip.children;
      bar.style.left = `${low.toFixed(2)}%`;
      bar.style.width = `${(high - low).toFixed(2)}%`;
      mark.style.left = `${share(item.score).toFixed(2)}%`;
    });
  }

  // Boxes of the faults that are not of the whole picture.
  #boxes(item) {
    const local = item.width ? item.issues.filter((issue) => !isWhole(issue.region)) : [];
    if (!local.length && !this.boxes) return;
    this.boxes ??= this.picture.appendChild(svg("svg", { "aria-hidden": "true" }));
    this.boxes.replaceChildren(...local.map((issue) => boxShape(issue.region, item, `over s${issue.severity}`)));
    if (local.length) this.boxes.setAttribute("viewBox", `0 0 ${item.width} ${item.height}`);
  }
}

// The last line of a card: the kinds of its faults, or why it has no score.
function faultLine(item) {
  if (item.state === "failed") return item.error?.problem ?? "";
  if (item.score === null || !item.listed) return "";
  return item.issues.map((issue) => issue.kind).join(", ") || "no faults";
}

function stateText(item) {
  if (item.state === "failed") return "no score";
  const last = item.steps.at(-1);
  const rating = last?.distribution?.mean ?? last?.rating;
  if (item.state === "working") return last ? `round ${item.steps.length}: ${number(rating)} …` : "looking …";
  return item.state === "unscored" ? "no score yet" : "waiting";
}

function spoken(item) {
  const parts = [item.name];
  if (item.score === null) parts.push([stateText(item), faultLine(item)].filter(Boolean).join(": "));
  else {
    parts.push(`score ${number(item.score)}, ${item.label ?? verdict(item.score)}`);
    if (item.low !== null) parts.push(`from ${number(item.low)} to ${number(item.high)}`);
    if (item.listed) parts.push(item.issues.length ? `faults: ${faultText(item.issues)}` : "no faults");
  }
  if (item.group !== null) parts.push(`${item.best ? "best of" : "one of"} ${plural(item.size, "picture")}`);
  if (decisionText(item)) parts.push(decisionText(item));
  return parts.join(". ");
}
