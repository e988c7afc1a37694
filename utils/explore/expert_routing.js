// Routing tokens to experts: top-k, capacity, dropped tokens, and the load-balancing loss.
const EXPERTS = 4;
const TOKENS = [
  [1.31, 0.46], [0.52, 1.17], [-0.38, 1.43], [-1.22, 0.71], [-1.36, -0.29], [-0.83, -1.08], [0.17, -1.39], [1.06, -0.91],
  [0.94, 0.83], [0.08, 0.97], [-0.91, 1.12], [-0.97, 0.18], [-1.04, -0.74], [-0.29, -0.86], [0.69, -1.13], [1.42, -0.21],
];
const sum = (list) => list.reduce((a, b) => a + b, 0);

function directions(fan) {
  const angles = Array.from({ length: EXPERTS }, (_, e) => ((45 + fan * (e - (EXPERTS - 1) / 2)) * Math.PI) / 180);
  return angles.map((a) => [Math.cos(a), Math.sin(a)]);
}

function softmax(scores) {
  const parts = scores.map((s) => Math.exp(s - Math.max(...scores)));
  return parts.map((p) => p / sum(parts));
}

export function compute({ chosen, start, scale, fan, factor }) {
  const vectors = directions(fan);
  const n = TOKENS.length;
  const [probability, experts, weight] = [[], [], []];
  for (const [x, y] of TOKENS) {
    const scores = vectors.map(([a, b], e) => scale * (x * a + y * b) + (e === 0 ? start : 0));
    const order = [0, 1, 2, 3].sort((a, b) => scores[b] - scores[a] || a - b).slice(0, chosen);
    probability.push(softmax(scores));
    experts.push(order);
    weight.push(softmax(order.map((e) => scores[e])));
  }
  const capacity = Math.ceil((factor * chosen * n) / EXPERTS);
  const load = Array(EXPERTS).fill(0);
  const kept = TOKENS.map(() => Array(chosen).fill(0));
  for (let rank = 0; rank < chosen; rank++)
    for (let token = 0; token < n; token++) {
      const expert = experts[token][rank];
      load[expert] += 1;
      kept[token][rank] = load[expert] <= capacity ? 1 : 0;
    }
  const seated = load.map((count) => Math.min(count, capacity));
  const mean = load.map((_, e) => sum(probability.map((p) => p[e])) / n);
  return {
    probability, experts, weight, kept, load, seated, capacity,
    dropped: sum(load) - sum(seated),
    lost: kept.filter((row) => !row.some(Boolean)).length,
    idle: EXPERTS * capacity - sum(seated),
    loss: EXPERTS * sum(load.map((c, e) => (c / n) * mean[e])),
  };
}

const NAMES = ["blue", "orange", "green", "purple"];
const color = (e) => COLORS[NAMES[e]];
const two = (v) => (Math.abs(v) < 0.005 ? 0 : v).toFixed(2).replace("-", "−");
const many = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;

// Tokens as numbered dots, the number being the expert that works on them; experts as arrows.
function drawPlane(svg, state, result, label) {
  const [size, reach] = [300, 1.75];
  const [px, py] = [(v) => size / 2 + (v / reach) * (size / 2), (v) => size / 2 - (v / reach) * (size / 2)];
  const text = (value, x, y, fill, extra = {}) => make("text", { x, y, "text-anchor": "middle", style: `fill:${fill}`, ...extra }, value);
  svg.setAttribute("aria-label", `Sixteen tokens and four experts. ${label}`);
  svg.replaceChildren(
    make("line", { x1: 0, x2: size, y1: py(0), y2: py(0), stroke: "currentColor", "stroke-opacity": 0.2 }),
    make("line", { x1: px(0), x2: px(0), y1: 0, y2: size, stroke: "currentColor", "stroke-opacity": 0.2 }),
  );
  directions(state.fan).forEach(([a, b], e) => {
    const length = 0.5 - 0.05 * e * (state.fan < 20 ? 1 : 0); // arrows on one another stay apart
    svg.append(make("line", { x1: px(0), y1: py(0), x2: px(a * length), y2: py(b * length), style: `stroke:${color(e)}`, "stroke-width": 3 }));
    const turn = state.fan < 20 ? (e - 1.5) * 0.24 : 0;
    svg.append(text(`E${e + 1}`, px(a * 0.64 - b * turn), py(b * 0.64 + a * turn) + 4, color(e), { "font-weight": "bold" }));
  });
  TOKENS.forEach(([x, y], i) => {
    const seated = result.experts[i].filter((_, rank) => result.kept[i][rank]);
    const fill = seated.length ? color(seated[0]) : "currentColor";
    const dot = { cx: px(x), cy: py(y), r: 11, style: `stroke:${fill};fill:${fill}`, "fill-opacity": seated.length ? 0.15 : 0, "stroke-width": 2 };
    if (!seated.length) dot["stroke-dasharray"] = "3 3";
    svg.append(make("circle", dot));
    svg.append(text(seated.length ? seated.map((e) => e + 1).join("+") : "×", px(x), py(y) + 4, fill));
  });
}

