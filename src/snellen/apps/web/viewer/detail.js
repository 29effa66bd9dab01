// One picture in full: the picture with its boxes, the result, and every round, laid out as in a report.

import {
  boxShape, decisionText, el, isWhole, number, severityDots, signed, stars, svg, taken, verdict, zones,
} from "./element.js";

const PLOT = { width: 420, height: 118, margin: 14, axis: 88 };
const SECTIONS = ["Image Quality Summary", "Directions for Improvement", "Issues to Avoid", "Decision & Rationale"];
const LATER = ["Crop Inspection Summary", ...SECTIONS.slice(1, 3), "Final Decision & Rationale"];

// The article of a picture. address: of the picture; more: elements below the result; whole: as in photo.
export function article(item, address, more = [], whole = null) {
  const facts = [item.width ? `${item.width} × ${item.height} px` : "", taken(item), ...(item.assessment?.notes ?? [])];
  const rounds = item.assessment?.steps ?? item.steps;
  return el("article", {},
    el("header", {}, el("h2", {}, item.path), el("p", { class: "dim" }, facts.filter(Boolean).join(" · "))),
    el("div", { class: "top" },
      photo(item, address, rounds, whole),
      el("div", { class: "result" }, ...result(item), ...more, crops(item, address, rounds))),
    rounds.map((step, n) => round(item, address, rounds, n)));
}

// The picture with the issues (solid, numbered) and the crops of later rounds (dashed). whole: gives the address of all
// its pixels, for a click that shows them one to one.
export function photo(item, address, rounds = [], whole = null) {
  const figure = el("figure", { class: "photo" });
  const blank = (why) => figure.replaceChildren(el("p", { class: "blank" }, why));
  if (!address) {
    blank(item.state === "failed" ? "no preview" : "This browser shows no picture of this format.");
    return figure;
  }
  const plate = el("div", { class: "plate" }, el("img", { src: address, alt: item.name, onerror: () => blank("no preview") }));
  figure.append(plate);
  if (!item.width) return figure;
  figure.style.setProperty("--ratio", item.width / item.height);
  const unit = Math.max(item.width, item.height) / 48;
  const side = 1.7 * unit;
  const tags = []; // corners of the numbers; one that would cover another moves to its right
  const overlay = svg("svg", { viewBox: `0 0 ${item.width} ${item.height}`, "aria-hidden": "true" });
  item.issues.forEach((issue, n) => {
    let [left, top] = [Math.round(issue.region[0] * item.width), Math.round(issue.region[1] * item.height)];
    while (tags.some(([x, y]) => Math.abs(left - x) < side && Math.abs(top - y) < side)) left += side;
    tags.push([left, top]);
    overlay.append(svg("g", { class: `issue s${issue.severity}`, "data-issue": n + 1 },
      svg("title", {}, `${issue.kind}, severity ${issue.severity}`),
      isWhole(issue.region) ? null : [boxShape(issue.region, item, "under"), boxShape(issue.region, item, "over")],
      svg("rect", { class: "tag", x: left, y: top, width: side, height: side }),
      svg("text", { x: left + 0.5 * side, y: top + 1.27 * unit, "font-size": 1.2 * unit }, n + 1)));
  });
  overlay.append(...rounds.slice(1).map((step) => boxShape(step.region, item, "crop")));
  plate.append(overlay);
  if (whole) {
    figure.title = "click: pixels one to one (z)";
    figure.addEventListener("click", ({ clientX, clientY }) => {
      const at = figure.getBoundingClientRect();
      zoom(figure, item, whole, [(clientX - at.left) / at.width, (clientY - at.top) / at.height]);
    });
  }
  return figure;
}

// Show the pixels of a picture one to one around a point, in fractions of it; or the whole again.
export async function zoom(figure, item, whole, [x, y] = [0.5, 0.5]) {
  const close = figure.classList.toggle("close");
  const plate = figure.querySelector(".plate");
  for (const side of ["width", "height"]) plate.style[side] = close ? `${item[side] / devicePixelRatio}px` : "";
  figure.scrollTo(x * plate.offsetWidth - figure.clientWidth / 2, y * plate.offsetHeight - figure.clientHeight / 2);
  if (close) plate.querySelector("img").src = await whole();
}

