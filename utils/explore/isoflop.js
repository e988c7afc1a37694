// Curves of equal compute: the loss against tokens per parameter, by a fitted scaling law.
// log_compute: log10 of the operations; log_ratio: log10 of tokens per parameter; preset: a name.
const PRESETS = {
  Hoffmann: { E: 1.69, A: 406.4, B: 410.7, alpha: 0.34, beta: 0.28 },
  Besiroglu: { E: 1.8172, A: 482.01, B: 2085.43, alpha: 0.3478, beta: 0.3658 },
  Unrounded: { E: 1.6934, A: 406.4, B: 410.7, alpha: 0.3392, beta: 0.2849 },
};
const LOG_RATIOS = Array.from({ length: 41 }, (_, i) => -1 + i / 8);

const lossOf = (N, D, law) => law.E + law.A / N ** law.alpha + law.B / D ** law.beta;

function optimum(C, law) {
  const G = ((law.alpha * law.A) / (law.beta * law.B)) ** (1 / (law.alpha + law.beta));
  const N = G * (C / 6) ** (law.beta / (law.alpha + law.beta));
  const D = C / 6 / N;
  return { N, D, ratio: D / N, loss: lossOf(N, D, law) };
}

export function compute({ log_compute, log_ratio, preset }) {
  const law = PRESETS[preset];
  const C = 10 ** log_compute;
  const best = optimum(C, law);
  const N = Math.sqrt(C / 6 / 10 ** log_ratio);
  const D = C / 6 / N;
  const here = lossOf(N, D, law);
  const power = (law.alpha + law.beta) / (law.alpha * law.beta);
  const budgets = [C / 10, C, C * 10];
  const optima = budgets.map((c) => optimum(c, law));
  return {
    best,
    chosen: { N, D, ratio: D / N, loss: here },
    excess: here - best.loss,
    times: ((here - law.E) / (best.loss - law.E)) ** power,
    smaller: N / best.N,
    curves: budgets.map((c) =>
      LOG_RATIOS.map((r) => lossOf(Math.sqrt(c / 6 / 10 ** r), Math.sqrt((c / 6) * 10 ** r), law)),
    ),
    best_ratios: optima.map((o) => o.ratio),
    best_losses: optima.map((o) => o.loss),
  };
}

const n3 = (v) => (Number.isFinite(v) ? Number(v.toPrecision(3)).toLocaleString("en-US") : `${v}`);
const many = (v) => (v < 1e6 ? whole(v) : v < 1e18 ? words(v) : power10(v));

function drawCurves(svg, result, label) {
  const [small, , large] = result.best_losses;
  const span = small - large;
  const range = [large - 0.4 * span, small + 1.1 * span];
  const ticks = [0, 1, 2, 3, 4].map((i) => range[0] + ((range[1] - range[0]) * i) / 4);
  const digits = span < 0.2 ? 3 : 2;
  const { x, y, parts, inside } = axesFrame([-1, 4], range, [], ticks.map((v) => [v, v.toFixed(digits)]), "tokens per parameter, D / N", "loss, nats a token");
  const names = ["0.1", "1", "10", "100", "1,000", "10⁴"];
  names.forEach((name, i) => {
    const line = { x1: x(i - 1), x2: x(i - 1), y1: y(range[1]), y2: y(range[0]), stroke: "currentColor", "stroke-opacity": 0.2 };
    parts.push(make("line", line));
    parts.push(make("text", { x: x(i - 1), y: y(range[0]) + 16, "text-anchor": i === 5 ? "end" : "middle", fill: "currentColor" }, name));
  });
  const looks = [[COLORS.purple, "5 3"], [COLORS.blue, ""], [COLORS.green, "2 2"]];
  const drawn = result.curves.flatMap((curve, i) => {
    const d = curve.map((v, k) => `${k ? "L" : "M"}${x(LOG_RATIOS[k]).toFixed(1)},${y(Math.min(v, range[1] + 9 * span)).toFixed(1)}`).join("");
    const [color, dash] = looks[i];
    const at = [x(Math.log10(result.best_ratios[i])), y(result.best_losses[i])];
    return [
      make("path", { d, fill: "none", style: `stroke:${color}`, "stroke-width": i === 1 ? 2.5 : 1.5, "stroke-dasharray": dash }),
      make("circle", { cx: at[0], cy: at[1], r: 4, fill: "none", style: `stroke:${color}`, "stroke-width": 2 }),
      make("text", { x: at[0], y: at[1] + 16, "text-anchor": "middle", style: `fill:${color}` }, ["C / 10", "C", "10 C"][i]),
    ];
  });
  const here = { cx: x(Math.log10(result.chosen.ratio)), cy: y(Math.min(result.chosen.loss, range[1])), r: 5 };
  drawn.push(make("circle", { ...here, style: `fill:${COLORS.orange}` }));
  svg.setAttribute("aria-label", `Loss against tokens per parameter at three budgets. ${label}`);
  svg.replaceChildren(...parts, inside(...drawn));
}

