// The rating page: asks the server what comes next, shows it, sends the answer. Keeps nothing but the pending answer.
"use strict";

const $ = (id) => document.getElementById(id);
const make = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};
let rubric = null;
let state = null;
let current = null; // {answers, boxes, shown, began, seen, views, active}
const LOOK = "Look at both pictures first.";
const loaded = new Map(); // key -> image element, decoded or on its way

async function ask(path, body) {
  const options = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
  const response = await fetch(path, options);
  const found = await response.json();
  if (!response.ok) {
    const text = `${found.error.problem}; ${found.error.remedy}.`;
    throw Object.assign(new Error(text[0].toUpperCase() + text.slice(1)), { code: found.error.code });
  }
  return found;
}

// The answer is sent until it has arrived: a lost connection loses nothing while the page is open.
async function send(path, body) {
  for (let wait = 1; ; wait = Math.min(30, 2 * wait)) {
    try {
      const found = await ask(path, body);
      $("note").textContent = "";
      return found;
    } catch (error) {
      if (error.code && error.code !== "busy") throw error;
      $("note").textContent = `No connection. Trying again in ${wait} s …`;
      await new Promise((resolve) => setTimeout(resolve, 1000 * wait));
    }
  }
}

const view = () => ({
  width: innerWidth, height: innerHeight, ratio: devicePixelRatio, screen: [screen.width, screen.height],
  touch: matchMedia("(hover: none)").matches,
});

function sheet(title, paragraphs, label, action) {
  $("item").hidden = true;
  $("sheet").hidden = false;
  $("chart").hidden = true;
  $("problem").textContent = "";
  $("title").textContent = title;
  $("text").replaceChildren(...paragraphs.map((text) => make("p", { textContent: text })));
  $("go").hidden = !label;
  $("go").textContent = label ?? "";
  $("go").onclick = async () => {
    $("go").disabled = true;
    try {
      await action();
    } catch (error) {
      $("problem").textContent = error.message;
    }
    $("go").disabled = false;
  };
  if (label) $("go").focus();
}

function render() {
  document.title = state.title ?? "Picture quality";
  if (state.stage === "consent") {
    sheet(state.title, state.consent.split("\n\n"), "I agree", () => step("/api/consent", { agreed: true }));
  } else if (state.stage === "screen") {
    screenCheck();
  } else if (state.stage === "done") {
    sheet("Thank you", ["You have answered everything. You can close this page."], null, null);
  } else if ((state.after_training || state.after_break) && current?.position !== state.position) {
    current = { position: state.position };
    if (state.after_training) sheet("Practice is over", ["From now on your answers count."], "Go on", showItem);
    else sheet("Time for a break", [`${state.position} of ${state.total} are done. Rest your eyes for a minute; your answers are stored.`],
      "Go on", showItem);
    preload();
  } else {
    showItem();
  }
}

async function step(path, body) {
  ({ state } = await send(path, body));
  render();
}

function screenCheck() {
  const wanted = state.screen;
  const texts = [];
  if (wanted.width || wanted.height) texts.push(`Make the window at least ${wanted.width} × ${wanted.height} large.`);
  if (wanted.distance) texts.push(wanted.distance);
  texts.push(rubric.fit ? "Pictures are scaled down to the window." :
    "Pictures are shown pixel by pixel. Drag or scroll where one is larger than the window. Do not zoom the page.");
  if (rubric.boxes) texts.push("Mark what disturbs you: press “Mark a fault”, draw a box around it, choose its kind and how strong it is.");
  if (!matchMedia("(hover: none)").matches) texts.push(rubric.method === "pairs" ?
    "Keys: ← and → choose, Enter goes on, Space switches between the pictures where they do not fit side by side." :
    "Keys: 1 to 5 answer, Enter goes on" + (rubric.method === "dcr" ? ", Space switches between reference and picture" : "") +
    (rubric.questions.length > 1 ? ", ↑ and ↓ go between the questions" : "") + (rubric.boxes ? ", B marks a fault." : "."));
  sheet("Before you begin", texts, "Begin", () => {
    const chosen = document.querySelector("input[name=fields]:checked");
    if (wanted.chart && !chosen) throw new Error("Answer the question about the grey fields first.");
    return step("/api/screen", { view: view(), chart: chosen ? Number(chosen.value) : null });
  });
  $("chart").hidden = !wanted.chart;
  const levels = [0, 8, 16, 24, 60, 100, 140, 180, 231, 239, 247, 255];
  document.querySelector("#chart .steps").replaceChildren(...levels.map((level) => {
    const field = make("i");
    field.style.background = `rgb(${level} ${level} ${level})`;
    return field;
  }));
}

