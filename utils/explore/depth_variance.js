// Signal and gradient through depth: mean squares layer by layer, as wide layers have them.
// h: what a layer passes on; q: mean square of what enters the activation; gain: sigma sqrt(width).
const ACTIVATIONS = ["none", "ReLU", "tanh", "sigmoid"];
const PATHS = ["plain", "layer norm", "RMS norm", "residual", "residual / √depth", "residual, RMS norm"];
const [NODES, REACH, BEND] = [401, 9, 8];

// Places and weights for means over a standard normal variable, finest around 0.
const [PLACES, WEIGHTS] = (() => {
  const scale = REACH / Math.sinh(BEND);
  const t = Array.from({ length: NODES }, (_, i) => (2 * i - (NODES - 1)) / (NODES - 1));
  const x = t.map((v) => scale * Math.sinh(BEND * v));
  const w = x.map((v, i) => Math.exp((-v * v) / 2) * scale * BEND * Math.cosh(BEND * t[i]));
  const total = w.reduce((a, b) => a + b);
  return [x, w.map((v) => v / total)];
})();

const mean = (f) => WEIGHTS.reduce((sum, w, i) => sum + w * f(i), 0);

// Mean square, variance and mean squared slope of activation(z), z normal of variance q.
function moments(activation, q) {
  if (activation === "none") return [q, q, 1];
  if (activation === "ReLU") return [q / 2, (q / 2) * (1 - 1 / Math.PI), 0.5];
  const root = Math.sqrt(q);
  const tanh = activation === "tanh";
  const y = PLACES.map((x) => (tanh ? Math.tanh(root * x) : 1 / (1 + Math.exp(Math.min(-root * x, 700)))));
  const slope = y.map((v) => (tanh ? 1 - v * v : v * (1 - v)));
  const middle = mean((i) => y[i]);
  const spread = mean((i) => (y[i] - middle) ** 2);
  return [middle * middle + spread, spread, mean((i) => slope[i] * slope[i])];
}

// p, the mean square of h, to the next one and the factor of the gradient's mean square.
function step(path, activation, gain2, depth, p) {
  if (!path.startsWith("residual")) { // h' = norm(activation(W h))
    const [square, spread, slope] = moments(activation, gain2 * p);
    if (path === "plain") return [square, gain2 * slope];
    return [1, (gain2 * slope) / (path === "layer norm" ? spread : square)];
  }
  if (path.endsWith("norm")) { // h' = h + W activation(h / sqrt(<h²>))
    const [square, , slope] = moments(activation, 1);
    return [p + gain2 * square, 1 + (gain2 * slope) / p];
  }
  const branch = gain2 / (path.endsWith("depth") ? depth : 1); // h' = h + W activation(h)
  const [square, , slope] = moments(activation, p);
  return [p + branch * square, 1 + branch * slope];
}

export function compute({ depth, width, sigma, activation, path }) {
  const gain = sigma * Math.sqrt(width);
  const [signal, factors] = [[1], []];
  for (let layer = 0; layer < depth; layer++) {
    const [p, factor] = step(path, activation, gain * gain, depth, signal[layer]);
    signal.push(p);
    factors.push(factor);
  }
  const gradient = [1];
  for (const factor of factors.reverse()) gradient.push(gradient.at(-1) * factor);
  return { gain, signal, gradient: gradient.reverse() };
}

const DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const power = (n) => (n ? `10${n < 0 ? "⁻" : ""}${[...`${Math.abs(n)}`].map((d) => DIGITS[d]).join("")}` : "1");

// A factor for people: 0.0123, 45, 3 × 10⁷.
function times(v) {
  if (v >= 0.001 && v < 10000) return Number(v.toPrecision(3)).toLocaleString("en-US");
  const [m, n] = v.toExponential(0).split("e");
  return `${m} × ${power(Number(n))}`;
}

function fate(v) {
  const size = Math.abs(Math.log10(v));
  if (size <= 1) return "it keeps its size within a factor of ten";
  if (size <= 3) return v > 1 ? "it grows, bearably" : "it shrinks, bearably";
  return v > 1 ? "it explodes" : "it vanishes";
}

