// Files to download: table, everything, report, names of rejected pictures. Made here; nothing is sent.

import { article } from "./detail.js";
import { byId, decisionText, el, faultText, number, plural, stars, taken, verdict } from "./element.js";

const PICTURES = 200; // a report shows so many pictures in full; further ones are in its table only
const SIDE = 1024;

const COLUMNS = {
  path: (item) => item.path,
  score: (item) => item.score ?? "",
  low: (item) => item.low ?? "",
  high: (item) => item.high ?? "",
  label: (item) => item.label ?? "",
  issues: (item) => (item.score === null || !item.listed ? "" : JSON.stringify(item.issues.map(({ kind, severity, region }) => ({ kind, severity, region })))),
  width: (item) => item.width ?? "",
  height: (item) => item.height ?? "",
  taken,
  pick: (item) => item.pick ?? "",
  stars: (item) => item.stars || "",
  group: (item) => item.group ?? "",
  best: (item) => (item.group === null ? "" : item.best),
  error: (item) => item.error?.code ?? "",
  problem: (item) => item.error?.problem ?? "",
};

export function csv(items) {
  const cell = (value) => (/[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  const lines = items.map((item) => Object.values(COLUMNS).map((column) => cell(column(item))).join(","));
  return [Object.keys(COLUMNS).join(","), ...lines, ""].join("\r\n");
}

export function json(items) {
  return JSON.stringify(items.map((item) => ({
    path: item.path, pick: item.pick, stars: item.stars, taken: taken(item) || null, group: item.group, best: item.best,
    ...(item.assessment ?? {
      name: item.name, score: item.score, interval: item.low === null ? null : [item.low, item.high], label: item.label,
      issues: item.issues, steps: [], error: item.error,
    }),
  })), null, 1);
}

export function rejected(items) {
  return items.filter((item) => item.pick === "reject").map((item) => `${item.path}\n`).join("");
}

// A page that loads nothing from elsewhere, with styles and pictures inside.
export async function report(items, source, progress) {
  const styles = await Promise.all(["theme.css", "page.css"].map((name) => fetch(`/static/${name}`).then((got) => got.text())));
  const scored = items.filter((item) => item.score !== null);
  const shown = items.slice(0, PICTURES);
  const articles = [];
  for (const [n, item] of shown.entries()) {
    progress(`Report: picture ${n + 1} of ${shown.length}`);
    articles.push(article(item, await dataAddress(await source.address(item, SIDE))));
  }
  const mean = scored.reduce((sum, item) => sum + item.score, 0) / scored.length;
  const facts = [`${plural(scored.length, "picture")} scored`, scored.length > 1 ? `mean ${number(mean)}` : "",
    items.length > PICTURES ? `the first ${PICTURES} in full` : "", source.model ?? ""];
  const table = el("table", {}, el("thead", {}, el("tr", {},
    ["Picture", "Score", "90 % interval", "Verdict", "Issues", "Own decision"].map((head) => el("th", { scope: "col" }, head)))),
  el("tbody", {}, items.map((item) => el("tr", {},
    el("th", { scope: "row" }, item.path),
    item.score === null ? el("td", { colspan: 4 }, item.error?.problem ?? "no score") : [
      el("td", {}, number(item.score)),
      el("td", {}, item.low === null ? "" : `${number(item.low)} to ${number(item.high)}`),
      el("td", {}, item.label ?? verdict(item.score)),
      el("td", {}, faultText(item.issues) || (item.listed ? "none" : "not looked for"))],
    el("td", {}, decisionText(item) ? `${stars(item)} ${decisionText(item)}` : "")))));
  const body = el("div", {}, el("header", {}, el("h1", {}, "Snellen report"),
    el("p", { class: "dim" }, facts.filter(Boolean).join(" · "))), table, ...articles);
  // The head is text: this page's policy forbids styles inside a document, also inside one that is not shown.
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Snellen report</title>
<style>
${styles.join("")}</style>
</head>
<body class="report">
${body.innerHTML}
</body>
</html>
`;
}

async function dataAddress(address) {
  if (!address) return null;
  const image = new Image();
  image.src = address;
  try {
    await image.decode();
  } catch {
    return null;
  }
  const shrink = Math.min(1, SIDE / Math.max(image.naturalWidth, image.naturalHeight));
  const canvas = el("canvas", { width: Math.round(shrink * image.naturalWidth), height: Math.round(shrink * image.naturalHeight) });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.85);
}

export function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = el("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

// Say something in the line above the pictures; nothing hides it.
export function note(text) {
  byId("note").textContent = text;
  byId("note").hidden = !text;
}