// The middle of what is shown one to one, in fractions of the picture; null where all of it is shown.
export function closeUp(root) {
  const figure = root.querySelector(".photo.close");
  if (!figure) return null;
  const plate = figure.querySelector(".plate");
  return [(figure.scrollLeft + figure.clientWidth / 2) / plate.offsetWidth, (figure.scrollTop + figure.clientHeight / 2) / plate.offsetHeight];
}

function result(item) {
  if (item.score === null) {
    if (item.state !== "failed") return [el("p", { class: "dim" }, item.state === "unscored" ? "no score yet" : "looking …")];
    const { problem = "", remedy = "" } = item.error ?? {};
    return [el("p", { class: "noscore" }, "no score"), el("p", {}, problem), el("p", { class: "dim" }, remedy)];
  }
  const parts = [scoreLine(item)];
  if (item.low !== null) {
    parts.push(el("p", { class: "dim" }, `90 % interval: ${number(item.low)} to ${number(item.high)}`));
  }
  parts.push(el("h3", {}, "Issues"), ...faults(item));
  if (decisionText(item)) parts.push(el("p", { class: "own" }, `${stars(item)} ${decisionText(item)}`));
  const prompts = item.assessment?.prompts;
  if (prompts) {
    parts.push(el("details", {}, el("summary", {}, "Prompts for restoration"),
      el("dl", {}, Object.entries(prompts).map(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]))));
  }
  return parts;
}

// The score, large, with its scale and the verdict.
export function scoreLine(item) {
  const word = item.label ?? verdict(item.score);
  return el("p", { class: "big" }, number(item.score), el("span", { class: "of" }, " of 5 "),
    el("span", { class: `verdict ${word}` }, word));
}

// The crops of later rounds, beside the whole picture.
function crops(item, address, rounds) {
  if (rounds.length < 2) return null;
  return el("div", { class: "crops" }, rounds.slice(1).map((step, n) => el("figure", {},
    view(item, address, step.region), el("figcaption", {}, `crop of round ${n + 2}`))));
}

// The issues, and under them the kinds of fault that are possible but no issue, with their probability.
function faults(item) {
  const possible = Object.entries(item.possible).map(([kind, value]) => `${kind} ${Math.round(100 * value)} %`);
  return [issueList(item), possible.length ? el("p", { class: "dim" }, `possible: ${possible.join(", ")}`) : null];
}

function issueList(item) {
  if (!item.issues.length) return el("p", { class: "dim" }, item.listed ? "none found" : "only the score was asked for");
  return el("ul", { class: "issues" }, item.issues.map((issue, n) => el("li", { "data-issue": n + 1, class: `s${issue.severity}` },
    el("span", { class: "n" }, n + 1), el("b", {}, issue.kind),
    severityDots(issue.severity),
    issue.place ? el("span", { class: "place" }, issue.place) : null)));
}

function round(item, address, rounds, n) {
  const step = rounds[n];
  const score = step.distribution?.mean ?? step.rating;
  const before = n ? rounds[n - 1].distribution?.mean ?? rounds[n - 1].rating : null;
  const whole = isWhole(step.region);
  const last = n === rounds.length - 1;
  const move = before === null || score === null ? null : el("span", { class: "dim" }, ` ${signed(score - before)}`);
  const text = step.rationale
    ? el("dl", {}, Object.values(step.rationale).map((part, at) => [el("dt", {}, (n ? LATER : SECTIONS)[at]), el("dd", {}, part)]))
    : step.reply ? el("pre", {}, step.reply) : el("p", { class: "dim" }, "no reasoning");
  return el("section", { class: "round" },
    el("h3", {}, `Round ${n + 1} `, el("span", { class: "dim" }, whole ? "the whole picture" : placeText(step.region)),
      score === null ? null : el("span", { class: "rating" }, number(score), move)),
    el("div", { class: "body" },
      el("div", { class: "view" }, address ? [view(item, address, step.region), el("p", { class: "dim" }, whole ? "whole" : "crop")] : null),
      el("div", { class: "text" }, text, notes(step)),
      score === null ? el("div") : plot(step, score, before, last ? item : null)));
}

function placeText([x0, y0, x1, y1]) {
  return `${Math.round(100 * x0)}–${Math.round(100 * x1)} % from the left, ${Math.round(100 * y0)}–${Math.round(100 * y1)} % from the top`;
}

