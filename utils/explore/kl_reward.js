// KL against reward: the exactly tilted policy over six answers, for a proxy that pays length.
const ANSWERS = ["a", "ab", "abc", "abca", "abcab", "abcabcabca"];
const REFERENCE = [0.3, 0.4, 0.2, 0.07, 0.029, 0.001];
const POINTS = [1, 2, 3, 2, 1, -4];
const GRID = Array.from({ length: 51 }, (_, i) => (30 - i) / 20); // log10 of beta, 1.5 to -1
const sum = (list) => list.reduce((a, b) => a + b, 0);

function tilted(logBeta, error) {
  const beta = 10 ** logBeta;
  const proxy = POINTS.map((p, i) => p + error * ANSWERS[i].length);
  const raised = proxy.map((r, i) => Math.log(REFERENCE[i]) + r / beta);
  const top = Math.max(...raised);
  const logSum = top + Math.log(sum(raised.map((s) => Math.exp(s - top))));
  const logs = raised.map((s) => s - logSum);
  const chances = logs.map(Math.exp);
  return {
    chances,
    kl: sum(chances.map((p, i) => p * (logs[i] - Math.log(REFERENCE[i])))),
    true: sum(chances.map((p, i) => p * POINTS[i])),
    proxy: sum(chances.map((p, i) => p * proxy[i])),
  };
}

export function compute({ log_beta, error }) {
  const path = GRID.map((g) => tilted(g, error)).map((row) => [row.kl, row.true, row.proxy]);
  const best = path.reduce((a, b) => (b[1] > a[1] ? b : a));
  return { ...tilted(log_beta, error), path, best };
}

const two = (v) => (Math.abs(v) < 0.005 ? 0 : v).toFixed(2).replace("-", "−");
const text = (value, x, y, anchor = "middle", style = "fill:currentColor") =>
  make("text", { x, y, "text-anchor": anchor, style }, value);
const rule = (x1, y1, x2, y2, more = {}) =>
  make("line", { x1, y1, x2, y2, stroke: "currentColor", "stroke-opacity": 0.2, ...more });

// A row for each answer: its chance now (filled) and in the reference (outlined).
function drawAnswers(svg, result, label) {
  svg.setAttribute("aria-label", label);
  svg.replaceChildren(text("chance now (filled), reference (outlined)", 4, 12, "start"));
  const x = (v) => 92 + 232 * v;
  for (const v of [0, 0.25, 0.5, 0.75, 1]) svg.append(rule(x(v), 22, x(v), 208), text(`${v}`, x(v), 224));
  ANSWERS.forEach((answer, i) => {
    const y = 26 + 31 * i;
    svg.append(text(answer, 86, y + 15, "end"));
    svg.append(make("rect", { x: x(0), y, width: Math.max(x(result.chances[i]) - x(0), 0.5), height: 20, style: `fill:${COLORS.blue}`, "fill-opacity": 0.7 }));
    svg.append(make("rect", { x: x(0), y: y - 2, width: x(REFERENCE[i]) - x(0), height: 24, fill: "none", stroke: "currentColor", "stroke-width": 1.5 }));
  });
  svg.append(text("probability of each answer", 208, 240));
}

// True and proxy reward along the path, with a dot where the slider stands.
function drawPath(svg, result, label) {
  svg.setAttribute("aria-label", label);
  svg.replaceChildren(text("reward, points", 4, 12, "start"), text("KL to the reference, nats", 190, 240));
  const [x, y] = [(v) => 44 + (280 * v) / 7, (v) => 208 - (186 * (v + 5)) / 25];
  for (const v of [-5, 0, 5, 10, 15, 20]) svg.append(rule(44, y(v), 324, y(v)), text(`${v}`.replace("-", "−"), 38, y(v) + 4, "end"));
  for (const v of [0, 1, 2, 3, 4, 5, 6, 7]) svg.append(text(`${v}`, x(v), 224));
  const lines = [["true", 1, COLORS.blue, "none", 18], ["proxy", 2, COLORS.orange, "6 3", -10]];
  for (const [name, column, color, dash, shift] of lines) {
    const d = result.path.map((row, i) => `${i ? "L" : "M"}${x(row[0]).toFixed(1)},${y(row[column]).toFixed(1)}`);
    svg.append(make("path", { d: d.join(""), fill: "none", style: `stroke:${color}`, "stroke-width": 2, "stroke-dasharray": dash }));
    svg.append(make("circle", { cx: x(result.kl), cy: y(result[name]), r: 5, style: `fill:${color}` }));
    const end = result.path.at(-1);
    svg.append(text(name, Math.min(x(end[0]), 318), y(end[column]) + shift, "end", `fill:${color}`));
  }
}

function say(beta, error, result, start) {
  const way = result.true < start.true - 0.005 ? "below" : result.true > start.true + 0.005 ? "above" : "level with";
  return (
    `With β = ${beta.toPrecision(2)} and ${two(error)} points a letter the best policy lies ${two(result.kl)} nats from the reference. ` +
    `Proxy reward ${two(result.proxy)}; true reward ${two(result.true)}, ${way} the ${two(start.true)} of the reference. ` +
    `The highest true reward on this path is ${two(result.best[1])}, at ${two(result.best[0])} nats.`
  );
}

function render({ model, el }) {
  const bind = binder(model);
  const size = { viewBox: "0 0 340 246", role: "img", style: "flex:1 1 280px;min-width:0;max-width:30rem;font-size:12px" };
  const [bars, path] = [make("svg", size), make("svg", size)];
  const price = slider("Price of KL, β (to the left: cheaper)", { min: -1, max: 1.5, step: 0.05 }, bind("log_beta"), (v) => (10 ** v).toPrecision(2));
  const error = slider("Proxy error, points a letter", { min: 0, max: 2, step: 0.1 }, bind("error"), two);
  const live = make("p", { "aria-live": "polite", style: "min-height:6em;margin-top:0.5rem" });
  const table = dataTable("The six answers", ["answer", "points", "proxy", "reference", "chance now"]);
  function update() {
    const [logBeta, wrong] = [model.get("log_beta"), model.get("error")];
    const result = compute({ log_beta: logBeta, error: wrong });
    price.set(logBeta);
    error.set(wrong);
    live.textContent = say(10 ** logBeta, wrong, result, { true: sum(REFERENCE.map((q, i) => q * POINTS[i])) });
    drawAnswers(bars, result, `Chances of six answers. ${live.textContent}`);
    drawPath(path, result, `True and proxy reward against KL. ${live.textContent}`);
    table.fill(ANSWERS.map((answer, i) => [answer, two(POINTS[i]), two(POINTS[i] + wrong * answer.length), two(REFERENCE[i]), result.chances[i].toPrecision(3)]));
  }
  for (const key of ["log_beta", "error"]) model.on(`change:${key}`, update);
  const row = "display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "The proxy pays 1.2 points a letter. Make KL cheaper, step by step: how many nats are worth spending, and which of the two rewards tells you to stop?"),
    make("div", { style: row }, bars, path),
    make("div", { style: row }, price.box, error.box),
    live,
    table.box,
  );
  update();
}

export default { render };
