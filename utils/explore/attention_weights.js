// One query's attention over a few keys in the plane; the values are the keys.
export function compute({ query, keys, visible, scaled, temperature }) {
  const divisor = temperature * (scaled ? Math.sqrt(query.length) : 1);
  const scores = keys
    .slice(0, visible)
    .map((key) => key.reduce((sum, k, axis) => sum + k * query[axis], 0) / divisor);
  const largest = Math.max(...scores);
  const shifted = scores.map((score) => Math.exp(score - largest));
  const total = shifted.reduce((a, b) => a + b, 0);
  const weights = keys.map((_, i) => (i < visible ? shifted[i] / total : 0));
  const output = query.map((_, axis) =>
    keys.reduce((sum, key, i) => sum + weights[i] * key[axis], 0),
  );
  const entropy = -weights.reduce((sum, w) => sum + (w > 0 ? w * Math.log(w) : 0), 0);
  return { scores, weights, output, perplexity: Math.exp(entropy) };
}

const REACH = 3; // the plane shows -3 to 3 on both axes
const SIDE = 300;
const toX = (v) => ((v + REACH) / (2 * REACH)) * SIDE;
const toY = (v) => SIDE - toX(v);

// A point that is dragged by mouse or touch, or moved by arrow keys; move([x, y]) gets its place.
function handle(svg, name, color, get, move) {
  const hit = make("circle", { r: 22, fill: "transparent" }); // as large as a finger
  const dot = make("circle", { r: 7, fill: color });
  const label = make("text", { fill: color, "text-anchor": "middle", dy: -12 }, name);
  const node = make("g", { tabindex: 0, role: "slider", "aria-label": name }, hit, dot, label);
  node.style.cssText = "cursor:grab;touch-action:none";
  const clamp = (v) => Math.round(Math.min(REACH, Math.max(-REACH, v)) * 20) / 20;
  const go = (x, y) => move([clamp(x), clamp(y)]);
  node.addEventListener("pointerdown", (event) => {
    node.setPointerCapture(event.pointerId);
    node.focus({ preventScroll: true });
  });
  node.addEventListener("pointermove", (event) => {
    if (!node.hasPointerCapture(event.pointerId)) return;
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    go((at.x / SIDE) * 2 * REACH - REACH, REACH - (at.y / SIDE) * 2 * REACH);
  });
  node.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const [x, y] = get();
    go(x + step[0], y + step[1]);
  });
  function draw(faded) {
    const [x, y] = get();
    node.setAttribute("transform", `translate(${toX(x)},${toY(y)})`);
    label.setAttribute("dy", y < 0 ? 22 : -12); // outward, clear of the line from the origin
    node.setAttribute("opacity", faded ? 0.35 : 1);
    node.setAttribute("aria-valuenow", x);
    node.setAttribute("aria-valuemin", -REACH);
    node.setAttribute("aria-valuemax", REACH);
    node.setAttribute("aria-valuetext", `x ${x.toFixed(2)}, y ${y.toFixed(2)}; arrow keys move it`);
  }
  return { node, draw };
}

