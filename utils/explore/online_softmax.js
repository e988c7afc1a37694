// Online softmax, block by block: running maximum, sum and answer of one query over twelve keys.
const SCORES = [0.4, -1.1, 1.3, 0.2, -0.6, 2.0, -1.6, 0.9, 1.7, -0.2, 0.6, -2.0];
const VALUES = [2, 7, 4, 9, 1, 6, 3, 8, 5, 0, 10, 4];
const BLOCKS = [1, 2, 3, 4, 6, 12];
const ORDERS = ["as given", "rising", "falling"];
const sum = (list) => list.reduce((a, b) => a + b, 0);

export function compute({ scale, block, order }) {
  const pairs = SCORES.map((s, i) => [s, VALUES[i]]);
  if (order !== "as given") pairs.sort((a, b) => (order === "rising" ? a[0] - b[0] : b[0] - a[0]));
  const [scores, values] = [pairs.map(([s]) => scale * s), pairs.map(([, v]) => v)];
  const top = Math.max(...scores);
  const parts = scores.map((s) => Math.exp(s - top));
  const weights = parts.map((p) => p / sum(parts));
  let [m, total, mean] = [-Infinity, 0, 0];
  const steps = [];
  for (let start = 0; start < scores.length; start += block) {
    const highest = Math.max(m, ...scores.slice(start, start + block));
    const factor = Math.exp(m - highest);
    const fresh = scores.slice(start, start + block).map((s) => Math.exp(s - highest));
    const kept = total * factor;
    total = kept + sum(fresh);
    mean = (kept * mean + sum(fresh.map((p, i) => p * values[start + i]))) / total;
    m = highest;
    steps.push([m, total, mean, factor]);
  }
  const raised = steps.filter((step, i) => i > 0 && step[0] > steps[i - 1][0]).length;
  return { scores, values, weights, steps, raised, answer: sum(weights.map((w, i) => w * values[i])) };
}

const two = (v) => (Math.abs(v) < 0.005 ? 0 : v).toFixed(2).replace("-", "−");

// Twelve columns between low and high: bars(list of [value, style]) from the line at zero.
function frame(svg, low, high, ticks, title, label) {
  const [left, top, width, height] = [40, 24, 290, 180];
  const x = (i) => left + ((i + 0.5) * width) / 12;
  const y = (v) => top + ((high - v) / (high - low)) * height;
  const text = (value, px, py, anchor = "middle") =>
    make("text", { x: px, y: py, "text-anchor": anchor, fill: "currentColor" }, value);
  svg.setAttribute("aria-label", label);
  svg.replaceChildren(text(title, 4, 12, "start"), text("key, in the order read", left + width / 2, 238));
  for (const v of ticks) {
    const rule = { x1: left, x2: left + width, y1: y(v), y2: y(v) };
    svg.append(make("line", { ...rule, stroke: "currentColor", "stroke-opacity": 0.2 }));
    svg.append(text(`${v}`.replace("-", "−"), left - 6, y(v) + 4, "end"));
  }
  for (let i = 0; i < 12; i++) svg.append(text(`${i + 1}`, x(i), 220));
  const bar = (i, v, attributes) =>
    svg.append(make("rect", { x: x(i) - 8, width: 16, y: Math.min(y(v), y(0)), height: Math.max(Math.abs(y(v) - y(0)), 0.5), ...attributes }));
  const line = (v, color) =>
    svg.append(make("line", { x1: left, x2: left + width, y1: y(v), y2: y(v), style: `stroke:${color}`, "stroke-width": 2 }));
  return { bar, line };
}

function drawScores(svg, result, seen, step, label) {
  const high = Math.max(2, Math.ceil(Math.max(...result.scores.map(Math.abs))));
  const view = frame(svg, -high, high, [-high, -high / 2, 0, high / 2, high], "score; line: maximum so far", label);
  result.scores.forEach((s, i) =>
    view.bar(i, s, i < seen ? { style: `fill:${COLORS.blue}` } : { fill: "currentColor", "fill-opacity": 0.2 }),
  );
  if (step) view.line(step[0], COLORS.orange);
}

function drawWeights(svg, result, seen, step, label) {
  const view = frame(svg, 0, 1, [0, 0.25, 0.5, 0.75, 1], "weight now (filled), final (outlined)", label);
  result.scores.forEach((s, i) => {
    if (i < seen) view.bar(i, Math.exp(s - step[0]) / step[1], { style: `fill:${COLORS.blue}`, "fill-opacity": 0.6 });
    view.bar(i, result.weights[i], { fill: "none", stroke: "currentColor", "stroke-width": 1.5 });
  });
}

function say(result, done, step) {
  const all = `All at once: ${two(result.answer)}.`;
  if (!step) return `No block read yet: ${result.steps.length} to come. ${all}`;
  const change =
    done === 1 ? "It is the first block." : step[3] < 1
      ? `This block raised the maximum: what was kept got multiplied by ${step[3].toFixed(3)}.`
      : "This block did not raise the maximum: the factor is 1.";
  return (
    `After ${done} of ${result.steps.length} blocks: maximum ${two(step[0])}, sum ${two(step[1])}, answer ${two(step[2])}. ` +
    `${change} Blocks after the first that raise the maximum: ${result.raised}. ${all}`
  );
}

function render({ model, el }) {
  const keys = ["read", "block", "scale", "order"];
  const bind = binder(model);
  const size = { viewBox: "0 0 340 244", role: "img", style: "flex:1 1 280px;min-width:0;max-width:30rem;font-size:12px" };
  const [scores, weights] = [make("svg", size), make("svg", size)];
  const blocks = () => 12 / model.get("block");
  const read = slider("Blocks read", { min: 0, max: 12, step: 1 }, bind("read"), (v) => `${v} of ${blocks()}`);
  const scale = slider("Scores times", { min: 0, max: 4, step: 0.25 }, bind("scale"), two);
  const block = choice("Keys in a block", BLOCKS, bind("block"));
  const order = choice("Order of the keys", ORDERS, bind("order"));
  const live = make("p", { "aria-live": "polite", style: "min-height:7em;margin-top:0.5rem" });
  const table = dataTable("After each block", ["block", "max", "sum", "factor", "answer"]);
  function update() {
    const result = compute({ scale: model.get("scale"), block: model.get("block"), order: model.get("order") });
    const done = Math.min(model.get("read"), blocks());
    const [step, seen] = [result.steps[done - 1], done * model.get("block")];
    read.box.querySelector("input").max = blocks();
    read.set(done);
    scale.set(model.get("scale"));
    block.set(model.get("block"));
    order.set(model.get("order"));
    live.textContent = say(result, done, step);
    drawScores(scores, result, seen, step, `Scores of twelve keys. ${live.textContent}`);
    drawWeights(weights, result, seen, step, `Weights of twelve keys. ${live.textContent}`);
    table.fill(result.steps.map(([m, l, o, f], i) => [`${i + 1}`, two(m), l.toFixed(3), f.toFixed(3), o.toFixed(3)]));
  }
  for (const key of keys) model.on(`change:${key}`, update);
  const row = "display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "With one key in a block, in which order of the keys is the kept sum corrected most often, and in which never? Does the last answer depend on it?"),
    make("div", { style: row }, scores, weights),
    make("div", { style: row }, read.box, scale.box),
    make("div", { style: row }, block.box, order.box),
    live,
    table.box,
  );
  update();
}

export default { render };
