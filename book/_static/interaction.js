// What a page does for its reader: move a figure, ask for a prediction, check an answer.
// No server, no library. What is remembered stays on this device.
"use strict";
{
const page = location.pathname.split("/").slice(-2).join("/");

const memory = {
  get: (name) => {
    try { return JSON.parse(localStorage.getItem(`book:${page}#${name}`)); } catch { return null; }
  },
  set: (name, value) => {
    try { localStorage.setItem(`book:${page}#${name}`, JSON.stringify(value)); } catch { /* private mode */ }
  },
  forget: (name) => {
    try { localStorage.removeItem(`book:${page}#${name}`); } catch { /* private mode */ }
  },
};

// ---- figures with sliders ---------------------------------------------------------------------

function explorer(root) {
  const settings = JSON.parse(root.querySelector("script").textContent);
  const inputs = [...root.querySelectorAll("input[type=range]")];
  const view = settings.page ? computed(root, settings) : pictures(root, settings);
  let speaking;

  const show = () => {
    inputs.forEach((input, i) => {
      const words = view.scales[i].words[input.value];
      input.setAttribute("aria-valuetext", words);
      input.nextElementSibling.textContent = words;
    });
    const said = view.show(inputs.map((input, i) => view.scales[i].values[input.value]));
    clearTimeout(speaking);
    speaking = setTimeout(() => { root.querySelector(".fc-said").textContent = said; }, 600);
  };
  const reset = () => {
    inputs.forEach((input, i) => { input.value = view.scales[i].start; });
    view.reset?.();
    show();
  };

  inputs.forEach((input, i) => {
    input.max = view.scales[i].values.length - 1;
    input.value = view.scales[i].start;
    input.addEventListener("input", show);
  });
  view.onchange = show;
  const player = root.querySelector(".fc-play");
  const stop = player ? playing(player, inputs[settings.play], show) : () => {};
  root.querySelector(".fc-reset").addEventListener("click", () => { stop(); reset(); });
  if (settings.page) show();
}

// Prepared frames: fetched when the figure comes near, those beside the first one before the others,
// so that the first move answers at once.
function pictures(root, { values, start, frames }) {
  const image = root.querySelector(".fc-frame");
  const moves = (k) => values.reduceRight(
    ([sum, rest], { length }, i) => [sum + Math.abs(rest % length - start[i]), Math.floor(rest / length)], [0, k])[0];
  const nearest = frames.map((frame, k) => [moves(k), frame.src]).sort(([a], [b]) => a - b);
  new IntersectionObserver((seen, observer) => {
    if (!seen.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    root.frames = nearest.map(([, src]) => Object.assign(new Image(), { src }));
  }, { rootMargin: "400px" }).observe(root);
  return {
    scales: values.map((words, i) => ({ words, values: words.map((_, at) => at), start: start[i] })),
    show(at) {
      const { src, alt } = frames[at.reduce((flat, k, i) => flat * values[i].length + k, 0)];
      image.src = src;
      return (image.alt = alt);
    },
  };
}

function computed(root, settings) {
  const view = book.explorables.mount(root.querySelector(".fc-stage"), settings);
  const line = root.querySelector(".fc-reading");
  const draw = view.show;
  view.show = (values) => (line.textContent = draw(values));
  return view;
}

function playing(button, input, show) {
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  };
  button.addEventListener("click", () => {
    if (timer) return stop();
    const last = Number(input.max);
    if (Number(input.value) === last) input.value = 0;
    button.textContent = "Pause";
    timer = setInterval(() => {
      input.value = Number(input.value) + 1;
      show();
      if (Number(input.value) === last) stop();
    }, Math.max(40, 5000 / last));
    show();
  });
  input.addEventListener("pointerdown", stop);
  input.addEventListener("keydown", stop);
  return stop;
}

// ---- predict first ----------------------------------------------------------------------------

const verdicts = {
  number(box, given) {
    const { answer, tolerance, unit = "" } = box.dataset;
    const off = given - Number(answer);
    const near = Math.abs(off) <= (tolerance ?? 0.05 * Math.abs(answer));
    const size = Number(answer) ? `${Math.round(100 * Math.abs(off / answer))} % ` : "";
    const how = near ? "Well predicted." : `${size}too ${off > 0 ? "high" : "low"}.`;
    return [near, `You said ${given}; it is ${answer} ${unit}`.trim() + `. ${how}`];
  },
  choice(box, given) {
    const right = box.querySelectorAll("input[type=radio]")[given].hasAttribute("data-right");
    return [right, right ? "As you predicted." : "Not what happens. The ticked answer does."];
  },
  sketch: () => [null, "Your curve is dashed, the true one is solid."],
};

function predict(box) {
  const form = box.querySelector("form");
  const said = box.querySelector(".fc-verdict");
  const reveal = box.querySelector("details");
  const { kind } = box.dataset;
  const pad = kind === "sketch" ? sketch(box) : null;
  const read = {
    number: () => parseNumber(form.querySelector("input").value),
    choice: () => [...form.querySelectorAll("input")].findIndex((radio) => radio.checked),
    sketch: () => pad.points(),
  }[kind];
  const button = form.querySelector("button");
  reveal.firstElementChild.textContent = "Show the answer without predicting";

  const settle = (given) => {
    const [right, words] = verdicts[kind](box, given);
    said.textContent = words;
    box.dataset.settled = right === null ? "open" : right ? "right" : "wrong";
    form.querySelectorAll("input").forEach((input) => { input.disabled = true; });
    pad?.reveal(given);
    button.textContent = "Predict again";
    reveal.firstElementChild.textContent = "The answer";
    reveal.open = true;
  };
  const restart = () => {
    memory.forget(box.id);
    delete box.dataset.settled;
    said.textContent = "";
    form.querySelectorAll("input").forEach((input) => { input.disabled = false; });
    pad?.clear();
    button.textContent = "Commit";
    reveal.open = false;
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (box.dataset.settled) return restart();
    const given = read();
    if (given === null || given === -1 || Number.isNaN(given)) {
      said.textContent = { number: "Type a number first.", choice: "Choose one first.",
        sketch: "Draw a curve first, with the pointer or the arrow keys." }[kind];
      return;
    }
    memory.set(box.id, given);
    settle(given);
  });

  const before = memory.get(box.id);
  if (before !== null) {
    if (kind === "number") form.querySelector("input").value = before;
    if (kind === "choice" && form.querySelectorAll("input")[before]) {
      form.querySelectorAll("input")[before].checked = true;
    }
    settle(before);
  }
}

