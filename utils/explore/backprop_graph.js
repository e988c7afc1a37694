// The computation graph of one neuron and its loss, stepped forward and backward.
// p1 = w1 x1, p2 = w2 x2, z = p1 + p2 + b, a = tanh(z), e = a - y, L = e e.
const LEAVES = ["w1", "x1", "w2", "x2", "b", "y"];
const OPERATIONS = [
  { node: "p1", operation: "product", inputs: ["w1", "x1"] },
  { node: "p2", operation: "product", inputs: ["w2", "x2"] },
  { node: "z", operation: "sum", inputs: ["p1", "p2", "b"] },
  { node: "a", operation: "tanh", inputs: ["z"] },
  { node: "e", operation: "difference", inputs: ["a", "y"] },
  { node: "L", operation: "square", inputs: ["e"] },
];
const COUNT = OPERATIONS.length; // steps 1 to COUNT forward, then the seed, then backward
const VALUE = {
  product: (u, v) => u * v,
  sum: (u, v, w) => u + v + w,
  tanh: (u) => Math.tanh(u),
  difference: (u, v) => u - v,
  square: (u) => u * u,
};
const LOCAL = {
  product: (u, v) => [v, u],
  sum: () => [1, 1, 1],
  tanh: (u) => {
    const q = Math.exp(-2 * Math.abs(u)); // 1 - tanh(u)^2, without its cancellation
    return [(4 * q) / (1 + q) ** 2];
  },
  difference: () => [1, -1],
  square: (u) => [2 * u],
};

// Values by node, and what each operation passes back: [{ node, input, local, gradient }, ...].
function sweep(settings) {
  const own = (name) => (settings.tied && name === "w2" ? "w1" : name);
  const leaves = LEAVES.filter((name) => own(name) === name);
  const value = Object.fromEntries(leaves.map((name) => [name, settings[name]]));
  const graph = OPERATIONS.map((o) => ({ ...o, inputs: o.inputs.map(own) }));
  for (const o of graph) value[o.node] = VALUE[o.operation](...o.inputs.map((i) => value[i]));
  const gradient = { ...Object.fromEntries(Object.keys(value).map((name) => [name, 0])), L: 1 };
  const passes = graph.toReversed().map(({ node, operation, inputs }) => {
    const slopes = LOCAL[operation](...inputs.map((i) => value[i]));
    return inputs.map((input, i) => {
      const passed = gradient[node] * slopes[i];
      gradient[input] += passed;
      return { node, input, local: slopes[i], passed };
    });
  });
  return { leaves, graph, value, gradient, passes };
}

export function compute(settings) {
  const { value, gradient, passes } = sweep(settings);
  const result = {};
  for (const [name, v] of Object.entries(value)) result[`value ${name}`] = v;
  for (const { node, input, local } of passes.flat()) result[`local ${input}->${node}`] = local;
  for (const [name, g] of Object.entries(gradient)) result[`gradient ${name}`] = g;
  return result;
}

const sub = (name) => name.replace("1", "₁").replace("2", "₂");
const show = (v, digits = 3) => (v === 0 ? "0" : v.toPrecision(digits)).replace("-", "−");
const FORMULA = {
  product: (n, i) => `${n} = ${i[0]} ${i[1]}`,
  sum: (n, i) => `${n} = ${i.join("+")}`,
  tanh: (n, i) => `${n} = tanh ${i[0]}`,
  difference: (n, i) => `${n} = ${i[0]} − ${i[1]}`,
  square: (n, i) => `${n} = ${i[0]}²`,
};
const RULE = {
  product: "a product passes the other factor",
  sum: "a sum passes 1 to each term",
  tanh: "the derivative of tanh is 1 − a²",
  difference: "a difference passes 1 and −1",
  square: "the derivative of e² is 2e",
};
const formula = (o) => FORMULA[o.operation](sub(o.node), o.inputs.map(sub));

// What is known after `step` steps: which nodes have values, gradients, and which edges passed.
function known(s, step) {
  const forward = s.graph.slice(0, step).map((o) => o.node);
  const passed = s.passes.slice(0, Math.max(0, step - COUNT - 1));
  const gradient = step > COUNT ? { L: 1 } : {};
  for (const { input, passed: p } of passed.flat()) gradient[input] = (gradient[input] ?? 0) + p;
  const active = step > COUNT + 1 ? passed.at(-1) : [];
  return { values: new Set([...s.leaves, ...forward]), gradient, passed: passed.flat(), active };
}