function image(key) {
  if (!loaded.has(key)) {
    const element = new Image();
    element.src = `/picture/${key}`;
    element.alt = "";
    element.draggable = false;
    loaded.set(key, element);
  }
  return loaded.get(key);
}

function preload() {
  const wanted = new Set(state.items.flatMap((item) => item.pictures.map((picture) => picture.key)));
  for (const key of loaded.keys()) if (!wanted.has(key)) loaded.delete(key);
  wanted.forEach(image);
}

async function showItem() {
  const item = state.items[0];
  const position = state.position;
  current = { position, answers: {}, boxes: [], shown: 0, began: 0, seen: new Set(), views: [], active: 0, ready: false };
  $("sheet").hidden = true;
  $("item").hidden = false;
  $("progress").textContent = `${position + 1} / ${state.total}${item.training ? " · practice" : ""}`;
  $("bar").max = state.total;
  $("bar").value = position;
  $("stage").replaceChildren();
  buildQuestions();
  preload();
  for (;;) {
    try {
      await Promise.all(item.pictures.map((picture) => image(picture.key).decode()));
      break;
    } catch {
      $("note").textContent = "Loading the picture again …";
      item.pictures.forEach((picture) => loaded.delete(picture.key));
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
  if (current.position !== position) return;
  $("note").textContent = "";
  layout(item);
  current.began = performance.now();
  current.shown = Date.now() / 1000;
  current.ready = true;
  update();
}

// Pictures are laid out one to one in device pixels; with `fit` scaled down to the stage.
function layout(item) {
  const stage = $("stage");
  const two = item.pictures.length === 2;
  const pixel = 1 / devicePixelRatio;
  const widths = item.pictures.map((picture) => picture.width * pixel);
  const heights = item.pictures.map((picture) => picture.height * pixel);
  const side = two && rubric.method === "pairs" &&
    (rubric.fit ? stage.clientWidth >= 900 : widths[0] + widths[1] + 40 <= stage.clientWidth && Math.max(...heights) <= stage.clientHeight);
  const room = side ? (stage.clientWidth - 40) / 2 : stage.clientWidth;
  current.views = item.pictures.map((picture, at) => {
    const scale = rubric.fit ? Math.min(1, room / widths[at], stage.clientHeight / heights[at]) : 1;
    const element = image(picture.key);
    element.style.width = `${widths[at] * scale}px`;
    element.style.height = `${heights[at] * scale}px`;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 1 1");
    svg.setAttribute("preserveAspectRatio", "none");
    const box = make("div", { className: "view" }, element, svg);
    box.dataset.scale = scale.toFixed(4);
    return box;
  });
  stage.replaceChildren(...current.views);
  stage.scrollTo(0, 0);
  current.side = side;
  $("tabs").hidden = !two || side;
  if (two && !side) {
    const names = rubric.method === "pairs" ? ["Show first", "Show second"] : ["Show picture", "Show reference"];
    const order = rubric.method === "pairs" ? [0, 1] : [1, 0];
    $("tabs").replaceChildren(...order.map((at, place) => make("button",
      { type: "button", onclick: () => reveal(at) }, names[at], place ? "" : make("kbd", { textContent: "Space" }))));
    current.order = order;
    reveal(order[0]);
  } else {
    item.pictures.forEach((_, at) => current.seen.add(at));
  }
  const larger = current.views.some((box) => box.offsetWidth > stage.clientWidth + 1 || box.offsetHeight > stage.clientHeight + 1);
  $("note").textContent = larger ? "Larger than the window: scroll to see all of it." : "";
  $("marking").hidden = !rubric.boxes;
  if (rubric.boxes) markable(current.views[0]);
}

function reveal(at) {
  current.views.forEach((box, n) => { box.hidden = n !== at; });
  current.seen.add(at);
  current.revealed = at;
  [...$("tabs").children].forEach((tab, place) => tab.setAttribute("aria-pressed", String(current.order[place] === at)));
  update();
}

function buildQuestions() {
  const pairs = rubric.method === "pairs";
  const questions = pairs ? [{ name: "preferred", text: "Which picture is better?", kind: "pair" }] : rubric.questions;
  current.questions = questions;
  $("questions").className = questions.length > 1 ? "many" : "";
  $("questions").replaceChildren(...questions.map((question, at) => {
    const set = make("fieldset", { onfocusin: () => activate(at) }, make("legend", { textContent: question.text }));
    if (question.kind === "text") {
      set.append(make("textarea", { maxLength: 2000, ariaLabel: question.text,
        oninput: (event) => { current.answers[question.name] = event.target.value; } }));
      return set;
    }
    const choices = question.kind === "pair"
      ? [["first", "First", "←"], ...(rubric.ties ? [["tie", "Equal", "0"]] : []), ["second", "Second", "→"]]
      : question.kind === "scale" ? question.words.map((word, n) => [n + 1, word, n + 1])
        : question.words.map((word, n) => [word, word, n + 1]);
    const row = make("div", { className: "scale" });
    for (const [value, word, key] of choices) {
      const label = question.kind === "scale" ? [make("b", { textContent: value }), make("small", { textContent: word })]
        : [make("b", { textContent: word }), make("kbd", { textContent: key })];
      const button = make("button", { type: "button", onclick: () => { activate(at); choose(at, value); } }, ...label);
      button.dataset.value = value;
      row.append(button);
    }
    set.append(row);
    return set;
  }));
  activate(0);
  $("boxes").replaceChildren();
  $("mark").setAttribute("aria-pressed", "false");
  $("panel").scrollTo(0, 0);
}

function activate(at) {
  current.active = at;
  [...$("questions").children].forEach((set, n) => set.classList.toggle("active", n === at));
}

function choose(at, value) {
  if (!current.ready) return;
  const question = current.questions[at];
  current.answers[question.name] = value;
  for (const button of $("questions").children[at].querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.value === String(value)));
  }
  if (at + 1 < current.questions.length) {
    activate(at + 1);
    $("questions").children[at + 1].scrollIntoView({ block: "nearest" });
  }
  if (question.kind === "pair") {
    current.views.forEach((box, n) => box.classList.toggle("chosen", current.side && value === ["first", "second"][n]));
  }
  update();
}