function notes(step) {
  const checks = (step.checks ?? []).filter((check) => check.verdict !== "not checkable");
  return [
    step.zoom ? el("p", { class: "next" }, `Zooms in: ${placeText(step.zoom)}`) : null,
    step.note ? el("p", { class: "dim" }, step.note) : null,
    step.error ? el("p", { class: "failed" }, step.error.problem) : null,
    checks.length ? el("ul", { class: "checks" }, checks.map((check) =>
      el("li", { class: check.verdict }, el("b", {}, check.claim), ` ${check.verdict}: ${check.reason}`))) : null,
  ];
}

// The part of the picture that a round was shown, cut out of the picture itself.
function view(item, address, [x0, y0, x1, y1]) {
  const frame = el("div", { class: "cut" });
  if (!address || !item.width) return frame;
  const ratio = ((x1 - x0) * item.width) / ((y1 - y0) * item.height);
  frame.style.aspectRatio = String(ratio);
  frame.style.maxWidth = `calc(11rem * ${Math.min(1, ratio)})`;
  const image = el("img", { src: address, alt: "" });
  image.style.width = `${100 / (x1 - x0)}%`;
  image.style.left = `${(-100 * x0) / (x1 - x0)}%`;
  image.style.top = `${(-100 * y0) / (y1 - y0)}%`;
  frame.append(image);
  return frame;
}

const x = (rating) => PLOT.margin + ((rating - 1) / 4) * (PLOT.width - 2 * PLOT.margin);

// The rating distribution: bars of 0.1 over the verdicts, a mark at the score, dotted the round before, the interval.
function plot(step, score, before, item) {
  const { axis } = PLOT;
  const parts = zones().flatMap(([left, right, word]) => [
    svg("rect", { class: `zone ${word}`, x: x(left), y: 10, width: x(right) - x(left), height: axis - 10 }),
    svg("text", { class: "word", x: (x(left) + x(right)) / 2, y: axis + 14 }, word)]);
  const bars = step.distribution?.histogram;
  if (bars) {
    const most = Math.max(...bars);
    parts.push(svg("path", { class: "bars", d: bars.map((part, n) => {
      const height = (part / most) * (axis - 16);
      if (height < 0.3) return "";
      const [left, right] = [Math.max(x(1), x(1 + 0.1 * (n - 0.5))), Math.min(x(5), x(1 + 0.1 * (n + 0.5)))];
      return `M${left.toFixed(1)} ${axis}v${-height.toFixed(1)}h${(right - left - 1).toFixed(1)}v${height.toFixed(1)}z`;
    }).join("") }));
  }
  if (item && item.low !== null) {
    const [low, high, y] = [x(item.low), x(item.high), axis + 23];
    parts.push(svg("path", { class: "interval", d: `M${low} ${y - 4}v8M${low} ${y}H${high}M${high} ${y - 4}v8` }));
  }
  parts.push(svg("path", { class: "axis", d: `M${x(1)} ${axis}H${x(5)}` }));
  if (before !== null) parts.push(svg("path", { class: "before", d: `M${x(before)} 10V${axis}` }));
  parts.push(svg("path", { class: "mark", d: `M${x(score)} 4V${axis}` }), svg("circle", { class: "mark", cx: x(score), cy: 5, r: 4 }));
  const spread = step.distribution ? `, standard deviation ${number(step.distribution.std)}` : "";
  const caption = `${step.distribution ? "expected rating" : "rating"} ${number(score)}${spread}`
    + (before === null ? "" : "; dotted: the round before") + (item && item.low !== null ? "; bracket: 90 % interval" : "");
  return el("figure", { class: "plot" },
    svg("svg", { viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "img", "aria-label": caption }, parts),
    el("figcaption", {}, caption));
}

// An issue in the list lights up its box, and the other way round.
export function light(root) {
  const parts = [...root.querySelectorAll("[data-issue]")];
  for (const part of parts) {
    const show = (on) => {
      root.classList.toggle("lighting", on);
      for (const other of parts) other.classList.toggle("lit", on && other.dataset.issue === part.dataset.issue);
    };
    part.addEventListener("mouseenter", () => show(true));
    part.addEventListener("mouseleave", () => show(false));
  }
}