// One sentence for a step.
function say(s, step) {
  const head = `Step ${step} of ${2 * COUNT + 1}`;
  if (step === 0) return `${head}. The inputs are given; nothing is computed yet.`;
  if (step <= COUNT) {
    const o = s.graph[step - 1];
    return `${head}, forward: ${formula(o)} = ${show(s.value[o.node])}.`;
  }
  if (step === COUNT + 1) return `${head}, the way back begins: the gradient of L in itself is 1.`;
  const pass = s.passes[step - COUNT - 2];
  const o = s.graph.find(({ node }) => node === pass[0].node);
  const before = known(s, step - 1).gradient;
  const parts = pass.map(({ node, input, local, passed }) => {
    const sum = input in before ? `, which with ${show(before[input])} makes ${show(before[input] + passed)}` : "";
    return `${sub(input)} gets ${show(before[node])} × ${show(local)} = ${show(passed)}${sum}`;
  });
  return `${head}, backward through ${formula(o)} (${RULE[o.operation]}): ${parts.join("; ")}.`;
}

// Where nodes stand: [layer, place]; layers run to the right on a wide screen, else downward.
const PLACE = {
  w1: [0, 0], x1: [0, 1], w2: [0, 2], x2: [0, 3], p1: [1, 0.5], b: [1, 1.5], p2: [1, 2.5],
  z: [2, 1.5], a: [3, 1.5], y: [3, 2.6], e: [4, 1.5], L: [5, 1.5],
};
const TIED = { ...PLACE, x1: [0, 0], w1: [0, 1.5], x2: [0, 3] };
const [BOX_W, BOX_H] = [82, 54];
const EXTRA = { z: 16 }; // what a box is wider than the others
const extra = (name) => (EXTRA[name] ?? 0) / 2;

function picture() {
  const svg = make("svg", { role: "img" });
  svg.style.cssText = "display:block;width:100%;font-size:12px";
  function arrow(from, to, style) {
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    const n = Math.hypot(dx, dy);
    const [ux, uy] = [dx / n, dy / n];
    const foot = [to[0] - 8 * ux, to[1] - 8 * uy];
    const wings = [1, -1].map((k) => [foot[0] - 4 * k * uy, foot[1] + 4 * k * ux]);
    const points = [to, ...wings].map((p) => p.map((v) => v.toFixed(1)).join(",")).join(" ");
    const line = { x1: from[0], y1: from[1], x2: foot[0], y2: foot[1] };
    const plain = { fill: style.stroke, "fill-opacity": style["stroke-opacity"] ?? 1 };
    svg.append(make("line", { ...line, ...style }), make("polygon", { points, ...plain }));
  }
  function draw(s, step, narrow, label) {
    const place = s.leaves.includes("w2") ? PLACE : TIED;
    const [along, across] = narrow ? [94, 84] : [134, 68];
    const corner = (name) => {
      const [u, v] = [place[name][0] * along, place[name][1] * across];
      return narrow ? [v + 2, u + 2] : [u + 2, v + 2];
    };
    const size = narrow ? [3 * 84 + BOX_W + 4, 5 * 94 + BOX_H + 4] : [5 * 134 + BOX_W + 4, 3 * 68 + BOX_H + 4];
    svg.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
    svg.style.maxWidth = `${size[0] * 1.15}px`;
    svg.setAttribute("aria-label", label);
    svg.replaceChildren();
    const k = known(s, step);
    const [nowNode, nowColor] = step <= COUNT ? [s.graph[step - 1]?.node, COLORS.blue] : [k.active[0]?.node ?? "L", COLORS.orange];
    for (const o of s.graph) {
      o.inputs.forEach((input, i) => {
        const spread = ((i + 1) / (o.inputs.length + 1) - 0.5) * 0.6;
        const [sx, sy] = corner(input);
        const [tx, ty] = corner(o.node);
        const ends = narrow
          ? [[sx + BOX_W / 2, sy + BOX_H], [tx + BOX_W * (0.5 + spread), ty]]
          : [[sx + BOX_W + extra(input), sy + BOX_H / 2], [tx - extra(o.node), ty + BOX_H * (0.5 + spread)]];
        const pass = k.passed.find((p) => p.node === o.node && p.input === input);
        const active = k.active.includes(pass) || (step <= COUNT && o.node === nowNode);
        const style = active
          ? { stroke: nowColor, "stroke-width": 2.5 }
          : { stroke: "currentColor", "stroke-width": 1, "stroke-opacity": 0.6 };
        arrow(...(active && pass ? ends.toReversed() : ends), style);
        if (pass) edgeLabel(`×${show(pass.local, 2)}`, ends, narrow ? 0.6 : 0.5, active);
      });
    }
    for (const name of Object.keys(s.value)) box(s, k, name, corner(name), name === nowNode, nowColor);
  }
  // Beside the edge and on a ground of the page's colour, so that no line runs through it.
  function edgeLabel(text, [from, to], share, active) {
    const [x, y] = [0, 1].map((i) => share * from[i] + (1 - share) * to[i] + 4 * i);
    const halo = "paint-order:stroke;stroke:var(--pst-color-background, var(--jp-layout-color1, Canvas));stroke-width:4px";
    const weight = active ? "bold" : "normal";
    const style = { style: halo, fill: COLORS.purple, "text-anchor": "middle", "font-weight": weight };
    labels.push(make("text", { x, y, ...style }, text));
  }
  let labels = [];
  function box(s, k, name, [x, y], now, color) {
    const leaf = s.leaves.includes(name);
    const gets = k.active.some(({ input }) => input === name);
    const stroke = now || gets ? color : "currentColor";
    const frame = { x: x - extra(name), y, width: BOX_W + 2 * extra(name), height: BOX_H, rx: leaf ? 0 : 10, fill: "none", stroke };
    svg.append(make("rect", { ...frame, "stroke-width": now ? 3 : gets ? 2 : 1 }));
    const title = leaf ? sub(name) : formula(s.graph.find((o) => o.node === name));
    const lines = [
      [title, "currentColor"],
      [k.values.has(name) ? show(s.value[name]) : "·", COLORS.blue],
      [name in k.gradient ? `∂ ${show(k.gradient[name])}` : "", COLORS.orange],
    ];
    lines.forEach(([text, fill], i) => {
      const at = { x: x + BOX_W / 2, y: y + 16 + 16 * i, "text-anchor": "middle", fill };
      svg.append(make("text", { ...at, "font-weight": i ? "bold" : "normal" }, text));
    });
  }
  return {
    svg,
    draw(...arguments_) {
      labels = [];
      draw(...arguments_);
      svg.append(...labels);
    },
  };
}