// A bar an expert: choices with a seat filled, without one outlined; the line is the capacity.
function drawLoad(svg, result, label) {
  const [left, top, width, height] = [40, 24, 250, 210];
  const high = Math.max(16, result.capacity, ...result.load);
  const y = (v) => top + height - (v / high) * height;
  const text = (value, x, at, anchor = "middle", fill = "currentColor") =>
    make("text", { x, y: at, "text-anchor": anchor, style: `fill:${fill}` }, value);
  svg.setAttribute("aria-label", `Tokens of each expert. ${label}`);
  svg.replaceChildren(text("tokens; line: seats of an expert", 4, 12, "start"));
  for (let i = 0; i <= 4; i++) {
    const v = (high * i) / 4;
    svg.append(make("line", { x1: left, x2: left + width, y1: y(v), y2: y(v), stroke: "currentColor", "stroke-opacity": 0.2 }));
    svg.append(text(`${Number(v.toFixed(1))}`, left - 6, y(v) + 4, "end"));
  }
  result.load.forEach((count, e) => {
    const [x, seated] = [left + ((e + 0.5) * width) / EXPERTS, result.seated[e]];
    svg.append(make("rect", { x: x - 18, width: 36, y: y(seated), height: y(0) - y(seated), style: `fill:${color(e)}` }));
    svg.append(make("rect", { x: x - 18, width: 36, y: y(count), height: y(seated) - y(count), fill: "none", style: `stroke:${color(e)}`, "stroke-width": 2, "stroke-dasharray": "3 3" }));
    svg.append(text(`E${e + 1}: ${count}`, x, 254, "middle", color(e)));
  });
  svg.append(make("line", { x1: left, x2: left + width, y1: y(result.capacity), y2: y(result.capacity), stroke: "currentColor", "stroke-width": 2 }));
}

function say(state, result) {
  const busiest = result.load.indexOf(Math.max(...result.load));
  const even = result.load.every((count) => count === result.load[0]);
  const most = even ? "Each expert is chosen" : `Expert ${busiest + 1} is chosen most,`;
  return (
    `${many(result.capacity, "seat")} an expert. ${most} ${many(result.load[busiest], "time")}. ` +
    `${many(result.dropped, "choice")} without a seat, ${many(result.lost, "token")} without any expert, ${many(result.idle, "seat")} empty. ` +
    `Load-balancing loss ${two(result.loss)}; a router that treats all alike has ${two(state.chosen)}, and the worst 4.00.`
  );
}

function render({ model, el }) {
  const keys = ["chosen", "start", "scale", "fan", "factor"];
  const bind = binder(model);
  const style = "flex:1 1 260px;min-width:0;max-width:24rem;font-size:12px";
  const plane = make("svg", { viewBox: "0 0 300 300", role: "img", style });
  const bars = make("svg", { viewBox: "0 0 300 262", role: "img", style });
  const sliders = [
    ["start", "Head start of E1", 0, 6, 0.25, two],
    ["fan", "Angle of neighbors", 0, 90, 5, (v) => `${v}°`],
    ["scale", "Scale of the router", 0.5, 4, 0.25, two],
    ["factor", "Capacity factor", 0.5, 4, 0.25, two],
  ].map(([key, name, min, max, step, show]) => [key, slider(name, { min, max, step }, bind(key), show)]);
  const chosen = choice("Experts a token", [1, 2], bind("chosen"));
  const live = make("p", { "aria-live": "polite", style: "min-height:6em;margin-top:0.5rem" });
  const table = dataTable("The sixteen tokens", ["token", "x", "y", "E1", "E2", "E3", "E4", "chosen", "weight", "seat"]);
  function update() {
    const state = Object.fromEntries(keys.map((key) => [key, model.get(key)]));
    const result = compute(state);
    for (const [key, control] of sliders) control.set(state[key]);
    chosen.set(state.chosen);
    live.textContent = say(state, result);
    drawPlane(plane, state, result, live.textContent);
    drawLoad(bars, result, live.textContent);
    table.fill(TOKENS.map(([x, y], i) => [
      `${i + 1}`, two(x), two(y), ...result.probability[i].map(two), result.experts[i].map((e) => `E${e + 1}`).join(", "),
      result.weight[i].map(two).join(", "), result.kept[i].map((k) => (k ? "yes" : "no")).join(", "),
    ]));
  }
  for (const key of keys) model.on(`change:${key}`, update);
  const row = "display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "Give expert 1 a head start until the load-balancing loss has doubled. How many tokens does no expert work on? Which capacity factor seats them all, and how many seats then stay empty?"),
    make("div", { style: row }, plane, bars),
    make("div", { style: row }, ...sliders.map(([, control]) => control.box), chosen.box),
    live,
    table.box,
  );
  update();
}

export default { render };