function update() {
  if (!current.questions) return;
  const answered = current.questions.every((question) =>
    question.kind === "text" || question.optional || current.answers[question.name] !== undefined);
  const named = current.boxes.every((box) => box.kind);
  const all = current.seen.size === current.views.length;
  $("next").disabled = !(current.ready && answered && named && all);
  if (current.ready && answered && !all) $("note").textContent = LOOK;
  else if ($("note").textContent === LOOK) $("note").textContent = "";
}

$("panel").addEventListener("submit", async (event) => {
  event.preventDefault();
  if ($("next").disabled) return;
  const now = performance.now();
  current.ready = false;
  $("next").disabled = true;
  const body = {
    position: current.position, answers: current.answers,
    boxes: current.boxes.map(({ kind, severity, box }) => ({ kind, severity, box })),
    seconds: (now - current.began) / 1000, shown: current.shown, answered: Date.now() / 1000,
    view: { ...view(), scale: current.views.map((box) => Number(box.dataset.scale)), side: Boolean(current.side) },
  };
  try {
    const found = await send("/api/answer", body);
    state = found.state;
    if (found.hint) sheet("Practice", [found.hint], "Go on", render);
    else render();
  } catch (error) {
    sheet("This answer was not taken", [error.message], "Reload", () => location.reload());
  }
});

function markable(box) {
  let start = null;
  let rect = null;
  const at = (event) => {
    const frame = box.getBoundingClientRect();
    return [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height]
      .map((value) => Math.min(1, Math.max(0, value)));
  };
  box.onpointerdown = (event) => {
    if ($("mark").getAttribute("aria-pressed") !== "true") return;
    start = at(event);
    rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    box.querySelector("svg").append(rect);
    box.setPointerCapture(event.pointerId);
    event.preventDefault();
  };
  box.onpointermove = (event) => {
    if (!start) return;
    const end = at(event);
    const low = start.map((value, n) => Math.min(value, end[n]));
    const high = start.map((value, n) => Math.max(value, end[n]));
    rect.setAttribute("x", low[0]); rect.setAttribute("y", low[1]);
    rect.setAttribute("width", high[0] - low[0]); rect.setAttribute("height", high[1] - low[1]);
    rect.span = [...low, ...high].map((value) => Number(value.toFixed(4)));
  };
  box.onpointerup = box.onpointercancel = () => {
    if (!start) return;
    start = null;
    const span = rect.span;
    if (!span || span[2] - span[0] < 0.01 || span[3] - span[1] < 0.01) return rect.remove();
    addBox({ box: span, kind: "", severity: 3, rect });
    setMarking(false);
  };
}