function render({ model, el }) {
  const SEPARATE = "w₂, its own";
  const SHARED = "w₁ again";
  const bind = binder(model);
  const sliders = Object.fromEntries(LEAVES.map((name) => {
    const range = name === "y" ? { min: -1, max: 1, step: 0.1 } : { min: -2, max: 2, step: 0.1 };
    const one = slider(sub(name), range, bind(name), (v) => Number(v).toFixed(1).replace("-", "−"));
    return [name, one];
  }));
  const tie = choice("Second weight", [SEPARATE, SHARED], (v) => bind("tied")(v === SHARED));
  const steps = stepper("Step through the graph", 2 * COUNT + 1, bind("step"));
  const drawing = picture();
  const live = make("p", { "aria-live": "polite", style: "margin:0.5rem 0" });
  const table = dataTable("All values and gradients at these settings", [
    "node", "formula", "value", "gradient of L",
  ]);
  let narrow = false;
  function update() {
    const settings = Object.fromEntries([...LEAVES, "tied"].map((key) => [key, model.get(key)]));
    const [s, step] = [sweep(settings), model.get("step")];
    for (const name of LEAVES) {
      sliders[name].set(settings[name]);
      sliders[name].box.style.flex = narrow ? "1 1 8rem" : "1 1 5.5rem";
    }
    sliders.w2.box.style.visibility = settings.tied ? "hidden" : "visible";
    tie.set(settings.tied ? SHARED : SEPARATE);
    steps.set(step);
    const text = say(s, step);
    live.style.minHeight = narrow ? "11.8em" : "5em";
    if (live.textContent !== text) live.textContent = text;
    drawing.draw(s, step, narrow, `Graph of L = (tanh(w₁x₁ + w₂x₂ + b) − y)². ${text}`);
    table.fill(Object.keys(s.value).map((name) => {
      const o = s.graph.find(({ node }) => node === name);
      return [sub(name), o ? formula(o) : "given", show(s.value[name]), show(s.gradient[name])];
    }));
  }
  const events = [...LEAVES, "tied", "step"].map((key) => `change:${key}`);
  for (const event of events) model.on(event, update);
  const observer = new ResizeObserver(([entry]) => {
    const now = entry.contentRect.width < 560;
    if (now !== narrow) {
      narrow = now;
      update();
    }
  });
  const row = "display:flex;flex-wrap:wrap;gap:0.3rem 1rem;align-items:end";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "Step to the end, then raise b to 2 with y at −1: the neuron is as wrong as it can be, yet the gradients of its weights shrink to a twentieth. At which edge are they lost?"),
    make("div", { style: row }, ...LEAVES.map((name) => sliders[name].box)),
    make("div", { style: row }, steps.box, tie.box),
    live,
    drawing.svg,
    table.box,
  );
  update();
  observer.observe(el);
  return () => {
    observer.disconnect();
    for (const event of events) model.off(event, update);
  };
}

export default { render };
