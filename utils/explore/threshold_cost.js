// A threshold on given scores: confusion matrix, rates and cost; a false alarm costs 1.
// scores, threshold: logits; labels: 1 is what is looked for; miss_cost: of one that is missed.
const REACH = 8;
const STEP = 0.25;
const PLACES = Array.from({ length: (2 * REACH) / STEP + 1 }, (_, i) => -REACH + STEP * i);

function counts(scores, labels, threshold) {
  const result = { tp: 0, fp: 0, fn: 0, tn: 0 };
  scores.forEach((score, i) => {
    result[score >= threshold ? (labels[i] ? "tp" : "fp") : labels[i] ? "fn" : "tn"]++;
  });
  return result;
}

export function compute({ scores, labels, threshold, miss_cost }) {
  const cost = (found) => (100 * (miss_cost * found.fn + found.fp)) / scores.length;
  const share = (part, whole) => (whole ? part / whole : null);
  const found = counts(scores, labels, threshold);
  const curve = PLACES.map((at) => cost(counts(scores, labels, at)));
  const lowest = Math.min(...curve);
  return {
    ...found,
    sensitivity: share(found.tp, found.tp + found.fn),
    specificity: share(found.tn, found.tn + found.fp),
    precision: share(found.tp, found.tp + found.fp),
    cost: cost(found),
    curve,
    lowest,
    best: PLACES[curve.indexOf(lowest)],
    rule: -Math.log(miss_cost),
  };
}

const LOGITS = [-8, -4, 0, 4, 8];
const probability = (z) => 1 / (1 + Math.exp(-z));

// One dot a case, by class in two bands; equal places are stacked.
function drawScores(svg, { scores, labels, threshold }, label) {
  const bands = [[0.27, "benign"], [0.77, "malignant"]];
  const { x, y, parts, inside } = axesFrame([-REACH, REACH], [0, 1], LOGITS, bands.map(([v]) => [v, ""]), "score (log-odds)", "");
  const height = {};
  const dots = scores.map((score, i) => {
    const place = Math.max(-REACH + 0.1, Math.min(REACH - 0.1, Math.round(score * 4) / 4));
    const key = `${place}/${labels[i]}`;
    height[key] = (height[key] ?? 0) + 1;
    const color = labels[i] ? COLORS.orange : COLORS.blue;
    const wrong = (score >= threshold) !== Boolean(labels[i]);
    return make("circle", {
      cx: x(place), cy: y(labels[i] ? 0.52 : 0.03) - 5.2 * height[key], r: 2.4,
      style: `fill:${wrong ? "none" : color};stroke:${color}`, "stroke-width": 1.2,
    });
  });
  const line = make("line", { x1: x(threshold), x2: x(threshold), y1: y(0), y2: y(1), stroke: "currentColor", "stroke-width": 2 });
  const names = bands.map(([, name], i) =>
    make("text", { x: 120, y: i ? 40 : 150, style: `fill:${i ? COLORS.orange : COLORS.blue}` }, name));
  svg.setAttribute("aria-label", `Scores of both classes and the threshold. ${label}`);
  svg.replaceChildren(...parts, inside(...dots, line), ...names);
}

function drawCost(svg, { threshold }, result, label) {
  const top = [10, 20, 50, 100, 200, 500, 1000, 2000].find((v) => v >= Math.max(...result.curve)) ?? 5000;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => [share * top, share * top]);
  const { x, y, parts, inside } = axesFrame([-REACH, REACH], [0, top], LOGITS, ticks, "threshold (log-odds)", "cost for 100 cases");
  const d = result.curve.map((v, i) => `${i ? "L" : "M"}${x(PLACES[i]).toFixed(1)},${y(v).toFixed(1)}`).join("");
  const rule = make("line", { x1: x(result.rule), x2: x(result.rule), y1: y(0), y2: y(top), stroke: "currentColor", "stroke-dasharray": "3 3" });
  const dot = make("circle", { cx: x(threshold), cy: y(result.cost), r: 5, style: `fill:${COLORS.blue}` });
  svg.setAttribute("aria-label", `Cost against the threshold. ${label}`);
  svg.replaceChildren(...parts, inside(rule, make("path", { d, fill: "none", style: `stroke:${COLORS.blue}`, "stroke-width": 2 }), dot));
}