// 0.5, 0,5, 1/3, 50 % and 2e-3 are all numbers; an empty field is none.
function parseNumber(text) {
  const plain = text.trim().replace(",", ".").replace("−", "-");
  const parts = plain.match(/^([^/%]+)(?:\/([^/%]+))?(\s*%)?$/);
  if (!parts) return NaN;
  return Number(parts[1]) / Number(parts[2] ?? 1) / (parts[3] ? 100 : 1);
}

// A pad with two axes. The curve is a height in each of 24 columns; arrow keys move the pen.
function sketch(box) {
  const [x, y] = JSON.parse(box.dataset.sketch);
  const truth = JSON.parse(box.dataset.curve ?? "[]");
  const columns = 24;
  let heights = new Array(columns + 1).fill(null);
  let pen = [0, 0.5];
  const { panel, svg } = book.explorables.pad(box.querySelector(".fc-sketch"), x, y);
  const at = (k) => x.from + (x.to - x.from) * k / columns;
  const to = (height) => y.from + (y.to - y.from) * height;
  const drawn = () => heights.flatMap((h, k) => (h === null ? [] : [[at(k), to(h)]]));

  const draw = (revealed = false) => {
    panel.clear();
    if (revealed) panel.path(truth, "optimum");
    panel.path(drawn(), "client", "6 4");
    if (!revealed) panel.dot([at(pen[0]), to(pen[1])], "client", 4);
  };
  const put = (column, height) => {
    const [from, was] = heights.some((h) => h !== null) ? pen : [column, height];
    const steps = Math.max(1, Math.abs(column - from));
    for (let i = 0; i <= steps; i++) {
      heights[from + Math.round((column - from) * i / steps)] = was + (height - was) * i / steps;
    }
    pen = [column, height];
    draw();
  };
  const clamp = (v) => Math.min(1, Math.max(0, v));
  const pointer = (event) => {
    if (box.dataset.settled || (event.type === "pointermove" && !event.buttons)) return;
    const [px, py] = panel.invert(event);
    const column = Math.round(clamp((px - x.from) / (x.to - x.from)) * columns);
    if (event.type === "pointerdown") {
      svg.setPointerCapture(event.pointerId);
      if (heights.every((h) => h === null)) pen = [column, 0];
      else if (heights[column] !== null) pen = [column, heights[column]];
    }
    put(column, clamp((py - y.from) / (y.to - y.from)));
  };
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 0.05], ArrowDown: [0, -0.05] };
  svg.addEventListener("pointerdown", pointer);
  svg.addEventListener("pointermove", pointer);
  svg.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move || box.dataset.settled) return;
    event.preventDefault();
    put(Math.min(columns, Math.max(0, pen[0] + move[0])), clamp(pen[1] + move[1]));
    const [px, py] = [at(pen[0]), to(pen[1])].map((v) => Number(v.toPrecision(3)));
    box.querySelector(".fc-verdict").textContent = `Pen at ${x.name} ${px}, ${y.name} ${py}.`;
  });
  draw();
  return {
    points: () => (heights.filter((h) => h !== null).length > 1 ? heights : null),
    reveal: (given) => { heights = given; draw(true); },
    clear: () => { heights = new Array(columns + 1).fill(null); pen = [0, 0.5]; draw(); },
  };
}

// ---- check yourself ---------------------------------------------------------------------------

function quiz(box) {
  const choices = [...box.querySelectorAll("details.fc-choice")];
  const opened = new Set(memory.get(box.id) ?? []);
  choices.forEach((choice, i) => {
    choice.classList.toggle("fc-tried", opened.has(i));
    choice.addEventListener("toggle", () => {
      if (!choice.open) return;
      choice.classList.add("fc-tried");
      memory.set(box.id, [...opened.add(i)]);
    });
  });
}

// On paper everything is unfolded.
function unfoldForPrint() {
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("main details:not([open])")];
    folded.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => folded.forEach((details) => { details.open = false; }));
}

document.querySelectorAll(".fc-explorer").forEach(explorer);
document.querySelectorAll(".fc-predict").forEach(predict);
document.querySelectorAll(".fc-quiz").forEach(quiz);
unfoldForPrint();
}