// A mouse drags a picture that is larger than the window, as a finger does.
let drag = null;
$("stage").onpointerdown = (event) => {
  if (event.pointerType !== "mouse" || event.button || $("mark").getAttribute("aria-pressed") === "true") return;
  drag = [event.clientX + $("stage").scrollLeft, event.clientY + $("stage").scrollTop];
};
addEventListener("pointermove", (event) => { if (drag) $("stage").scrollTo(drag[0] - event.clientX, drag[1] - event.clientY); });
addEventListener("pointerup", () => { drag = null; });

function setMarking(on) {
  $("mark").setAttribute("aria-pressed", String(on));
  current.views?.[0]?.classList.toggle("marking", on);
}

function addBox(entry) {
  current.boxes.push(entry);
  const kinds = make("select", { ariaLabel: "kind of fault", onchange: (event) => { entry.kind = event.target.value; update(); } },
    make("option", { value: "", textContent: "kind …" }), ...rubric.kinds.map((kind) => make("option", { textContent: kind })));
  const severity = make("select", { ariaLabel: "severity", onchange: (event) => { entry.severity = Number(event.target.value); } },
    ...["slight", "mild", "moderate", "strong", "severe"].map((word, n) =>
      make("option", { value: n + 1, textContent: word, selected: n === 2 })));
  const remove = make("button", { type: "button", ariaLabel: "remove this fault", textContent: "×", onclick: () => {
    current.boxes.splice(current.boxes.indexOf(entry), 1);
    entry.rect.remove();
    row.remove();
    update();
  } });
  const row = make("li", {}, kinds, severity, remove);
  $("boxes").append(row);
  kinds.focus();
  update();
}
$("mark").onclick = () => setMarking($("mark").getAttribute("aria-pressed") !== "true");

addEventListener("keydown", (event) => {
  if ($("item").hidden || !current?.ready || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("textarea, select")) return;
  const question = current.questions[current.active];
  const digit = Number(event.key);
  const pair = rubric.method === "pairs";
  if (event.key === "Enter") $("panel").requestSubmit();
  else if (event.key === " " && !$("tabs").hidden) reveal(1 - current.revealed);
  else if (pair && event.key === "ArrowLeft") choose(0, "first");
  else if (pair && event.key === "ArrowRight") choose(0, "second");
  else if (pair && event.key === "0" && rubric.ties) choose(0, "tie");
  else if (question.kind === "scale" && digit >= 1 && digit <= 5) choose(current.active, digit);
  else if (question.kind === "choice" && digit >= 1 && digit <= question.words.length) choose(current.active, question.words[digit - 1]);
  else if (event.key.toLowerCase() === "b" && rubric.boxes) setMarking(true);
  else if (event.key === "Escape") setMarking(false);
  else if (current.questions.length > 1 && event.key === "ArrowUp") activate(Math.max(0, current.active - 1));
  else if (current.questions.length > 1 && event.key === "ArrowDown") activate(Math.min(current.questions.length - 1, current.active + 1));
  else return;
  event.preventDefault();
});
addEventListener("resize", () => { if (current?.ready && !rubric.boxes) layout(state.items[0]); });

async function begin() {
  const token = location.hash.slice(1);
  if (token) {
    sheet("Picture quality", ["You have been invited to rate pictures. The link works in this browser only, and you can come back to it."],
      "Begin", async () => {
        ({ rubric, state } = await ask("/api/open", { token }));
        history.replaceState(null, "", "/");
        render();
      });
    return;
  }
  try {
    ({ rubric, state } = await ask("/api/state"));
    render();
  } catch (error) {
    sheet("Picture quality", [error.message], null, null);
  }
}
addEventListener("hashchange", begin);
begin();