function drawDepth(svg, result, label) {
  const depth = result.signal.length - 1;
  const [left, top, width, height] = [48, 28, 340, 210];
  const logs = [result.signal, result.gradient].map((values) => values.map(Math.log10));
  const most = Math.max(...logs.flat().map(Math.abs));
  const range = [2, 4, 10, 20, 40, 100, 200, 300].find((r) => most <= r) ?? 300;
  const x = (layer) => left + (layer / depth) * width;
  const y = (v) => top + ((range - v) / (2 * range)) * height;
  const text = (value, px, py, anchor = "middle", fill = "currentColor") =>
    make("text", { x: px, y: py, "text-anchor": anchor, style: `fill:${fill}` }, value);
  const grid = [-range, -range / 2, 0, range / 2, range].flatMap((v) => [
    make("line", { x1: left, x2: left + width, y1: y(v), y2: y(v), stroke: "currentColor", "stroke-opacity": v ? 0.2 : 0.6 }),
    text(power(v), left - 6, y(v) + 4, "end"),
  ]);
  const every = Math.max(1, Math.ceil(depth / 5 / 5) * 5);
  const ticks = [];
  for (let layer = 0; layer <= depth; layer += depth < 10 ? 1 : every) ticks.push(text(`${layer}`, x(layer), top + height + 16));
  const colors = [COLORS.blue, COLORS.orange];
  const lines = logs.map((values, i) => {
    const d = values.map((v, layer) => `${layer ? "L" : "M"}${x(layer).toFixed(1)},${y(v).toFixed(1)}`).join("");
    return make("path", { d, fill: "none", style: `stroke:${colors[i]}`, "stroke-width": 2.5, ...(i ? { "stroke-dasharray": "7 4" } : {}) });
  });
  svg.setAttribute("aria-label", `Mean squares of signal and gradient by layer, on a logarithmic axis. ${label}`);
  svg.replaceChildren(
    ...grid, ...ticks, ...lines,
    text("layer", left + width / 2, top + height + 34), text("mean square of", 4, 13, "start"),
    text("signal, forward →", 112, 13, "start", colors[0]), text("← gradient, back", left + width, 13, "end", colors[1]),
  );
}

function render({ model, el }) {
  const keys = ["depth", "width", "sigma", "activation", "path"];
  const bind = binder(model);
  const svg = make("svg", { viewBox: "0 0 400 278", role: "img", style: "display:block;width:100%;min-width:0;max-width:34rem;margin-top:0.6rem;font-size:13px" });
  const depth = slider("Depth", { min: 1, max: 64, step: 1 }, bind("depth"), (v) => `${v} layer${v > 1 ? "s" : ""}`);
  const width = slider("Width M", { min: 4, max: 10, step: 1 }, (v) => bind("width")(2 ** v), (v) => `${2 ** v}`);
  // Steps of 10^0.01 around the value that the slider was given.
  const sigma = slider("Weights' σ", { min: -2, max: 0, step: 0.01 }, (v) => bind("sigma")(10 ** v), (v) => (10 ** v).toPrecision(3));
  const activation = dropdown("Activation", ACTIVATIONS.map((v) => [v, v]), bind("activation"));
  const path = dropdown("Path", PATHS.map((v) => [v, v]), bind("path"));
  const live = make("p", { "aria-live": "polite", style: "min-height:6em;margin-top:0.5rem" });
  const table = dataTable("Mean squares by layer", ["layer", "signal", "gradient"]);
  function update() {
    const state = Object.fromEntries(keys.map((key) => [key, model.get(key)]));
    const result = compute(state);
    depth.set(state.depth);
    width.set(Math.log2(state.width));
    sigma.set(Math.log10(state.sigma));
    activation.set(state.activation);
    path.set(state.path);
    const [forward, back] = [result.signal[state.depth], result.gradient[0]];
    live.textContent =
      `σ = ${Number(state.sigma.toPrecision(3))}, so the gain σ√M is ${times(result.gain)}. Forward through ${state.depth} ` +
      `layer${state.depth > 1 ? "s" : ""} the signal's mean square becomes ${times(forward)}: ${fate(forward)}. ` +
      `On the way back the gradient's becomes ${times(back)}: ${fate(back)}.`;
    drawDepth(svg, result, live.textContent);
    const rows = [...new Set(Array.from({ length: 11 }, (_, i) => Math.round((i * state.depth) / 10)))];
    table.fill(rows.map((i) => [`${i}`, times(result.signal[i]), times(result.gradient[i])]));
  }
  for (const key of keys) model.on(`change:${key}`, update);
  const row = "display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "Fifty plain ReLU layers of width 128: which σ keeps both curves level? Double the width: which σ is it now? Then stay at a wrong σ and change the path: which of them forgive it, and on which way?"),
    make("div", { style: row }, depth.box, width.box, sigma.box),
    make("div", { style: row }, activation.box, path.box),
    svg,
    live,
    table.box,
  );
  update();
}

export default { render };
