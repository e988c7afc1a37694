// Rotary position embedding: how far each pair of a query and a key turns, and their product.
const [PAIRS, LAST] = [8, 63];
const BASES = ["100", "10000", "500000"];

const frequencies = (base) => Array.from({ length: PAIRS }, (_, i) => base ** (-i / PAIRS));

function similarity(distance, base) {
  return frequencies(base).reduce((sum, w) => sum + Math.cos(distance * w), 0) / PAIRS;
}

export function compute({ query, key, pair, base }) {
  const frequency = frequencies(Number(base));
  const apart = frequency.map((w) => (query - key) * w);
  return {
    frequency,
    period: frequency.map((w) => (2 * Math.PI) / w),
    apart,
    cosine: apart.map(Math.cos),
    query_angle: query * frequency[pair - 1],
    key_angle: key * frequency[pair - 1],
    score: similarity(query - key, Number(base)),
  };
}

const minus = (text) => text.replace("-", "−");
const two = (v) => minus((Math.abs(v) < 0.005 ? 0 : v).toFixed(2));
const degrees = (v) => {
  const value = (v * 180) / Math.PI;
  return minus(`${Math.abs(value) < 10 ? Number(value.toFixed(2)) : Math.round(value)}`);
};
const turns = (v) => (v < 100 ? v.toFixed(1) : whole(v));

// The two arrows of one pair, and the arc between them.
function drawCircle(svg, state, result, label) {
  const [cx, cy, r] = [148, 152, 104];
  const at = (angle) => [cx + r * Math.cos(angle), cy - r * Math.sin(angle)];
  const text = (value, px, py, fill = "currentColor") =>
    make("text", { x: px, y: py, "text-anchor": "middle", style: `fill:${fill}` }, value);
  // The key is the thick one, so that both are seen where they lie on each other.
  const arrow = (angle, color, width) => {
    const [x, y] = at(angle);
    return [
      make("line", { x1: cx, y1: cy, x2: x, y2: y, style: `stroke:${color}`, "stroke-width": width }),
      make("circle", { cx: x, cy: y, r: 2 + width, style: `fill:${color}` }),
    ];
  };
  svg.setAttribute("aria-label", `Pair ${state.pair} on a circle. ${label}`);
  svg.replaceChildren(
    text(`pair ${state.pair}: its two numbers as a point`, cx, 12),
    make("circle", { cx, cy, r, fill: "none", stroke: "currentColor", "stroke-opacity": 0.4 }),
    make("line", { x1: cx - r, x2: cx + r, y1: cy, y2: cy, stroke: "currentColor", "stroke-opacity": 0.2 }),
    make("line", { x1: cx, x2: cx, y1: cy - r, y2: cy + r, stroke: "currentColor", "stroke-opacity": 0.2 }),
    ...arrow(result.key_angle, COLORS.orange, 7),
    ...arrow(result.query_angle, COLORS.blue, 2.5),
    text("query, thin", cx - 60, 290, COLORS.blue),
    text("key, thick", cx + 60, 290, COLORS.orange),
  );
}

function render({ model, el }) {
  const keys = ["query", "key", "pair", "base"];
  const bind = binder(model);
  const style = "flex:1 1 260px;min-width:0;max-width:24rem;font-size:12px";
  const circle = make("svg", { viewBox: "0 0 296 302", role: "img", style });
  const curve = chart([-64, 64], [-1, 1], "distance, query − key", "product, 1 at the same place");
  const shown = make("span", { style: `color:${COLORS.orange}` });
  const names = make("span", { style: `color:${COLORS.blue};margin-right:1.5rem` }, "solid: all eight pairs");
  const legend = make("div", { style: "font-size:0.8em;text-align:center" }, names, shown);
  curve.svg.style.width = "100%";
  const right = make("div", { style: "flex:1 1 280px;min-width:0;max-width:100%" }, curve.svg, legend);
  const sliders = [
    ["query", "Position of the query", 0, LAST],
    ["key", "Position of the key", 0, LAST],
    ["pair", "Pair shown", 1, PAIRS],
  ].map(([key, name, min, max]) => [key, slider(name, { min, max, step: 1 }, bind(key))]);
  const base = choice("Base", BASES, bind("base"));
  const live = make("p", { "aria-live": "polite", style: "min-height:6em;margin-top:0.5rem" });
  const table = dataTable("The eight pairs", ["pair", "degrees a position", "positions a turn", "degrees apart", "cosine"]);
  function update() {
    const state = Object.fromEntries(keys.map((key) => [key, model.get(key)]));
    const result = compute(state);
    const distance = state.query - state.key;
    for (const [key, control] of sliders) control.set(state[key]);
    base.set(state.base);
    const i = state.pair - 1;
    live.textContent =
      `Distance ${minus(`${distance}`)}. Pair ${state.pair} turns ${degrees(result.frequency[i])}° a position, ` +
      `once in ${turns(result.period[i])} positions: the query by ${degrees(result.query_angle)}°, ` +
      `the key by ${degrees(result.key_angle)}°, so they are ${degrees(result.apart[i])}° apart. ` +
      `The product of all eight pairs is ${two(result.score)}.`;
    drawCircle(circle, state, result, live.textContent);
    const all = { f: (v) => similarity(v, Number(state.base)), color: COLORS.blue, name: "", at: 0, shift: 0 };
    const one = { f: (v) => Math.cos(v * result.frequency[i]), color: COLORS.orange, dash: "3 3", name: "", at: 0, shift: 0 };
    curve.draw([one, all], distance, `Product against distance. ${live.textContent}`);
    shown.textContent = `dotted: pair ${state.pair} alone`;
    table.fill(result.frequency.map((w, j) => [`${j + 1}`, degrees(w), turns(result.period[j]), degrees(result.apart[j]), two(result.cosine[j])]));
  }
  for (const key of keys) model.on(`change:${key}`, update);
  const row = "display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "Query and key were the same vector before they were turned. Move both by the same number of positions: what changes, and what does not? Then go to the largest distance: which pairs have not yet made a quarter turn, and what does a larger base do to them?"),
    make("div", { style: row }, circle, right),
    make("div", { style: row }, ...sliders.map(([, control]) => control.box), base.box),
    live,
    table.box,
  );
  update();
}

export default { render };
