// One neuron with two inputs: weights, bias, activation, and the line where it decides.
const POINTS = [[0, 0], [0, 1], [1, 0], [1, 1]];
const TARGETS = { AND: [0, 0, 0, 1], OR: [0, 1, 1, 1], XOR: [0, 1, 1, 0] };
const [LOW, HIGH] = [-0.5, 1.5]; // the square that is drawn, on both axes
const ACTIVATIONS = {
  step: (z) => (z > 0 ? 1 : 0),
  sigmoid: (z) => (z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z))),
  tanh: Math.tanh,
  ReLU: (z) => Math.max(z, 0),
};

function decisionLine(w1, w2, b) {
  const ends = [];
  const inside = (v) => LOW <= v && v <= HIGH;
  for (const side of [LOW, HIGH]) {
    if (w2 !== 0 && inside(-(w1 * side + b) / w2)) ends.push([side, -(w1 * side + b) / w2]);
    if (w1 !== 0 && inside(-(w2 * side + b) / w1)) ends.push([-(w2 * side + b) / w1, side]);
  }
  let [best, farthest] = [[], 0];
  ends.forEach((first, i) =>
    ends.slice(i + 1).forEach((second) => {
      const apart = (first[0] - second[0]) ** 2 + (first[1] - second[1]) ** 2;
      if (apart > farthest) [best, farthest] = [[first, second], apart];
    }),
  );
  return best;
}

export function compute({ w1, w2, b, activation, target }) {
  const z = POINTS.map(([x1, x2]) => w1 * x1 + w2 * x2 + b);
  const length = Math.sqrt(w1 * w1 + w2 * w2);
  return {
    z,
    output: z.map(ACTIVATIONS[activation]),
    correct: z.filter((v, i) => v > 0 === (TARGETS[target][i] === 1)).length,
    distance: length > 0 ? b / length : 0,
    line: decisionLine(w1, w2, b),
  };
}

// A frame with axes: functions from numbers to places, and the elements that make it up.
function frame(xRange, yRange, xTicks, yTicks, xTitle, yTitle) {
  const [left, top, size] = [44, 22, 240];
  const x = (v) => left + ((v - xRange[0]) / (xRange[1] - xRange[0])) * size;
  const y = (v) => top + ((yRange[1] - v) / (yRange[1] - yRange[0])) * size;
  const text = (value, px, py, anchor = "middle") =>
    make("text", { x: px, y: py, "text-anchor": anchor, fill: "currentColor" }, `${value}`.replace("-", "−"));
  const rule = (x1, y1, x2, y2) =>
    make("line", { x1, y1, x2, y2, stroke: "currentColor", "stroke-opacity": 0.2 });
  const parts = [
    make("rect", { x: left, y: top, width: size, height: size, fill: "none", stroke: "currentColor", "stroke-opacity": 0.4 }),
    ...xTicks.flatMap((v) => [rule(x(v), top, x(v), top + size), text(v, x(v), top + size + 16)]),
    ...yTicks.flatMap((v) => [rule(left, y(v), left + size, y(v)), text(v, left - 6, y(v) + 4, "end")]),
    text(xTitle, left + size / 2, top + size + 32),
    text(yTitle, 4, 13, "start"),
  ];
  return { x, y, parts };
}

// A point of the truth table: filled for class 1, hollow for class 0; crossed out where wrong.
function dot(px, py, isOne, right) {
  const ring = { cx: px, cy: py, r: 7, stroke: "currentColor", "stroke-width": 2, fill: isOne ? "currentColor" : "none" };
  const cross = { d: `M${px - 12},${py - 12}L${px + 12},${py + 12}M${px + 12},${py - 12}L${px - 12},${py + 12}`, style: `stroke:${COLORS.orange}`, "stroke-width": 2.5 };
  return [make("circle", ring), ...(right ? [] : [make("path", cross)])];
}

const two = (v) => (Math.abs(v) < 0.005 ? 0 : v).toFixed(2).replace("-", "−");
const signed = (v) => `${v < -0.005 ? "−" : "+"} ${two(Math.abs(v))}`;

function drawPlane(svg, state, result, label) {
  const { x, y, parts } = frame([LOW, HIGH], [LOW, HIGH], [0, 1], [0, 1], "input x₁", "input x₂");
  const [cells, step] = [[], (HIGH - LOW) / 24];
  const f = ACTIVATIONS[state.activation];
  for (let i = 0; i < 24; i++)
    for (let j = 0; j < 24; j++) {
      const [x1, x2] = [LOW + i * step, LOW + j * step];
      const value = f(state.w1 * (x1 + step / 2) + state.w2 * (x2 + step / 2) + state.b);
      const style = `fill:${value < 0 ? COLORS.orange : COLORS.blue}`;
      const place = { x: x(x1), y: y(x2 + step), width: 10.1, height: 10.1 };
      if (value !== 0) cells.push(make("rect", { ...place, style, "fill-opacity": (0.5 * Math.min(1, Math.abs(value))).toFixed(3) }));
    }
  const marks = POINTS.flatMap(([x1, x2], i) => {
    const isOne = TARGETS[state.target][i] === 1;
    return dot(x(x1), y(x2), isOne, result.z[i] > 0 === isOne);
  });
  const line = result.line.length
    ? [make("path", { d: `M${result.line.map(([a, c]) => `${x(a)},${y(c)}`).join("L")}`, style: `stroke:${COLORS.green}`, "stroke-width": 3 })]
    : [];
  svg.setAttribute("aria-label", `The plane of the two inputs. ${label}`);
  svg.replaceChildren(...cells, ...parts, ...line, ...marks);
}

