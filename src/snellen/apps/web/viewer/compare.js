// Two pictures side by side, and their difference.

import { photo, scoreLine } from "./detail.js";
import { el, number, severityDots } from "./element.js";
import { better, changes } from "./items.js";

const SURE = 0.75; // as snellen compare: below it two pictures are a tie

const WORDS = {
  appeared: "only in the second", vanished: "only in the first", grew: "more in the second", shrank: "less in the second",
  same: "alike in both",
};

export function comparison(pair, addresses) {
  const [first, second] = pair;
  return el("div", { class: "pair" },
    el("div", { class: "sides" }, pair.map((item, n) => el("div", {},
      photo(item, addresses[n], item.assessment?.steps ?? item.steps),
      el("h3", {}, item.path),
      item.score === null ? el("p", { class: "dim" }, "no score") : scoreLine(item)))),
    difference(first, second));
}

function difference(first, second) {
  if (first.score === null || second.score === null) return el("p", { class: "dim" }, "Both need a score.");
  const listed = first.listed && second.listed;
  const rows = (listed ? changes(first.issues, second.issues) : []).map(([what, before, after]) => el("tr", {},
    el("td", {}, (after ?? before).kind), el("td", {}, severityDots(before?.severity)),
    el("td", {}, severityDots(after?.severity)), el("td", { class: "dim" }, WORDS[what])));
  return el("div", { class: "difference" },
    el("p", {}, el("b", {}, verdictText(first, second, better(first, second)))),
    rows.length ? el("table", {},
      el("thead", {}, el("tr", {}, ["Fault", "First", "Second", "Difference"].map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, rows)) : el("p", { class: "dim" }, listed ? "No faults in either." : "Only scores were asked for, no faults."),
    el("p", { class: "dim" }, "By the intervals of two separate assessments, as if they erred independently. ",
      el("code", {}, "snellen compare"), " looks at the same regions of both."));
}

function verdictText(first, second, probability) {
  if (probability === null) return first.score === second.score ? "Equal scores." : "No intervals, so only the scores differ.";
  const sure = Math.max(probability, 1 - probability);
  const name = probability >= 0.5 ? first.name : second.name;
  if (sure < SURE) return `A tie: ${name} is better with a probability of ${number(sure)} only.`;
  const by = number(Math.abs(first.score - second.score));
  return `${name} is better by ${by}, with a probability of ${sure > 0.995 ? "more than 0.99" : number(sure)}.`;
}
