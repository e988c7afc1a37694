// Gradient descent with momentum on (x² + L y²) / 2: the path and the loss.
// rate: step size; curvature: L, of the steep direction (the flat one has 1).
const STEPS = 60;
const START = [1.2, 1];

function factor(rate, curvature, momentum) {
  const b = 1 + momentum - rate * curvature;
  const inside = b * b - 4 * momentum;
  return inside < 0 ? Math.sqrt(momentum) : (Math.abs(b) + Math.sqrt(inside)) / 2;
}

export function compute({ rate, curvature, momentum }) {
  const [x, y] = [1, curvature].map((slope, i) => {
    const path = [START[i]];
    let speed = 0;
    for (let step = 0; step < STEPS; step++) {
      speed = momentum * speed - rate * slope * path[step];
      path.push(path[step] + speed);
    }
    return path;
  });
  return {
    x,
    y,
    loss: x.map((a, i) => (a * a + curvature * y[i] * y[i]) / 2),
    flat: factor(rate, 1, momentum),
    steep: factor(rate, curvature, momentum),
    limit: (2 * (1 + momentum)) / curvature,
  };
}

const clamp = (v, low, high) => Math.min(high, Math.max(low, v));

function line(points, x, y, color) {
  const d = points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)},${y(b).toFixed(1)}`).join("");
  const dots = points.map(([a, b]) => make("circle", { cx: x(a), cy: y(b), r: 2.5, style: `fill:${color}` }));
  return [make("path", { d, fill: "none", style: `stroke:${color}`, "stroke-width": 1.5 }), ...dots];
}

function drawValley(svg, state, result, label) {
  const ticks = [-1.5, 0, 1.5];
  const { x, y, parts, inside } = axesFrame([-1.5, 1.5], [-1.5, 1.5], ticks, ticks.map((v) => [v, v]), "flat direction x (curvature 1)", "steep direction y (curvature L)");
  const rings = [0.05, 0.2, 0.5, 1, 2, 4, 8].map((level) =>
    make("ellipse", {
      cx: x(0), cy: y(0), rx: x(Math.sqrt(2 * level)) - x(0), ry: y(0) - y(Math.sqrt((2 * level) / state.curvature)),
      fill: "none", stroke: "currentColor", "stroke-opacity": 0.35,
    }),
  );
  const points = result.x.map((a, i) => [clamp(a, -99, 99), clamp(result.y[i], -99, 99)]);
  const minimum = make("circle", { cx: x(0), cy: y(0), r: 4, fill: "none", style: `stroke:${COLORS.green}`, "stroke-width": 2 });
  svg.setAttribute("aria-label", `The valley from above, with the path. ${label}`);
  svg.replaceChildren(...parts, inside(...rings, ...line(points, x, y, COLORS.blue), minimum));
}

function drawLoss(svg, result, label) {
  const powers = [-8, -4, 0, 4].map((v) => [v, { "-8": "10⁻⁸", "-4": "10⁻⁴", 0: "1", 4: "10⁴" }[v]]);
  const { x, y, parts, inside } = axesFrame([0, STEPS], [-8, 4], [0, 20, 40, 60], powers, "step", "loss");
  const points = result.loss.map((v, i) => [i, clamp(Math.log10(v), -99, 99)]);
  svg.setAttribute("aria-label", `The loss, step by step. ${label}`);
  svg.replaceChildren(...parts, inside(...line(points, x, y, COLORS.blue)));
}

function render({ model, el }) {
  const keys = ["rate", "curvature", "momentum"];
  const bind = binder(model);
  const size = { viewBox: "0 0 332 286", role: "img", style: "flex:1 1 270px;min-width:0;max-width:27rem;font-size:12px" };
  const [valley, curve] = [make("svg", size), make("svg", size)];
  const rate = slider("Step size η", { min: 0.01, max: 1, step: 0.01 }, bind("rate"), (v) => v.toFixed(2));
  const curvature = slider("Largest curvature L", { min: 1, max: 40, step: 1 }, bind("curvature"));
  const momentum = slider("Momentum β", { min: 0, max: 0.95, step: 0.05 }, bind("momentum"), (v) => v.toFixed(2));
  const live = make("p", { "aria-live": "polite", style: "min-height:6em;margin-top:0.5rem" });
  const table = dataTable("The path", ["step", "x", "y", "loss"]);
  const n = (v) => Number(v.toPrecision(3)).toString().replace("-", "−");
  function update() {
    const state = Object.fromEntries(keys.map((key) => [key, model.get(key)]));
    const result = compute(state);
    rate.set(state.rate);
    curvature.set(state.curvature);
    momentum.set(state.momentum);
    const worst = Math.max(result.flat, result.steep);
    const end = Math.abs(worst - 1) < 1e-9 ? "It stays at the edge" : worst < 1 ? "It converges" : "It diverges";
    live.textContent =
      `η L = ${n(state.rate * state.curvature)}; the limit of η is 2(1 + β)/L = ${n(result.limit)}. ${end}: in the long run a step ` +
      `multiplies the distance by ${n(result.flat)} along the flat direction and by ${n(result.steep)} along the steep one. ` +
      `The loss after ${STEPS} steps is ${n(result.loss[STEPS])}.`;
    drawValley(valley, state, result, live.textContent);
    drawLoss(curve, result, live.textContent);
    table.fill([0, 1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 60].map((i) => [`${i}`, n(result.x[i]), n(result.y[i]), n(result.loss[i])]));
  }
  for (const key of keys) model.on(`change:${key}`, update);
  const row = "display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "Without momentum, at which step size does the path stop coming nearer? Double L: where is that now? Which direction, the flat or the steep one, then sets the pace, and what does momentum change?"),
    make("div", { style: row }, rate.box, curvature.box, momentum.box),
    make("div", { style: row }, valley, curve),
    live,
    table.box,
  );
  update();
}

export default { render };