function render({ model, el }) {
  const words = model.get("words");
  const bind = binder(model);
  const plane = make("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, role: "group", "aria-label": "The plane of query and keys" });
  plane.style.cssText = "flex:1 1 280px;min-width:0;max-width:100%;font-size:13px;overflow:visible";
  const under = make("g", { "aria-hidden": "true" });
  plane.append(under);
  const moveKey = (i) => (place) => bind("key_points")(model.get("key_points").map((key, j) => (j === i ? place : key)));
  const points = words.map((word, i) => handle(plane, word, COLORS.blue, () => model.get("key_points")[i], moveKey(i)));
  const query = handle(plane, "query", COLORS.orange, () => model.get("query"), bind("query"));
  plane.append(...points.map((point) => point.node), query.node);
  const bars = make("svg", { viewBox: "0 0 300 210", role: "img" });
  bars.style.cssText = "flex:1 1 280px;min-width:0;max-width:100%;font-size:13px";
  const seen = slider("Keys in sight", { min: 1, max: words.length, step: 1 }, bind("visible"));
  const heat = slider("Temperature", { min: 0.1, max: 4, step: 0.1 }, bind("temperature"), (v) => v.toFixed(1));
  const scale = choice("Divide by √2", ["yes", "no"], (v) => bind("scaled")(v === "yes"));
  const live = make("p", { "aria-live": "polite", style: "min-height:4.5em;margin-top:0.5rem" });
  const table = dataTable("Score and weight of each key", ["key", "x", "y", "score", "weight"]);

  function drawPlane(keys, r) {
    const line = (x1, y1, x2, y2, extra) =>
      make("line", { x1: toX(x1), y1: toY(y1), x2: toX(x2), y2: toY(y2), stroke: "currentColor", ...extra });
    const axis = { "stroke-opacity": 0.25 };
    const [qx, qy] = model.get("query");
    under.replaceChildren(
      line(-REACH, 0, REACH, 0, axis),
      line(0, -REACH, 0, REACH, axis),
      ...keys.map((key, i) => line(0, 0, ...key, { style: `stroke:${COLORS.blue}`, "stroke-width": 1 + 7 * r.weights[i], "stroke-opacity": i < model.get("visible") ? 0.8 : 0.15 })),
      line(0, 0, qx, qy, { style: `stroke:${COLORS.orange}`, "stroke-width": 3 }),
      make("rect", { x: toX(r.output[0]) - 6, y: toY(r.output[1]) - 6, width: 12, height: 12, fill: "none", style: `stroke:${COLORS.green}`, "stroke-width": 3 }),
      make("text", { x: toX(r.output[0]), y: toY(r.output[1]) + 22, "text-anchor": "middle", fill: COLORS.green }, "output"),
    );
  }
  function drawBars(r) {
    bars.replaceChildren(make("text", { x: 0, y: 14, fill: "currentColor" }, "attention weight"));
    words.forEach((word, i) => {
      const y = 28 + i * 36;
      const shown = i < model.get("visible") ? r.weights[i].toFixed(3) : "masked";
      bars.append(
        make("text", { x: 48, y: y + 17, "text-anchor": "end", fill: "currentColor" }, word),
        make("rect", { x: 56, y, width: 180, height: 24, fill: "currentColor", "fill-opacity": 0.08 }),
        make("rect", { x: 56, y, width: 180 * r.weights[i], height: 24, fill: COLORS.blue }),
        make("text", { x: 243, y: y + 17, fill: "currentColor" }, shown),
      );
    });
  }
  function update() {
    const state = { keys: model.get("key_points") };
    for (const key of ["query", "visible", "scaled", "temperature"]) state[key] = model.get(key);
    const r = compute(state);
    const top = r.weights.indexOf(Math.max(...r.weights));
    seen.set(state.visible);
    heat.set(state.temperature);
    scale.set(state.scaled ? "yes" : "no");
    points.forEach((point, i) => point.draw(i >= state.visible));
    query.draw(false);
    drawPlane(state.keys, r);
    drawBars(r);
    live.textContent =
      `The query at (${state.query.map((v) => v.toFixed(2)).join(", ")}) gives most weight to “${words[top]}”: ` +
      `${r.weights[top].toFixed(3)}. The weights are as spread as ${r.perplexity.toFixed(2)} equal ones; ` +
      `the output is (${r.output.map((v) => v.toFixed(2)).join(", ")}).`;
    bars.setAttribute("aria-label", `Attention weights. ${words.map((w, i) => `${w} ${r.weights[i].toFixed(3)}`).join(", ")}.`);
    table.fill(words.map((word, i) => [word, ...state.keys[i].map((v) => v.toFixed(2)), i < state.visible ? r.scores[i].toFixed(3) : "masked", r.weights[i].toFixed(3)]));
  }
  for (const key of ["query", "key_points", "visible", "scaled", "temperature"]) model.on(`change:${key}`, update);
  const row = "display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem;align-items:flex-start";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "Drag the query around. Which word never gets the most weight, wherever the query points, and where must its key go so that it can?"),
    make("div", { style: row }, plane, bars),
    make("div", { style: row }, seen.box, heat.box, scale.box),
    live,
    table.box,
  );
  update();
}

export default { render };
