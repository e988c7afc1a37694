// A token's way through a block of a transformer: stations, shapes, parameters, operations.
const KINDS = ["encoder", "decoder", "decoder with a source"];
const station = (name, shape, parameters = 0, flops = 0) => ({ name, shape, parameters, flops });
const product = (shape) => shape.reduce((a, b) => a * b, 1);

function attention(part, T, S, D, H) {
  const [square, pairs] = [D * D + D, 2 * T * S * D];
  return [
    station(`${part}: norm`, [T, D], 2 * D),
    station(`${part}: queries`, [H, T, D / H], square, 2 * T * D * D),
    station(`${part}: keys and values`, [2, H, S, D / H], 2 * square, 4 * S * D * D),
    station(`${part}: weights`, [H, T, S], 0, pairs),
    station(`${part}: means of values`, [H, T, D / H], 0, pairs),
    station(`${part}: output matrix`, [T, D], square, 2 * T * D * D),
    station(`${part}: added`, [T, D]),
  ];
}

export function compute({ kind, log_T, log_S, log_D, log_H, factor }) {
  const [T, S, D, H] = [2 ** log_T, 2 ** log_S, 2 ** log_D, 2 ** Math.min(log_H, log_D)];
  const inner = factor * D;
  const stations = [
    station("token vectors", [T, D]),
    ...attention("attention", T, T, D, H),
    ...(kind === KINDS[2] ? attention("cross-attention", T, S, D, H) : []),
    station("feed-forward: norm", [T, D], 2 * D),
    station("feed-forward: up, activation", [T, inner], D * inner + inner, 2 * T * D * inner),
    station("feed-forward: down", [T, D], D * inner + D, 2 * T * D * inner),
    station("feed-forward: added", [T, D]),
  ];
  const sizes = stations.map(({ shape }) => product(shape));
  const sum = (key) => stations.reduce((total, row) => total + row[key], 0);
  return { stations, parameters: sum("parameters"), flops: sum("flops"), largest: sizes.indexOf(Math.max(...sizes)) };
}

const shapeText = (shape) => `(${shape.map(whole).join(", ")})`;

// What a station does to the numbers of one token.
function meaning(name, kind) {
  const cross = name.startsWith("cross");
  const texts = {
    "token vectors": "One vector a token: its embedding and position, or what the block before made of it.",
    norm: "Each token by itself: mean 0, variance 1, then a factor and a shift for each column.",
    queries: "Each token by itself: what it looks for, split among the heads.",
    "keys and values": cross ? "Each token of the source by itself." : "Each token by itself: what it is found by, and what it hands over.",
    weights: cross
      ? "Each token meets each token of the source."
      : kind === "encoder" ? "Here tokens meet: each sees all." : "Here tokens meet: each sees itself and those before it; hidden pairs get weight 0.",
    "means of values": `Each token receives something from ${cross ? "the source" : "those it sees"}: one mean of values from each head.`,
    "output matrix": "Each token by itself: the heads' answers are mixed.",
    added: "The sum with what came in. The first shape is back, so blocks can be stacked.",
    "up, activation": "Each token by itself, into the inner width; negative numbers become 0.",
    down: "Each token by itself, back to the model's width.",
  };
  return texts[name.split(": ").at(-1)];
}

