// Figures that the page computes by itself: continuous in their parameters, with points to drag.
// Each entry of `figures` has `compute` (the mathematics, tested against NumPy), `draw` and `read`.
"use strict";

const book = (window.book = {});

book.explorables = (() => {
  const WIDE = [720, 310], NARROW = [360, 560];

  // ---- a small plotting kit in SVG; colours are classes, so they follow the page's theme --------

  function add(parent, name, attributes = {}, words = null) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (words !== null) node.textContent = words;
    parent.append(node);
    return node;
  }

  // 3 digits, whole numbers in full, powers of ten as such, and a true minus sign.
  const raised = (n) => [...String(n)].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");
  const power = (v) => `10${raised(Math.round(Math.log10(v)))}`;
  const minus = (words) => words.replace("-", "−");
  function short(v) {
    const size = Math.abs(v);
    if (size && (size < 1e-3 || size >= 1e7)) {
      const exponent = Math.floor(Math.log10(size));
      const lead = Number((v / 10 ** exponent).toPrecision(2));
      return minus(`${lead === 1 ? "" : `${lead}·`}10`) + raised(exponent);
    }
    return minus((Number.isInteger(v) ? v : Number(v.toPrecision(3))).toLocaleString("en"));
  }
  const fixed = (v, digits) => minus(v.toFixed(digits));

  let clips = 0;

  class Panel {
    // box: [left, top, width, height]; x, y: {from, to, name, ticks, log}
    constructor(svg, [left, top, width, height], x, y) {
      Object.assign(this, { svg, x, y, box: [left + 40, top + 22, width - 62, height - 62] });
      const [l, t, w, h] = this.box;
      const clip = add(add(svg, "clipPath", { id: `fc-clip-${++clips}` }), "rect", { x: l, y: t, width: w, height: h });
      this.frame = add(svg, "g", { class: "fc-axes" });
      add(this.frame, "path", { d: `M${l},${t}V${t + h}H${l + w}` });
      (x.ticks ?? [x.from, x.to]).forEach((v) => add(this.frame, "text",
        { x: this.X(v), y: t + h + 16, "text-anchor": "middle" }, x.format?.(v) ?? short(v)));
      (y.ticks ?? [y.from, y.to]).forEach((v) => add(this.frame, "text",
        { x: l - 6, y: this.Y(v) + 4, "text-anchor": "end" }, y.format?.(v) ?? short(v)));
      add(this.frame, "text", { x: l + w / 2, y: t + h + 34, "text-anchor": "middle" }, x.name);
      add(this.frame, "text", { x: l - 34, y: t - 9 }, y.name);
      this.ink = add(svg, "g", { "clip-path": `url(#${clip.parentNode.id})` });
      this.words = add(svg, "g");
    }

    static unit({ from, to, log }, v) {
      return log ? Math.log(Math.max(v, from / 1e3) / from) / Math.log(to / from) : (v - from) / (to - from);
    }

    X(v) { return this.box[0] + this.box[2] * Panel.unit(this.x, v); }

    Y(v) { return this.box[1] + this.box[3] * (1 - Panel.unit(this.y, v)); }

    // The point of the panel (linear axes) under the pointer.
    invert({ clientX, clientY }) {
      const p = new DOMPoint(clientX, clientY).matrixTransform(this.svg.getScreenCTM().inverse());
      const [l, t, w, h] = this.box;
      return [this.x.from + (this.x.to - this.x.from) * (p.x - l) / w,
        this.y.from + (this.y.to - this.y.from) * (1 - (p.y - t) / h)];
    }

    clear() { this.ink.replaceChildren(); this.words.replaceChildren(); }

    path(points, colour, dash = "") {
      const far = (v) => Math.max(-1e4, Math.min(1e4, v)).toFixed(1);
      const d = points.map(([x, y], i) => `${i ? "L" : "M"}${far(this.X(x))},${far(this.Y(y))}`).join("");
      add(this.ink, "path", { d, class: `fc-line ${colour}`, "stroke-dasharray": dash });
    }

    curve(f, colour, dash = "") {
      const { from, to, log } = this.x;
      const at = (u) => (log ? from * (to / from) ** u : from + (to - from) * u);
      this.path(Array.from({ length: 121 }, (_, i) => at(i / 120)).map((v) => [v, f(v)]), colour, dash);
    }

    dot([x, y], colour, r = 3) {
      add(this.ink, "circle", { cx: this.X(x), cy: this.Y(y), r, class: `fc-dot ${colour}` });
    }

    ellipse(rx, ry) {
      add(this.ink, "ellipse", { cx: this.X(0), cy: this.Y(0), rx: this.X(rx) - this.X(0), ry: this.Y(0) - this.Y(ry), class: "fc-guide" });
    }

    label([x, y], words, colour, attributes = {}) {
      add(this.words, "text", { x: this.X(x), y: this.Y(y), class: `fc-label ${colour}`, ...attributes }, words);
    }

    // A point to drag, or to move with the arrow keys. `move` gets the new place.
    handle(name, colour, move, both = true) {
      const ring = add(this.svg, "circle", { r: 9, class: `fc-handle ${colour}`, tabindex: 0, role: "slider",
        "aria-label": name, "aria-valuemin": this.x.from, "aria-valuemax": this.x.to });
      let place = [0, 0];
      const inside = ([x, y]) => [Math.min(this.x.to, Math.max(this.x.from, x)),
        both ? Math.min(this.y.to, Math.max(this.y.from, y)) : place[1]];
      ring.addEventListener("pointerdown", (event) => {
        ring.setPointerCapture(event.pointerId);
        event.preventDefault();
        ring.focus();
      });
      ring.addEventListener("pointermove", (event) => {
        if (ring.hasPointerCapture(event.pointerId)) move(inside(this.invert(event)));
      });
      ring.addEventListener("keydown", (event) => {
        const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] ?? [];
        if (dx === undefined || (!both && dy)) return;
        event.preventDefault();
        move(inside([place[0] + dx * (this.x.to - this.x.from) / 60, place[1] + dy * (this.y.to - this.y.from) / 60]));
      });
      return (at) => {
        place = at;
        ring.setAttribute("cx", this.X(at[0]));
        ring.setAttribute("cy", this.Y(at[1]));
        ring.setAttribute("aria-valuenow", at[0].toFixed(3));
        ring.setAttribute("aria-valuetext", both ? at.map((v) => v.toFixed(2)).join(", ") : at[0].toFixed(2));
      };
    }
  }

  // ---- the figures ------------------------------------------------------------------------------

  const figures = {};

  // Gradient descent on ½(µ x² + L y²) with L = 1 and µ = 1/κ: eta is counted in 1/L.
  figures["gradient-descent"] = {
    parameters: { eta: 1, kappa: 10 },
    points: { start: [-2.4, 1.1] },
    steps: 40,
    compute({ eta, kappa }, { start }, steps = 40) {
      const curvature = [1 / kappa, 1];
      const factors = curvature.map((l) => 1 - eta * l);
      const path = Array.from({ length: steps + 1 }, (_, t) => start.map((v, i) => v * factors[i] ** t));
      return { factors, path, best: 2 / (1 + 1 / kappa) };
    },
    panels: (left, right) => [
      [left, { from: -3, to: 3, name: "flat direction", ticks: [-3, 0, 3] },
        { from: -1.6, to: 1.6, name: "steep direction", ticks: [-1.5, 0, 1.5] }],
      [right, { from: 0, to: 40, name: "steps t", ticks: [0, 10, 20, 30, 40] },
        { from: 1e-6, to: 100, log: true, name: "distance along each direction", ticks: [1e-6, 1e-4, 1e-2, 1, 100], format: power }],
    ],
    handles: ([map], move) => ({ start: map.handle("Start point", "single", (at) => move("start", at)) }),
    draw([map, log], values, points) {
      const { factors, path } = this.compute(values, points);
      for (const c of [0.02, 0.08, 0.2, 0.4, 0.8, 1.4]) map.ellipse(Math.sqrt(2 * c * values.kappa), Math.sqrt(2 * c));
      map.path(path, "single");
      path.slice(1).forEach((at) => map.dot(at, "single", 2.2));
      map.dot([0, 0], "optimum", 4.5);
      const colours = ["series-1", "series-2"];
      ["flat", "steep"].forEach((name, i) => {
        const along = path.map((at, t) => [t, Math.abs(at[i])]);
        log.path(along, colours[i], i ? "5 3" : "");
        const t = i ? 8 : 24;
        const y = Math.min(30, Math.max(4e-6, Math.abs(path[t][i])));
        log.label([t, y], `${name} × ${fixed(factors[i], 3)}`, colours[i], { dy: -8 });
      });
    },
    read(values, points) {
      const { factors: [flat, steep], path, best } = this.compute(values, points);
      const size = Math.hypot(...path.at(-1));
      const fate = Math.abs(steep) > 1 ? "beyond the edge 2/L: it diverges along the steep direction"
        : Math.abs(steep) === 1 ? "at the edge 2/L: it bounces for ever"
          : steep < 0 ? "it overshoots the steep direction, but converges" : "it converges without overshooting";
      return `η = ${short(values.eta)}/L, κ = ${short(values.kappa)}: a step multiplies the flat direction by ${fixed(flat, 3)} `
        + `and the steep one by ${fixed(steep, 3)}; ${fate}. After 40 steps the distance is ${short(Number(size.toPrecision(2)))}. Best: η = ${short(best)}/L.`;
    },
  };

  // Two clients, F_k = a_k/2 (w − b_k)², equal weights: where FedAvg with H local steps comes to rest.
  figures.parabolas = {
    parameters: { H: 1, eta: 0.05 },
    points: { first: [0, 0], second: [1, 0] },
    curvatures: [1, 10],
    compute({ H, eta }, { first, second }, a = [1, 10]) {
      const b = [first[0], second[0]];
      const rest = (pull) => (pull[0] * b[0] + pull[1] * b[1]) / (pull[0] + pull[1]);
      const at = (h) => rest(a.map((ai) => 1 - (1 - eta * ai) ** h));
      return { optimum: rest(a), rest: at(H), along: at, b };
    },
    panels: (left, right) => [
      [left, { from: -0.5, to: 1.5, name: "w", ticks: [-0.5, 0, 0.5, 1, 1.5] }, { from: -0.4, to: 3, name: "loss", ticks: [0, 1, 2, 3] }],
      [right, { from: 1, to: 100, log: true, name: "local steps H", ticks: [1, 2, 5, 10, 20, 50, 100] },
        { from: -0.5, to: 1.5, name: "where FedAvg stops", ticks: [-0.5, 0, 0.5, 1, 1.5] }],
    ],
    handles: ([plot], move) => Object.fromEntries(["first", "second"].map((name) => [name,
      plot.handle(`Minimum of the ${name} client`, "client", (at) => move(name, at), false)])),
    draw([plot, curve], values, points) {
      const { optimum, rest, along, b } = this.compute(values, points);
      const loss = (k) => (w) => this.curvatures[k] / 2 * (w - b[k]) ** 2;
      const mean = (w) => (loss(0)(w) + loss(1)(w)) / 2;
      [0, 1].forEach((k) => {
        plot.curve(loss(k), "client", "5 3");
        plot.label([b[k], -0.33], `client ${k + 1}`, "client", { "text-anchor": "middle" });
      });
      plot.curve(mean, "server");
      plot.path([[optimum, -0.4], [optimum, mean(optimum)]], "optimum", "2 3");
      plot.dot([optimum, mean(optimum)], "optimum", 4.5);
      plot.dot([rest, mean(rest)], "server", 5.5);
      plot.label([rest, mean(rest)], "FedAvg", "server", { dx: -8, dy: -10, "text-anchor": "end" });
      curve.path([[1, optimum], [100, optimum]], "optimum", "2 3");
      curve.curve(along, "server");
      curve.dot([values.H, rest], "server", 5.5);
      curve.label([100, optimum], "optimum", "optimum", { dy: -7, "text-anchor": "end" });
    },
    read(values, points) {
      const { optimum, rest } = this.compute(values, points);
      return `${values.H === 1 ? "1 local step" : `${values.H} local steps`}, η = ${short(values.eta)}: FedAvg stops at w = ${fixed(rest, 6)}, the optimum is ${fixed(optimum, 6)}; `
        + `they are ${fixed(Math.abs(rest - optimum), 6)} apart.`;
    },
  };

  // SGD on the rows (w − ½)² and (w + ½)²: curvature 2, noise 1. Batches of B rows are drawn with
  // replacement, the same ones for every step size.
  figures["noise-floor"] = {
    parameters: { eta: 0.1, B: 1 },
    points: { start: [0, 2] },
    compute({ eta, B }, { start: [, w] }, steps = 120) {
      const floor = (step, batch = B) => step / (4 * (1 - step) * batch);
      const draw = coins(1), path = [w];
      for (let t = 0; t < steps; t++) {
        let noise = 0;
        for (let i = 0; i < B; i++) noise += draw() / B;
        path.push(path[t] - eta * (2 * path[t] + noise));
      }
      const fade = (t) => (1 - 2 * eta) ** t;
      const rms = (values) => Math.sqrt(values.reduce((sum, v) => sum + v, 0) / values.length);
      const late = Array.from({ length: 60 }, (_, i) => steps - 59 + i);
      return {
        path,
        floor,
        mean: path.map((_, t) => w * fade(t)),
        deviation: path.map((_, t) => Math.sqrt(floor(eta) * (1 - fade(2 * t)))),
        seen: rms(path.slice(-60).map((v) => v ** 2)),
        expected: rms(late.map((t) => (w * fade(t)) ** 2 + floor(eta) * (1 - fade(2 * t)))),
      };
    },
    panels: (left, right) => [
      [left, { from: -8, to: 120, name: "step t", ticks: [0, 40, 80, 120] }, { from: -2.3, to: 2.7, name: "w", ticks: [-2, -1, 0, 1, 2] }],
      [right, { from: 0.01, to: 1, log: true, name: "step size η", ticks: [0.01, 0.1, 1] },
        { from: 5e-3, to: 3, log: true, name: "distance from 0, root mean square", ticks: [0.01, 0.1, 1] }],
    ],
    handles: ([run], move) => ({ start: run.handle("Start w₀", "single", ([, w]) => move("start", [0, w])) }),
    draw([run, floors], values, points) {
      const { path, mean, deviation, floor, seen } = this.compute(values, points);
      const band = (sign) => mean.map((v, t) => [t, v + sign * deviation[t]]);
      run.path([[-8, 0], [120, 0]], "guide");
      run.path(path.map((w, t) => [t, w]), "single");
      path.forEach((w, t) => run.dot([t, w], "single", 1.6));
      [1, -1].forEach((sign) => run.path(band(sign), "optimum", "5 3"));
      run.label([120, 2.3], "dashed: mean ± one deviation", "optimum", { "text-anchor": "end" });
      floors.curve((eta) => Math.sqrt(floor(Math.min(eta, 0.999))), "optimum", "5 3");
      floors.dot([values.eta, seen], "single", 5.5);
      floors.label([0.0115, 1.9], "dashed: noise floor", "optimum");
      floors.label([0.0115, 1.25], "dot: last 60 steps", "single");
    },
    read(values, points) {
      const { seen, expected } = this.compute(values, points);
      return `η = ${short(values.eta)}, B = ${values.B}: η/B = ${short(values.eta / values.B)}. The last 60 of 120 steps are `
        + `${fixed(seen, 3)} away from 0 in root mean square; predicted is ${fixed(expected, 3)}.`;
    },
  };

  // Two clients with 10 and n₂ rows and the losses ½(w − b_k)²: two servers with different weights.
  figures["two-servers"] = {
    parameters: { n_2: 30, t: 16 },
    points: { first: [0, 0], second: [1, 0] },
    compute({ n_2, t }, { first, second }, eta = 0.3) {
      const b = [first[0], second[0]];
      const share = n_2 / (10 + n_2);
      const run = (second) => {
        const rest = (1 - second) * b[0] + second * b[1];
        return Array.from({ length: t + 1 }, (_, s) => rest * (1 - (1 - eta) ** s));
      };
      return { b, share, optimum: (1 - share) * b[0] + share * b[1], rows: run(share), equal: run(0.5) };
    },
    panels: (left, right) => [
      [left, { from: -0.5, to: 1.5, name: "w", ticks: [-0.5, 0, 0.5, 1, 1.5] }, { from: -0.07, to: 0.6, name: "loss", ticks: [0, 0.2, 0.4, 0.6] }],
      [right, { from: 0, to: 16, name: "rounds t", ticks: [0, 4, 8, 12, 16] },
        { from: 1e-3, to: 2, log: true, name: "distance from the minimiser", ticks: [1e-3, 1e-2, 1e-1, 1], format: power }],
    ],
    handles: ([plot], move) => Object.fromEntries(["first", "second"].map((name) => [name,
      plot.handle(`Minimum of the ${name} client`, "client", (at) => move(name, at), false)])),
    draw([plot, far], values, points) {
      const { b, share, optimum, rows, equal } = this.compute(values, points);
      const mean = (weight) => (w) => ((1 - weight) * (w - b[0]) ** 2 + weight * (w - b[1]) ** 2) / 2;
      b.forEach((at) => plot.curve((w) => (w - at) ** 2 / 2, "client", "5 3"));
      plot.path([[optimum, -0.07], [optimum, 0.6]], "optimum", "2 3");
      plot.label([optimum, 0.56], "minimiser", "optimum", optimum > 0.5 ? { dx: -5, "text-anchor": "end" } : { dx: 5 });
      [[0.5, equal, "single", "equal weights", -8], [share, rows, "server", "weights by rows", 14]].forEach(([weight, path, colour, words, dy]) => {
        plot.curve(mean(weight), colour);
        path.forEach((w) => plot.dot([w, mean(weight)(w)], colour, 4));
        const away = path.map((w, t) => [t, Math.max(1e-9, Math.abs(w - optimum))]);
        far.path(away, colour);
        away.forEach((at) => far.dot(at, colour, 4));
        const [t, size] = away.at(-1);
        const y = Math.min(1, Math.max(2e-3, size));
        far.label([t, y], words, colour, t > 8 ? { dy, "text-anchor": "end" } : { dx: 8, dy });
      });
    },
    read(values, points) {
      const { optimum, rows, equal } = this.compute(values, points);
      return `n₂ = ${short(values.n_2)}, after ${values.t === 1 ? "1 round" : `${values.t} rounds`}: weights by rows stand at ${fixed(rows.at(-1), 4)}, `
        + `equal weights at ${fixed(equal.at(-1), 4)}; the minimiser over all rows is ${fixed(optimum, 4)}.`;
    },
  };

  // Adam under a constant gradient: how much of it the two means hold after t steps.
  figures["adam-bias"] = {
    parameters: { beta1: 0.9, beta2: 0.999 },
    points: {},
    compute({ beta1, beta2 }, _points, steps = 3000) {
      const m = (t) => 1 - beta1 ** t, root = (t) => Math.sqrt(1 - beta2 ** t);
      const ratio = (t) => m(t) / root(t);
      const lengths = Array.from({ length: steps }, (_, i) => ratio(i + 1));
      return { m, root, ratio, first: lengths[0], longest: Math.max(...lengths), at: lengths.indexOf(Math.max(...lengths)) + 1 };
    },
    panels: (left, right) => [
      [left, { from: 1, to: 3000, log: true, name: "step t", ticks: [1, 10, 100, 1000] },
        { from: 0.02, to: 40, log: true, name: "length of a step / η", ticks: [0.1, 1, 10] }],
      [right, { from: 1, to: 3000, log: true, name: "step t", ticks: [1, 10, 100, 1000] },
        { from: 0, to: 1.05, name: "share of the gradient in m and √v", ticks: [0, 0.5, 1] }],
    ],
    handles: () => ({}),
    draw([length, means], values) {
      const { m, root, ratio } = this.compute(values);
      length.curve(() => 1, "single");
      length.curve(ratio, "optimum", "5 3");
      length.label([2800, 0.5], "corrected", "single", { "text-anchor": "end" });
      length.label([2800, 24], "dashed: not corrected", "optimum", { "text-anchor": "end" });
      means.curve(m, "series-1");
      means.curve(root, "series-2", "5 3");
      means.label([1.2, 0.98], "m", "series-1");
      means.label([1.2, 0.88], "√v (dashed)", "series-2");
    },
    read(values) {
      const { first, longest, at } = this.compute(values);
      return `β₁ = ${short(values.beta1)}, β₂ = ${short(values.beta2)}: not corrected, the first step is ${short(Number(first.toPrecision(3)))} times `
        + `as long as it should be${at > 1 && longest > 1.005 ? ` and step ${at} is ${short(Number(longest.toPrecision(3)))} times` : ""}.`;
    },
  };

  // The α–β model: a message of n bytes takes α + n/β seconds. p processes sum a vector of n bytes.
  figures.collectives = {
    parameters: { p: 8, n: 1e6 },
    points: {},
    alpha: 20e-6,
    beta: 1e9,
    compute({ p, n }, _points, alpha = 20e-6, beta = 1e9) {
      return {
        ring: 2 * (p - 1) * alpha + (2 * (p - 1) / p) * (n / beta),
        tree: 2 * Math.ceil(Math.log2(p)) * (alpha + n / beta),
        star: 2 * (p - 1) * (alpha + n / beta),
        crossover: alpha * beta,
      };
    },
    panels: (left, right) => [
      [left, { from: 10, to: 1e9, log: true, name: "bytes n", ticks: [10, 1e3, 1e5, 1e7, 1e9], format: power },
        { from: 1e-5, to: 1e3, log: true, name: "seconds", ticks: [1e-5, 1e-3, 1e-1, 1e1, 1e3], format: power }],
      [right, { from: 2, to: 1024, log: true, name: "processes p", ticks: [2, 8, 32, 128, 1024] },
        { from: 1e-5, to: 1e3, log: true, name: "seconds", ticks: [1e-5, 1e-3, 1e-1, 1e1, 1e3], format: power }],
    ],
    handles: () => ({}),
    draw([bytes, processes], values) {
      const kinds = { ring: ["worker", ""], tree: ["single", "5 3"], star: ["server", "2 3"] };
      const now = this.compute(values);
      for (const [kind, [colour, dash]] of Object.entries(kinds)) {
        bytes.curve((n) => this.compute({ ...values, n })[kind], colour, dash);
        processes.curve((p) => this.compute({ ...values, p: Math.round(p) })[kind], colour, dash);
        bytes.dot([values.n, now[kind]], colour, 5);
        processes.dot([values.p, now[kind]], colour, 5);
      }
      const { crossover } = now;
      bytes.path([[crossover, 1e-5], [crossover, 1e3]], "optimum", "2 3");
      bytes.label([crossover, 200], "n* = αβ", "optimum", { dx: 5 });
      Object.keys(kinds).forEach((kind, i) => processes.label([2.2, 10 ** (2.6 - 0.75 * i)], `${kind} ${time(now[kind])}`, kinds[kind][0]));
    },
    read(values) {
      const { crossover, ...kinds } = this.compute(values);
      const [best] = Object.entries(kinds).sort((a, b) => a[1] - b[1])[0];
      const list = Object.entries(kinds).map(([kind, seconds]) => `${kind} ${time(seconds)}`).join(", ");
      return `p = ${values.p} processes sum ${short(values.n)} bytes (α = 20 µs, β = 1 GB/s, n* = ${short(crossover)} bytes): ${list}. Fastest: ${best}.`;
    },
  };

  // An endless row of ±1, the same for the same seed (mulberry32).
  function coins(seed) {
    let state = seed;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return (mixed ^ (mixed >>> 14)) & 1 ? 1 : -1;
    };
  }

  const time = (s) => (s < 1e-3 ? `${short(s * 1e6)} µs` : s < 1 ? `${short(s * 1e3)} ms` : `${short(s)} s`);

  // ---- what interaction.js asks for -------------------------------------------------------------

  // The author's list is the scale; between two of its values come more, of small counts fewer.
  function refine(words, start) {
    const listed = words.map(Number);
    const whole = listed.every(Number.isInteger);
    const geometric = listed[0] > 0 && listed.at(-1) / listed[0] >= 30;
    const values = [listed[0]];
    for (let i = 1; i < listed.length; i++) {
      const [a, b] = [listed[i - 1], listed[i]];
      const parts = whole && b - a <= 50 ? 5 : 20;
      for (let j = 1; j <= parts; j++) {
        const u = j / parts;
        const v = geometric ? a * (b / a) ** u : a + (b - a) * u;
        const round = j === parts ? b : whole ? Math.round(v) : Number(v.toPrecision(3));
        if (round > values.at(-1)) values.push(round);
      }
    }
    return { values, words: values.map(short), start: values.indexOf(listed[start]) };
  }

  function mount(stage, settings) {
    const figure = figures[settings.page];
    if (!figure) throw new Error(`no explorable is named ${settings.page}`);
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("role", "group");
    svg.setAttribute("aria-label", stage.firstElementChild.alt ?? stage.firstElementChild.textContent);
    stage.replaceChildren(svg);
    let points = structuredClone(figure.points);
    let values = { ...figure.parameters };
    let panels, put, narrow;
    const view = {
      scales: settings.values.map((words, i) => refine(words, settings.start[i])),
      onchange: () => {},
      reset() { points = structuredClone(figure.points); },
      show(given) {
        settings.names.forEach((name, i) => { values[name] = given[i]; });
        paint();
        return figure.read(values, points);
      },
    };
    const paint = () => {
      panels.forEach((panel) => panel.clear());
      figure.draw(panels, values, points);
      for (const [name, place] of Object.entries(put)) place(points[name]);
    };
    const lay = () => {
      const now = stage.clientWidth < 520;
      if (now === narrow) return;
      narrow = now;
      const [w, h] = narrow ? NARROW : WIDE;
      svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
      svg.replaceChildren();
      const boxes = narrow ? [[0, 0, w, h / 2], [0, h / 2, w, h / 2]] : [[0, 0, w / 2, h], [w / 2, 0, w / 2, h]];
      panels = figure.panels(...boxes).map((parts) => new Panel(svg, ...parts));
      put = figure.handles(panels, (name, at) => { points[name] = at; view.onchange(); });
      paint();
    };
    lay();
    new ResizeObserver(lay).observe(stage);
    return view;
  }

  function pad(place, x, y) {
    const svg = add(place, "svg", { viewBox: "0 0 420 240", tabindex: 0, role: "application",
      "aria-label": `Draw ${y.name} against ${x.name}: pointer or arrow keys` });
    return { svg, panel: new Panel(svg, [0, 0, 420, 240], x, y) };
  }

  return { figures, mount, pad, refine };
})();
