// A grid of cards of which only those in sight exist: 20,000 pictures scroll like 200.

import { Card } from "./card.js";
import { el } from "./element.js";

const OVERSCAN = 2; // rows above and below the sight
const SETTLE = 90; // ms without scrolling until everything is drawn
const FAST = 4; // screens a second from which pictures, and rows that are not in sight yet, wait

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
    [this.top, this.time, this.speed] = [0, 0, 0];
    root.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    root.addEventListener("click", (event) => this.#clicked(event.target.closest(".card")));
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
    this.space.style.setProperty("--wide", `${this.width}px`);
    this.space.style.setProperty("--high", `${this.height}px`);
    this.#resize();
    this.spare.push(...this.cards.values());
    this.cards.clear();
    this.draw(false);
  }

  #resize() {
    const rows = Math.ceil(this.items.length / this.columns);
    this.space.style.height = `${rows * (this.height + this.gap) + this.gap}px`;
  }

  // Draw what is in sight. hurry: leave out pictures that are not there yet, and rows that are not in sight.
  draw(hurry) {
    const step = this.height + this.gap;
    const more = hurry ? 0 : OVERSCAN;
    const rows = [this.root.scrollTop / step - more, (this.root.scrollTop + this.root.clientHeight) / step + more];
    const first = Math.max(0, Math.floor(rows[0])) * this.columns;
    const last = Math.min(this.items.length, Math.ceil(rows[1]) * this.columns);
    for (const [index, card] of this.cards) {
      if (index < first || index >= last) {
        this.spare.push(card);
        this.cards.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) {
      const card = this.cards.get(index);
      if (!card) {
        const other = this.spare.pop() ?? new Card(this.space, (lost) => this.#lost(lost));
        this.cards.set(index, other);
        this.#fill(other, index, hurry);
      } else if (!hurry && card.late) {
        this.#fill(card, index, false);
      }
    }
    for (const card of this.spare) card.hide();
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
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.draw(false), SETTLE);
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame((now) => {
      this.waiting = false;
      const seconds = Math.max(1, now - this.time) / 1000;
      const speed = Math.abs(this.root.scrollTop - this.top) / this.root.clientHeight / seconds;
      this.speed = 1000 * seconds > SETTLE ? speed : (this.speed + speed) / 2; // a wheel moves in jumps
      [this.top, this.time] = [this.root.scrollTop, now];
      this.draw(this.speed > FAST);
    });
  }

  #clicked(element) {
    for (const card of element ? this.cards.values() : []) {
      if (card.element !== element) continue;
      this.select(this.items.indexOf(card.item), false);
      this.open(card.item);
      return;
    }
  }

  #mark() {
    for (const card of this.spare) card.current = false;
    for (const [index, card] of this.cards) {
      if (index !== this.current) card.current = false; // before another one gets the id
    }
    const card = this.cards.get(this.current);
    if (card) card.current = true;
    if (card) this.root.setAttribute("aria-activedescendant", card.element.id);
    else this.root.removeAttribute("aria-activedescendant");
  }

  // The thumbnail of a card cannot be had; the card may show another picture by now.
  #lost({ item, image }) {
    if (!item || !image.complete) return;
    item.shown = false;
    this.refresh(item);
  }

  #fill(card, index, hurry) {
    const left = this.gap + (index % this.columns) * (this.width + this.gap);
    const top = this.gap + Math.floor(index / this.columns) * (this.height + this.gap);
    card.place(`translate(${left}px, ${top}px)`, index, this.items.length);
    card.fill(this.items[index], hurry);
  }
}