// Where there is little room a station's name stands above its bar, else beside it.
function draw(svg, rows, step, narrow, label) {
  const [width, left, top, line] = narrow ? [350, 8, 26, 38] : [640, 226, 26, 22];
  const height = top + 19 * line + 8;
  const most = Math.max(1, ...rows.map((row) => Math.log2(product(row.shape))));
  const x = (power) => left + (power / Math.ceil(most)) * (width - left - 145);
  const text = (value, px, py, anchor, more = {}) =>
    make("text", { x: px, y: py, "text-anchor": anchor, fill: "currentColor", ...more }, value);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("aria-label", label);
  const parts = [text("length of a bar: log₂ of the numbers held", left, 14, "start")];
  rows.forEach((row, i) => {
    const y = top + i * line + (narrow ? 16 : 0);
    const now = i === step;
    const color = row.name.endsWith("weights") ? COLORS.orange : row.name.includes("feed") ? COLORS.green : COLORS.blue;
    const bar = { x: left, y: y + 4, width: Math.max(2, x(Math.log2(product(row.shape))) - left), height: 14, style: `fill:${color}`, "fill-opacity": now ? 1 : 0.45 };
    parts.push(make("rect", bar));
    const weight = now ? { "font-weight": "bold" } : {};
    const name = `${now ? "▸ " : ""}${row.name}`;
    parts.push(narrow ? text(name, left, y, "start", weight) : text(name, left - 8, y + 15, "end", weight));
    parts.push(text(shapeText(row.shape), left + bar.width + 6, y + 15, "start", weight));
  });
  svg.replaceChildren(...parts);
}

function render({ model, el }) {
  const keys = ["kind", "log_T", "log_S", "log_D", "log_H", "factor", "step"];
  const bind = binder(model);
  const power = (v) => whole(2 ** v);
  const svg = make("svg", { role: "img", style: "width:100%;font-size:13px" });
  const sliders = [
    ["log_T", "Tokens T", 0, 12, power],
    ["log_S", "Source tokens S", 0, 12, power],
    ["log_D", "Width D", 3, 13, power],
    ["log_H", "Heads H", 0, 6, power],
    ["factor", "Inner width over D", 1, 8, (v) => `${v}`],
  ].map(([key, name, min, max, show]) => [key, slider(name, { min, max, step: 1 }, bind(key), show)]);
  const kind = choice("Block of", KINDS, bind("kind"));
  const walk = slider("Station", { min: 0, max: 18, step: 1 }, (v) => bind("step")(v), (v) => `${v + 1}`);
  const live = make("p", { "aria-live": "polite", style: "min-height:9em;margin-top:0.5rem" });
  let narrow = false;
  const table = dataTable("The stations", ["station", "shape", "numbers", "parameters", "FLOPs"]);
  function update() {
    const state = Object.fromEntries(keys.map((key) => [key, model.get(key)]));
    const { stations: rows, parameters, flops, largest } = compute(state);
    const step = Math.min(state.step, rows.length - 1);
    for (const [key, control] of sliders) control.set(key === "log_H" ? Math.min(state.log_H, state.log_D) : state[key]);
    kind.set(state.kind);
    walk.box.querySelector("input").max = rows.length - 1;
    walk.set(step);
    const row = rows[step];
    const numbers = rows.map(({ shape }) => product(shape));
    const full = rows.filter((_, i) => numbers[i] === numbers[largest]).map(({ name }) => `"${name}"`);
    live.textContent =
      `Station ${step + 1} of ${rows.length}, ${row.name}: shape ${shapeText(row.shape)}, ${whole(row.parameters)} parameters, ${si(row.flops)} FLOPs. ${meaning(row.name, state.kind)} ` +
      `The whole block: ${whole(parameters)} parameters, ${si(flops)} FLOPs; most numbers are held at ${full.join(" and ")}.`;
    draw(svg, rows, step, narrow, live.textContent);
    table.fill(rows.map((r) => [r.name, shapeText(r.shape), whole(product(r.shape)), whole(r.parameters), whole(r.flops)]));
  }
  for (const key of keys) model.on(`change:${key}`, update);
  new ResizeObserver(([entry]) => {
    const now = entry.contentRect.width < 480;
    if (now !== narrow) {
      narrow = now;
      live.style.minHeight = narrow ? "15em" : "9em";
      update();
    }
  }).observe(svg);
  const layout = "display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "Walk through the stations: at which ones does a token meet others, and how many treat each token by itself? Then raise T until the weights hold more numbers than any other station. Does the number of parameters change?"),
    make("div", { style: layout }, walk.box),
    svg,
    live,
    make("div", { style: layout }, ...sliders.map(([, control]) => control.box)),
    make("div", { style: layout }, kind.box),
    table.box,
  );
  update();
}

export default { render };
