// Loss and gradient of a sigmoid's output against its logit.
// z: logit; p: probability of class 1; t: target after label smoothing.
function softplus(z) {
  return Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
}

function sigmoid(z) {
  return z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z));
}

export function compute({ logit, label, smoothing }) {
  const target = label * (1 - smoothing) + smoothing / 2;
  const [p, q] = [sigmoid(logit), sigmoid(-logit)];
  const error = p * (1 - target) - q * target; // p - t, without its cancellation
  return {
    probability: p,
    cross_entropy: target * softplus(-logit) + (1 - target) * softplus(logit),
    cross_entropy_gradient: error,
    squared_error: error * error,
    squared_error_gradient: 2 * error * p * q,
  };
}

function render({ model, el }) {
  const colors = [COLORS.blue, COLORS.orange];
  const at = (logit) =>
    compute({ logit, label: model.get("label"), smoothing: model.get("smoothing") });
  const loss = chart([-8, 8], [0, 8], "logit z", "loss");
  const slope = chart([-8, 8], [-1, 1], "logit z", "gradient of the loss with respect to z");
  const live = make("p", { "aria-live": "polite", style: "min-height:4.5em" });
  const table = dataTable("Loss and gradient against the logit", [
    "z", "cross-entropy", "gradient", "squared error", "gradient",
  ]);
  const bind = binder(model);
  const z = slider("Logit z", { min: -8, max: 8, step: 0.1 }, bind("logit"), (v) => v.toFixed(1));
  const y = choice("Label", [0, 1], bind("label"));
  const s = slider("Label smoothing", { min: 0, max: 0.5, step: 0.05 }, bind("smoothing"), (v) => v.toFixed(2));
  function lines(suffix, shifts) {
    const place = model.get("label") ? -5 : 5;
    const beside = suffix ? {} : place < 0 ? { dx: 10, anchor: "start" } : { dx: -10, anchor: "end" };
    const pick = (key) => (v) => at(v)[key + suffix];
    return [
      { f: pick("cross_entropy"), color: colors[0], dash: "none", name: "cross-entropy", at: place, shift: shifts[0], ...beside },
      { f: pick("squared_error"), color: colors[1], dash: "6 3", name: "squared error", at: place, shift: shifts[1] },
    ];
  }
  function update() {
    const [logit, label] = [model.get("logit"), model.get("label")];
    z.set(logit);
    y.set(label);
    s.set(model.get("smoothing"));
    const r = at(logit);
    const n = (v) => v.toPrecision(3);
    live.textContent =
      `At z = ${logit.toFixed(1)} the model gives class 1 the probability ${n(r.probability)}; the label is ${label}. ` +
      `Cross-entropy ${n(r.cross_entropy)} with gradient ${n(r.cross_entropy_gradient)}; ` +
      `squared error ${n(r.squared_error)} with gradient ${n(r.squared_error_gradient)}.`;
    loss.draw(lines("", [0, -8]), logit, `Loss against logit. ${live.textContent}`);
    slope.draw(lines("_gradient", label ? [-8, -8] : [16, 16]), logit, `Gradient against logit. ${live.textContent}`);
    table.fill([-8, -6, -4, -2, 0, 2, 4, 6, 8].map((v) => {
      const row = at(v);
      return [`${v}`, n(row.cross_entropy), n(row.cross_entropy_gradient), n(row.squared_error), n(row.squared_error_gradient)];
    }));
  }
  for (const key of ["logit", "label", "smoothing"]) model.on(`change:${key}`, update);
  const row = "display:flex;flex-wrap:wrap;gap:0.5rem 1rem";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "The label is 1 and the model is surely wrong: move z to −8. Which loss still pushes?"),
    make("div", { style: row }, z.box, y.box, s.box),
    make("div", { style: row }, loss.svg, slope.svg),
    live,
    table.box,
  );
  update();
}

export default { render };
