// The pictures with scores, faults and decisions; sorting and filtering. Nothing here touches the page.

// A picture. id: its place in `all`; thumb: address of a small copy; shown: false where that cannot be shown; steps: the
// rounds so far; taken: seconds, or null; listed: false where only the score was asked for, no faults.
export function newItem(id, name, given = {}) {
  return {
    id, name, path: name, file: null, thumb: null, shown: null, state: "waiting", score: null, low: null, high: null,
    label: null, issues: [], possible: {}, listed: true, width: null, height: null, taken: null, error: null, steps: [],
    assessment: null, pick: null, stars: 0, group: null, best: false, why: "", size: 1, marked: false, ...given,
  };
}

export class Items extends EventTarget {
  constructor() {
    super();
    this.all = [];
  }

  add(items) {
    this.all.push(...items);
    this.changed(null);
  }

  // Say that a picture changed, or with null that any may have.
  changed(item) {
    this.dispatchEvent(new CustomEvent("changed", { detail: item }));
  }

  // Decide about a picture: stars 0..5, pick "accept", "reject" or null. A rejected picture has no stars.
  decide(item, pick, stars) {
    item.pick = pick;
    item.stars = pick === "reject" ? 0 : stars;
    this.dispatchEvent(new CustomEvent("decided", { detail: item }));
    this.changed(item);
  }

  group(item) {
    return item.group === null ? [] : this.all.filter((other) => other.group === item.group);
  }
}

const nothingLast = (sign, value) => (value === null ? Infinity : sign * value);
const ORDERS = {
  added: (a, b) => a.id - b.id,
  best: (a, b) => nothingLast(-1, a.score) - nothingLast(-1, b.score) || a.id - b.id,
  worst: (a, b) => nothingLast(1, a.score) - nothingLast(1, b.score) || a.id - b.id,
  newest: (a, b) => nothingLast(-1, a.taken) - nothingLast(-1, b.taken) || a.id - b.id,
  oldest: (a, b) => nothingLast(1, a.taken) - nothingLast(1, b.taken) || a.id - b.id,
  name: (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }),
  stars: (a, b) => b.stars - a.stars || a.id - b.id,
};

// The pictures that pass the filter, in order. wanted: values of the form; group: only this group, or null.
export function selected(all, wanted, group) {
  const from = wanted.from ? Date.parse(wanted.from) / 1000 : null;
  const to = wanted.to ? Date.parse(wanted.to) / 1000 + 86400 : null;
  const part = wanted.name.trim().toLowerCase();
  const low = wanted.low === "" ? null : Number(wanted.low);
  const high = wanted.high === "" ? null : Number(wanted.high);
  const severity = Number(wanted.severity);
  const passes = (item) => {
    if (group !== null) return item.group === group;
    if (low !== null && !(item.score >= low)) return false;
    if (high !== null && !(item.score !== null && item.score <= high)) return false;
    if (wanted.kind === "none" && (item.score === null || !item.listed || item.issues.length > 0)) return false;
    if ((wanted.kind && wanted.kind !== "none") || severity > 1) {
      const kind = wanted.kind === "none" ? "" : wanted.kind;
      if (!item.issues.some((issue) => (!kind || issue.kind === kind) && issue.severity >= severity)) return false;
    }
    if (wanted.decision === "open" && (item.pick || item.stars)) return false;
    if ((wanted.decision === "accept" || wanted.decision === "reject") && item.pick !== wanted.decision) return false;
    if (Number(wanted.decision) && item.stars < Number(wanted.decision)) return false;
    if (from !== null && !(item.taken !== null && item.taken >= from)) return false;
    if (to !== null && !(item.taken !== null && item.taken < to)) return false;
    if (part && !item.path.toLowerCase().includes(part)) return false;
    if (wanted.groups === "best" && item.group !== null && !item.best) return false;
    if (wanted.groups === "only" && item.group === null) return false;
    return true;
  };
  return all.filter(passes).sort(ORDERS[wanted.sort]);
}

// Changes of the faults from `first` to `second`: [change, before, after] each. As in snellen compare, faults of one kind
// that overlap are the same fault.
export function changes(first, second) {
  const left = [...first];
  const found = second.map((after) => {
    const same = left.filter((one) => one.kind === after.kind && overlap(one.region, after.region) > 0);
    const before = same.sort((a, b) => iou(b.region, after.region) - iou(a.region, after.region))[0] ?? null;
    if (before) left.splice(left.indexOf(before), 1);
    return [became(before, after), before, after];
  });
  return [...found, ...left.map((before) => ["vanished", before, null])];
}

function became(before, after) {
  if (!before) return "appeared";
  if (after.severity !== before.severity) return after.severity > before.severity ? "grew" : "shrank";
  const ratio = area(after.region) / area(before.region);
  return ratio >= 1.5 ? "grew" : ratio <= 1 / 1.5 ? "shrank" : "same";
}

const area = ([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);

function overlap(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  return width > 0 && height > 0 ? width * height : 0;
}

function iou(a, b) {
  const both = overlap(a, b);
  return both / (area(a) + area(b) - both);
}

// Probability that the first is better, by the 90 % intervals of both; null without.
export function better(first, second) {
  if ([first, second].some((item) => item.low === null || item.score === null)) return null;
  const half = Math.hypot(first.high - first.low, second.high - second.low) / 2 / 1.6448536269514722;
  const difference = first.score - second.score;
  return half > 0 ? normal(difference / half) : difference === 0 ? 0.5 : Number(difference > 0);
}

// The cumulative normal distribution (Abramowitz and Stegun, formula 7.1.26; error below 1.5e-7).
function normal(value) {
  const x = Math.abs(value) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * x);
  const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const erf = 1 - sum * Math.exp(-x * x);
  return value < 0 ? (1 - erf) / 2 : (1 + erf) / 2;
}