function matrix() {
  const cell = (tag, value, scope) => make(tag, scope ? { scope } : {}, value);
  const table = make("table", { style: "margin:0;font-variant-numeric:tabular-nums" });
  const fill = ({ tp, fp, fn, tn }) =>
    table.replaceChildren(
      make("caption", {}, "Confusion matrix"),
      make("thead", {}, make("tr", {}, cell("td", ""), cell("th", "alarm", "col"), cell("th", "no alarm", "col"))),
      make("tbody", {},
        make("tr", {}, cell("th", "malignant", "row"), cell("td", `${tp}`), cell("td", `${fn} missed`)),
        make("tr", {}, cell("th", "benign", "row"), cell("td", `${fp} false`), cell("td", `${tn}`))),
    );
  return { table, fill };
}

function render({ model, el }) {
  const keys = ["scores", "labels", "threshold", "miss_cost"];
  const bind = binder(model);
  const size = { viewBox: "0 0 332 286", role: "img", style: "flex:1 1 270px;min-width:0;max-width:27rem;font-size:12px" };
  const [picture, costs] = [make("svg", size), make("svg", size)];
  const threshold = slider("Threshold, as log-odds", { min: -REACH, max: REACH, step: STEP }, bind("threshold"), (v) => v.toFixed(2).replace("-", "−"));
  const miss = slider("Cost of a miss (a false alarm costs 1)", { min: 1, max: 50, step: 1 }, bind("miss_cost"));
  const live = make("p", { "aria-live": "polite", style: "min-height:9.4em;margin-top:0.5rem" });
  const confusion = matrix();
  const table = dataTable("Cost by threshold", ["threshold", "probability", "missed", "false alarms", "cost for 100"]);
  const n = (v) => Number(v.toPrecision(3)).toString().replace("-", "−");
  const percent = (v) => (v === null ? "undefined" : `${n(100 * v)} %`);
  function update() {
    const state = Object.fromEntries(keys.map((key) => [key, model.get(key)]));
    const result = compute(state);
    threshold.set(state.threshold);
    miss.set(state.miss_cost);
    confusion.fill(result);
    live.textContent =
      `Alarm from a probability of ${percent(probability(state.threshold))} on: ${result.fn} of ${result.tp + result.fn} malignant cases missed, ` +
      `${result.fp} of ${result.fp + result.tn} benign ones alarmed. Sensitivity ${percent(result.sensitivity)}, specificity ${percent(result.specificity)}, ` +
      `precision ${percent(result.precision)}. Cost ${n(result.cost)} for 100 cases; the lowest here is ${n(result.lowest)}, first at ${n(result.best)}. ` +
      `The rule for calibrated scores says ${n(result.rule)}.`;
    drawScores(picture, state, live.textContent);
    drawCost(costs, state, result, live.textContent);
    table.fill(PLACES.filter((_, i) => i % 8 === 0).map((at, i) => {
      const found = counts(state.scores, state.labels, at);
      return [n(at), percent(probability(at)), `${found.fn}`, `${found.fp}`, n(result.curve[8 * i])];
    }));
  }
  for (const key of keys) model.on(`change:${key}`, update);
  const row = "display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "A miss costs as much as ten false alarms: where is the cost lowest? Set the cost of a miss to 1 and to 50: which way does the best threshold go, and does the dotted rule find it?"),
    make("div", { style: row }, threshold.box, miss.box),
    make("div", { style: row }, picture, costs),
    confusion.table,
    live,
    table.box,
  );
  update();
}

export default { render };
