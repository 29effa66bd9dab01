// A grid of cards of which only those in sight exist: 20,000 pictures scroll like 200.

import { decisionText, el, faultText, isWhole, number, plural, share, stars, svg, verdict } from "./element.js";

const OVERSCAN = 2; // rows above and below the sight
const SETTLE = 90; // ms without scrolling until pictures are asked for
const FAST = 1.5; // screens per SETTLE from which pictures wait

export class Grid {
  constructor(root, open) {
    this.root = root;
    this.open = open;
    this.items = [];
    this.current = 0;
    this.cards = new Map(); // index -> card
    this.spare = [];
    this.space = el("div", { class: "space", role: "presentation" });
    this.message = el("p", { class: "none" }, "No picture passes the filter.");
    root.append(this.space, this.message);
    this.top = 0;
    root.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.layout()).observe(root);
  }

  show(items) {
    const before = this.items[this.current];
    this.items = items;
    const at = before ? items.indexOf(before) : -1;
    this.current = Math.max(0, at >= 0 ? at : Math.min(this.current, items.length - 1));
    this.message.hidden = items.length > 0;
    if (this.columns === undefined) {
      this.layout();
      return;
    }
    this.#resize();
    for (const [index, card] of this.cards) { // cards that keep their picture do not load it again
      if (index < items.length) this.#fill(card, index, false);
    }
    this.draw(false);
  }

  layout() {
    const style = getComputedStyle(this.root);
    const gap = parseFloat(style.getPropertyValue("--card-gap")) || 12;
    const least = parseFloat(style.getPropertyValue("--card-width")) || 210;
    const width = this.root.clientWidth - 2 * gap;
    this.columns = Math.max(2, Math.floor((width + gap) / (least + gap)));
    this.width = Math.floor((width + gap) / this.columns - gap);
    this.height = Math.round(this.width * 0.75) + 88;
    this.gap = gap;
    this.#resize();
    for (const card of this.cards.values()) this.#free(card);
    this.cards.clear();
    this.draw(false);
  }

  #resize() {
    const rows = Math.ceil(this.items.length / this.columns);
    this.space.style.height = `${rows * (this.height + this.gap) + this.gap}px`;
  }

  // Draw what is in sight. hurry: leave out pictures that are not there yet.
  draw(hurry) {
    const step = this.height + this.gap;
    const rows = [this.root.scrollTop / step - OVERSCAN, (this.root.scrollTop + this.root.clientHeight) / step + OVERSCAN];
    const first = Math.max(0, Math.floor(rows[0])) * this.columns;
    const last = Math.min(this.items.length, Math.ceil(rows[1]) * this.columns);
    for (const [index, card] of this.cards) {
      if (index < first || index >= last) {
        this.#free(card);
        this.cards.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) {
      let card = this.cards.get(index);
      if (!card) {
        card = this.spare.pop() ?? this.#card();
        card.style.width = `${this.width}px`;
        card.style.height = `${this.height}px`;
        const left = this.gap + (index % this.columns) * (this.width + this.gap);
        card.style.transform = `translate(${left}px, ${this.gap + Math.floor(index / this.columns) * step}px)`;
        card.hidden = false;
        this.cards.set(index, card);
        this.#fill(card, index, hurry);
      } else if (!hurry && card.late) {
        this.#fill(card, index, false);
      }
    }
    this.#mark();
  }

  // Draw a picture again, where it is in sight.
  refresh(item) {
    for (const [index, card] of this.cards) {
      if (card.item === item) this.#fill(card, index, false);
    }
  }

  select(index, scroll = true) {
    if (!this.items.length) return;
    this.current = Math.min(Math.max(index, 0), this.items.length - 1);
    if (scroll) {
      const step = this.height + this.gap;
      const top = this.gap + Math.floor(this.current / this.columns) * step;
      if (top < this.root.scrollTop) this.root.scrollTop = top - this.gap;
      const bottom = top + step;
      if (bottom > this.root.scrollTop + this.root.clientHeight) this.root.scrollTop = bottom - this.root.clientHeight;
    }
    this.draw(false);
  }

  get item() {
    return this.items[this.current] ?? null;
  }

  #scrolled() {
    this.moved = Math.abs(this.root.scrollTop - this.top);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.top = this.root.scrollTop;
      this.draw(false);
    }, SETTLE);
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw(this.moved > FAST * this.root.clientHeight);
    });
  }

  #mark() {
    for (const [index, card] of this.cards) {
      card.classList.toggle("current", index === this.current);
      card.id = `card-${index}`;
    }
    if (this.cards.has(this.current)) this.root.setAttribute("aria-activedescendant", `card-${this.current}`);
    else this.root.removeAttribute("aria-activedescendant");
  }

  #free(card) {
    card.hidden = true;
    card.image.removeAttribute("src");
    card.removeAttribute("id");
    card.item = null;
    this.spare.push(card);
  }

  // The thumbnail of a card cannot be had; the card may show another picture by now.
  #lost({ item, image }) {
    if (!item || !image.complete) return;
    item.shown = false;
    this.refresh(item);
  }

  #card() {
    const card = el("div", { class: "card", role: "option", hidden: true });
    card.image = el("img", { alt: "", decoding: "async", draggable: "false", onerror: () => this.#lost(card) });
    card.boxes = svg("svg", { "aria-hidden": "true" });
    card.blank = el("span", { class: "blank" });
    card.badge = el("span", { class: "badge" });
    card.name = el("span", { class: "name" });
    card.score = el("span", { class: "number" });
    card.verdict = el("span", { class: "verdict" });
    card.decision = el("span", { class: "decision" });
    card.strip = el("span", { class: "strip" }, el("i"), el("b"));
    card.state = el("span", { class: "state" });
    card.faults = el("div", { class: "faults" });
    card.append(
      el("div", { class: "picture" }, card.blank, card.image, card.boxes, card.badge, card.decision),
      el("div", { class: "line" }, card.name, card.score),
      el("div", { class: "line" }, card.verdict, card.strip, card.state),
      card.faults,
    );
    for (const part of card.querySelectorAll("*")) part.setAttribute("aria-hidden", "true");
    card.addEventListener("click", () => {
      const index = this.items.indexOf(card.item);
      this.select(index, false);
      this.open(card.item);
    });
    this.space.append(card);
    return card;
  }

  #fill(card, index, hurry) {
    const item = this.items[index];
    const fresh = card.item !== item;
    card.item = item;
    card.late = hurry;
    if (fresh) card.image.removeAttribute("src");
    if (item.shown === false) card.image.removeAttribute("src");
    else if (!hurry && item.thumb && card.image.getAttribute("src") !== item.thumb) card.image.src = item.thumb;
    card.blank.textContent = item.shown === false ? "no preview" : "";
    card.name.textContent = item.name;
    card.score.textContent = item.score === null ? "" : number(item.score);
    card.verdict.textContent = item.score === null ? "" : item.label ?? verdict(item.score);
    card.verdict.className = `verdict ${card.verdict.textContent}`;
    card.decision.textContent = stars(item);
    card.badge.textContent = item.group === null ? "" : item.best ? `best of ${item.size}` : `one of ${item.size}`;
    card.badge.title = item.why;
    card.state.textContent = item.score !== null ? "" : stateText(item);
    card.state.classList.toggle("failed", item.state === "failed");
    card.faults.textContent = faultLine(item);
    card.faults.className = `faults s${Math.max(0, ...item.issues.map((issue) => issue.severity))}`;
    card.strip.hidden = item.score === null;
    if (item.score !== null) {
      const [bar, mark] = card.strip.children;
      bar.style.left = `${share(item.low ?? item.score)}%`;
      bar.style.width = `${share(item.high ?? item.score) - share(item.low ?? item.score)}%`;
      mark.style.left = `${share(item.score)}%`;
    }
    card.boxes.replaceChildren();
    const local = item.issues.filter((issue) => !isWhole(issue.region));
    if (item.width && local.length) {
      card.boxes.setAttribute("viewBox", `0 0 ${item.width} ${item.height}`);
      card.boxes.append(...local.map((issue) => boxShape(issue.region, item, `over s${issue.severity}`)));
    }
    card.classList.toggle("rejected", item.pick === "reject");
    card.classList.toggle("accepted", item.pick === "accept");
    card.classList.toggle("working", item.state === "working");
    card.setAttribute("aria-selected", String(item.marked));
    card.setAttribute("aria-label", spoken(item));
    card.setAttribute("aria-setsize", this.items.length);
    card.setAttribute("aria-posinset", index + 1);
  }
}

// A box over a picture of item.width x item.height px; a Region in fractions goes to the nearest pixel edges.
export function boxShape([x0, y0, x1, y1], { width, height }, kind) {
  const [left, right] = [Math.round(x0 * width), Math.round(x1 * width)];
  const [top, bottom] = [Math.round(y0 * height), Math.round(y1 * height)];
  return svg("rect", { class: kind, x: left, y: top, width: Math.max(1, right - left), height: Math.max(1, bottom - top) });
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