function drawActivation(svg, state, result, label) {
  const top = state.activation === "ReLU" ? 6 : 1.5;
  const low = state.activation === "ReLU" ? -1 : -1.5;
  const ticks = state.activation === "ReLU" ? [0, 2, 4, 6] : [-1, 0, 1];
  const { x, y, parts } = frame([-7, 7], [low, top + (top > 2 ? 1 : 0)], [-6, -3, 0, 3, 6], ticks, "weighted sum z", `output, ${state.activation}`);
  const f = ACTIVATIONS[state.activation];
  const points = Array.from({ length: 281 }, (_, i) => -7 + i * 0.05);
  const d = points.map((v, i) => `${i ? "L" : "M"}${x(v).toFixed(1)},${y(f(v)).toFixed(1)}`).join("");
  const curve = make("path", { d, fill: "none", style: `stroke:${COLORS.blue}`, "stroke-width": 2 });
  const border = make("line", { x1: x(0), x2: x(0), y1: y(low), y2: 22, style: `stroke:${COLORS.green}`, "stroke-width": 3 });
  const marks = POINTS.flatMap((_, i) => {
    const isOne = TARGETS[state.target][i] === 1;
    return dot(x(result.z[i]), y(result.output[i]), isOne, result.z[i] > 0 === isOne);
  });
  svg.setAttribute("aria-label", `The activation with the four points. ${label}`);
  svg.replaceChildren(...parts, border, curve, ...marks);
}

function render({ model, el }) {
  const keys = ["w1", "w2", "b", "activation", "target"];
  const bind = binder(model);
  const size = { viewBox: "0 0 296 302", role: "img", style: "flex:1 1 260px;min-width:0;max-width:25rem;font-size:12px" };
  const [plane, curve] = [make("svg", size), make("svg", size)];
  const sliders = [["w1", "Weight w₁", 2], ["w2", "Weight w₂", 2], ["b", "Bias b", 3]].map(([key, name, end]) =>
    [key, slider(name, { min: -end, max: end, step: 0.1 }, bind(key), two)],
  );
  const target = choice("Target", Object.keys(TARGETS), bind("target"));
  const activation = choice("Activation", Object.keys(ACTIVATIONS), bind("activation"));
  const live = make("p", { "aria-live": "polite", style: "min-height:6em;margin-top:0.5rem" });
  const table = dataTable("The four points", ["x₁", "x₂", "weighted sum z", "output", "target", "side of the line"]);
  function update() {
    const state = Object.fromEntries(keys.map((key) => [key, model.get(key)]));
    const result = compute(state);
    for (const [key, control] of sliders) control.set(state[key]);
    target.set(state.target);
    activation.set(state.activation);
    const where = result.line.length
      ? `The line passes the origin at a distance of ${two(Math.abs(result.distance))}.`
      : state.w1 === 0 && state.w2 === 0
        ? "With both weights 0 there is no line."
        : "The line does not cross this square.";
    live.textContent =
      `z = ${two(state.w1)} x₁ ${signed(state.w2)} x₂ ${signed(state.b)}: ` +
      `${result.correct} of 4 points of ${state.target} lie on their right sides. ${where} ` +
      `Outputs at (0,0), (0,1), (1,0), (1,1): ${result.output.map(two).join(", ")}.`;
    drawPlane(plane, state, result, live.textContent);
    drawActivation(curve, state, result, live.textContent);
    table.fill(POINTS.map(([x1, x2], i) => {
      const wanted = TARGETS[state.target][i];
      return [`${x1}`, `${x2}`, two(result.z[i]), two(result.output[i]), `${wanted}`, result.z[i] > 0 === (wanted === 1) ? "right" : "wrong"];
    }));
  }
  for (const key of keys) model.on(`change:${key}`, update);
  const row = "display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "Filled points are class 1, hollow ones class 0, a cross marks the wrong side of the green line. Get all four right for AND, then for OR. How many of XOR's four can you get?"),
    make("div", { style: row }, plane, curve),
    make("div", { style: row }, ...sliders.map(([, control]) => control.box)),
    make("div", { style: row }, target.box, activation.box),
    live,
    table.box,
  );
  update();
}

export default { render };
