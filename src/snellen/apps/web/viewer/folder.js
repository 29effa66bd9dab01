// A folder on the server's machine (snellen browse): rows and groups come from it, decisions go to it.

import { newItem } from "./items.js";
import { events, take } from "./uploads.js";

const LATER = 150; // ms in which decisions are gathered
const AGAIN = 2000; // ms until the server is asked again

export class Folder {
  constructor(items, token) {
    this.items = items;
    this.token = token;
    this.waiting = new Map(); // decisions that the server has not confirmed: id -> item
    items.addEventListener("decided", (event) => this.#decided(event.detail));
  }

  // Read the folder; then follow what changes in it.
  async open() {
    const album = await (await this.#ask("/api/album")).json();
    Object.assign(this, { folder: album.folder, model: album.model, naming: album.naming, file: album.decisions });
    this.items.add(album.pictures.map((row, id) => newItem(id, row.path.split("/").at(-1), {
      ...row, thumb: `/api/thumbnail/${id}`,
    })));
    this.#groups(album.groups);
    this.#follow(album.version);
  }

  async address(item, side = 1600) {
    return `/api/picture/${item.id}?side=${side}`;
  }

  // Assess a picture with its reasoning; rounds come one by one.
  async assess(item) {
    const before = item.state;
    item.state = item.score === null ? "working" : before;
    item.steps = [];
    item.assessment = null;
    this.items.changed(item);
    try {
      const response = await this.#ask(`/api/assess/${item.id}`, { method: "POST" });
      for await (const [name, data] of events(response)) {
        if (name === "round") item.steps[data.round - 1] = data.step;
        if (name === "assessment") take(item, data.assessment);
        if (name === "error") throw new Error(data.error.problem);
        this.items.changed(item);
      }
    } finally {
      if (item.state === "working") item.state = before; // it failed: r asks again
      this.items.changed(item);
    }
  }

  // The changes of sidecars that saving would make; with write, those that it made.
  async sidecars(naming, write) {
    await this.#send();
    const body = JSON.stringify({ naming, write });
    return (await this.#ask("/api/sidecars", { method: "POST", body, headers: { "Content-Type": "application/json" } })).json();
  }

  async #ask(address, options = {}) {
    for (;;) {
      const headers = { ...options.headers };
      if (this.token.value) headers.Authorization = `Bearer ${this.token.value}`;
      const response = await fetch(address, { ...options, headers });
      if (response.ok) return response;
      if (response.status === 401 && (await this.token.ask())) continue;
      const { error } = await response.json();
      throw new Error(`${error.problem}; ${error.remedy}`);
    }
  }

  // Follow the changes since `version`; a connection that ends is opened again, and then gets everything.
  async #follow(version) {
    for (let since = version; ; since = "") {
      try {
        const response = await this.#ask(`/api/changes?since=${since}`);
        if (since === "") this.#say("");
        for await (const [name, data] of events(response)) {
          if (name === "rows") this.#rows(data);
          if (name === "groups") this.#groups(data);
          if (name === "progress") this.#say(data.text);
        }
      } catch {
        this.#say("No connection to the server. Decisions wait until it is back.");
      }
      await new Promise((done) => setTimeout(done, AGAIN));
      if (this.waiting.size) this.#send();
    }
  }

  #say(text) {
    this.items.dispatchEvent(new CustomEvent("progress", { detail: { text } }));
  }

  // Take rows; a decision that was made here and is not sent yet stays.
  #rows(rows) {
    for (const { id, ...row } of rows) {
      const item = this.items.all[id];
      if (this.waiting.has(id)) {
        delete row.pick;
        delete row.stars;
      }
      Object.assign(item, row, { shown: null }); // a thumbnail that could not be had is asked for again
      if (rows.length < 100) this.items.changed(item);
    }
    if (rows.length >= 100) this.items.changed(null);
  }

  #groups(groups) {
    for (const item of this.items.all) Object.assign(item, { group: null, best: false, why: "", size: 1 });
    groups.forEach(({ pictures, best, why }, group) => {
      for (const id of pictures) Object.assign(this.items.all[id], { group, best: id === best, why, size: pictures.length });
    });
    this.items.changed(null);
  }

  #decided(item) {
    this.waiting.set(item.id, item);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#send(), LATER);
  }

  async #send() {
    clearTimeout(this.timer);
    if (!this.waiting.size) return;
    const sent = [...this.waiting.values()].map(({ id, pick, stars }) => ({ id, pick, stars }));
    const body = JSON.stringify(sent);
    try {
      await this.#ask("/api/decisions", { method: "PUT", body, headers: { "Content-Type": "application/json" } });
      for (const { id, pick, stars } of sent) { // one that was decided again meanwhile still waits
        const item = this.items.all[id];
        if (item.pick === pick && item.stars === stars) this.waiting.delete(id);
      }
    } catch (error) {
      this.#say(`Not saved: ${error.message}`);
    }
  }
}