function render({ model, el }) {
  const keys = ["log_compute", "log_ratio", "preset"];
  const bind = binder(model);
  const svg = make("svg", { viewBox: "0 0 332 286", role: "img", style: "display:block;width:100%;max-width:27rem;font-size:12px" });
  const budget = slider("Compute C, operations", { min: 18, max: 26, step: 0.25 }, bind("log_compute"), (v) => power10(10 ** v));
  const ratio = slider("Tokens per parameter", { min: -1, max: 4, step: 0.05 }, bind("log_ratio"), (v) => n3(10 ** v));
  const titles = { Hoffmann: "Hoffmann et al. 2022, as printed", Unrounded: "The same before rounding", Besiroglu: "Besiroglu et al. 2024" };
  const preset = dropdown("Constants", Object.entries(titles), bind("preset"));
  const live = make("p", { "aria-live": "polite", style: "min-height:8em;margin-top:0.5rem" });
  const table = dataTable("The curve of budget C", ["tokens per parameter", "parameters", "tokens", "loss"]);
  function update() {
    const state = Object.fromEntries(keys.map((key) => [key, model.get(key)]));
    const result = compute(state);
    budget.set(state.log_compute);
    ratio.set(state.log_ratio);
    preset.set(state.preset);
    const { best, chosen } = result;
    const size = result.smaller < 1 ? `${n3(1 / result.smaller)} times smaller` : `${n3(result.smaller)} times larger`;
    live.textContent =
      `Best: ${many(best.N)} parameters, ${many(best.D)} tokens, ${n3(best.ratio)} a parameter, loss ${best.loss.toFixed(3)}. ` +
      `Chosen: ${many(chosen.N)} parameters, ${many(chosen.D)} tokens, loss ${chosen.loss.toFixed(3)}, ${result.excess.toFixed(3)} more. ` +
      `At its best, 1/${result.times < 1.005 ? "1" : n3(result.times)} of the budget would reach that loss. The chosen model is ${size} than the best one.`;
    drawCurves(svg, result, live.textContent);
    table.fill(
      LOG_RATIOS.flatMap((r, i) => {
        if (i % 4) return [];
        const N = Math.sqrt(10 ** state.log_compute / 6 / 10 ** r);
        return [[n3(10 ** r), many(N), many(N * 10 ** r), result.curves[1][i].toFixed(3)]];
      }),
    );
  }
  for (const key of keys) model.on(`change:${key}`, update);
  const row = "display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "A model that many people will use should be small. At ten times the best number of tokens per parameter, how much smaller is it, and how much of the budget is lost? Which constants make overtraining dearer?"),
    make("div", { style: row }, budget.box, ratio.box, preset.box),
    svg,
    live,
    table.box,
  );
  update();
}

export default { render };
