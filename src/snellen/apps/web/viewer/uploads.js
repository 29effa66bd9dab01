// Pictures that are dropped, pasted or picked: each is sent once, and the events of the answer are read as they come.

import { captureTime } from "./exif.js";
import { newItem } from "./items.js";

const AT_ONCE = 3; // pictures under way; the server makes batches of them
const SMALL = 480; // px, long side of the copies in the grid
const PATIENCE = 5; // times that a busy server is asked again

export class Uploads {
  constructor(items, token) {
    this.items = items;
    this.token = token;
    this.queue = [];
    this.running = 0;
    this.model = null;
  }

  add(files) {
    const start = this.items.all.length;
    const added = files.map((file, n) => newItem(start + n, file.name || `pasted ${start + n + 1}`, {
      file, path: file.webkitRelativePath || file.name || `pasted ${start + n + 1}`, state: "waiting",
    }));
    this.items.add(added);
    this.queue.push(...added);
    this.#thumbnails(added);
    while (this.running < Math.min(AT_ONCE, this.queue.length + this.running)) this.#run();
  }

  // Address of the picture for this browser, null where it cannot show the format.
  async address(item) {
    if (item.shown === false) return null;
    item.address ??= URL.createObjectURL(item.file);
    return item.address;
  }

  async assess() {} // every picture is assessed when it is added

  async #run() {
    this.running += 1;
    for (let item = this.queue.shift(); item; item = this.queue.shift()) {
      await this.#thumbnail(item);
      item.state = "working";
      this.items.changed(item);
      try {
        await this.#send(item);
      } catch (error) {
        fail(item, { code: "no_answer", problem: `no answer (${error.message})`, remedy: "check that the server runs; add it again" });
      }
      this.items.changed(item);
    }
    this.running -= 1;
  }

  // Show pictures that wait, too.
  async #thumbnails(added) {
    for (const item of added) await this.#thumbnail(item);
  }

  #thumbnail(item) {
    item.small ??= this.#small(item);
    return item.small;
  }

  async #small(item) {
    item.taken = await captureTime(item.file);
    try {
      const image = await createImageBitmap(item.file);
      [item.width, item.height] = [image.width, image.height];
      const shrink = Math.min(1, SMALL / Math.max(image.width, image.height));
      const canvas = new OffscreenCanvas(Math.max(1, Math.round(image.width * shrink)), Math.max(1, Math.round(image.height * shrink)));
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      image.close();
      item.thumb = URL.createObjectURL(await canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 }));
    } catch {
      item.shown = false; // RAW, HEIC, TIFF: the server reads what this browser does not
    }
    this.items.changed(item);
  }

  async #send(item) {
    for (let time = 1; ; time += 1) {
      const form = new FormData();
      form.append("picture", item.file, item.name);
      const headers = { Accept: "text/event-stream" };
      if (this.token.value) headers.Authorization = `Bearer ${this.token.value}`;
      const response = await fetch("/v1/assess", { method: "POST", body: form, headers });
      if (response.ok) {
        for await (const [name, data] of events(response)) this.#take(item, name, data);
        if (item.state === "working") throw new Error("the connection ended early");
        return;
      }
      if (response.status === 401 && (await this.token.ask())) continue;
      if (response.status === 429 && time <= PATIENCE) {
        await new Promise((done) => setTimeout(done, 1000 * Number(response.headers.get("Retry-After") ?? 1)));
        continue;
      }
      const text = await response.text();
      let problem = { code: String(response.status), problem: response.statusText, remedy: "" };
      try {
        problem = JSON.parse(text).error;
      } catch { /* no JSON: the status says it */ }
      fail(item, problem);
      return;
    }
  }

  #take(item, name, data) {
    if (name === "round") item.steps[data.round - 1] = data.step;
    if (name === "assessment") take(item, data.assessment);
    if (name === "error") fail(item, data.error);
    if (name === "assessment" && data.assessment.provenance) {
      const known = data.assessment.provenance;
      this.model = `${known.model} ${known.model_version}`;
    }
    this.items.changed(item);
  }
}

// Take an assessment as `to_dict()` gives it.
export function take(item, assessment) {
  item.assessment = assessment;
  item.steps = assessment.steps;
  const size = assessment.provenance?.picture;
  if (size) [item.width, item.height] = [size.width, size.height];
  if (assessment.error) {
    fail(item, assessment.error);
    return;
  }
  [item.low, item.high] = assessment.interval ?? [null, null];
  item.listed = item.steps.at(-1)?.tool !== null; // there is an answer, not only a rating
  [item.score, item.label, item.issues, item.state] = [assessment.score, assessment.label, assessment.issues, "done"];
  item.possible = assessment.possible_faults;
}

function fail(item, error) {
  item.state = "failed";
  item.error = error;
}

// The events of a response: [name, data] each.
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += part.value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const lines = Object.fromEntries(block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
      if (lines.event) yield [lines.event, JSON.parse(lines.data)];
    }
  }
}
