// Elements are made here and nowhere from text, so that a name or a model's reply is never read as HTML.

const SVG = "http://www.w3.org/2000/svg";

// A new element. attributes: of the element; on...: listeners; style: an object; null and false are left out.
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) node.style.setProperty(key, one);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function byId(id) {
  return document.getElementById(id);
}

const SEVERITIES = [1, 2, 3, 4, 5];
const VERDICTS = [[1.8, "bad"], [2.6, "poor"], [3.4, "fair"], [4.2, "good"], [Infinity, "excellent"]];

export function verdict(score) {
  return VERDICTS.find(([limit]) => score < limit)[1];
}

export function zones() {
  return VERDICTS.map(([limit, word], n) => [n ? VERDICTS[n - 1][0] : 1, Math.min(limit, 5), word]);
}

export function number(value) {
  return value.toFixed(2);
}

export function signed(value) {
  return (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
}

export function plural(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

// Part of the 1..5 scale in percent.
export function share(score) {
  return 25 * (score - 1);
}

export function stars(item) {
  return item.pick === "reject" ? "✕" : (item.pick === "accept" ? "✓ " : "") + "★".repeat(item.stars);
}

export function decisionText(item) {
  const parts = [item.pick ? `${item.pick}ed` : "", item.stars ? plural(item.stars, "star") : ""];
  return parts.filter(Boolean).join(", ");
}

export function isWhole(region) {
  return region.every((side, at) => side === (at < 2 ? 0 : 1));
}

// Dots for a severity, 1 to 5; "–" for none.
export function severityDots(severity) {
  if (!severity) return "–";
  return el("span", { class: `severity s${severity}`, role: "img", "aria-label": `severity ${severity} of 5` },
    SEVERITIES.map((level) => el("i", { class: level <= severity ? "on" : null })));
}

export function faultText(issues) {
  return issues.map((issue) => `${issue.kind} ${issue.severity}`).join(", ");
}

export function taken(item) {
  return item.taken === null ? "" : new Date(1000 * item.taken).toISOString().slice(0, 19).replace("T", " ");
}

// A box over a picture of item.width x item.height px; a Region in fractions goes to the nearest pixel edges.
export function boxShape([x0, y0, x1, y1], { width, height }, kind) {
  const [left, right] = [Math.round(x0 * width), Math.round(x1 * width)];
  const [top, bottom] = [Math.round(y0 * height), Math.round(y1 * height)];
  return svg("rect", { class: kind, x: left, y: top, width: Math.max(1, right - left), height: Math.max(1, bottom - top) });
}
