// What temperature, top-k, top-p and min-p leave of a distribution over next words.
function softmax(logits) {
  const largest = Math.max(...logits);
  const parts = logits.map((z) => Math.exp(z - largest));
  const total = parts.reduce((a, b) => a + b, 0);
  return parts.map((part) => part / total);
}

export function compute({ logits, temperature, top_k, top_p, min_p }) {
  let z = logits.map((logit) => logit / temperature);
  const tempered = softmax(z);
  if (top_k > 0 && top_k < z.length) {
    const least = [...z].sort((a, b) => b - a)[top_k - 1];
    z = z.map((score) => (score >= least ? score : -Infinity));
  }
  if (top_p < 1) {
    const p = softmax(z);
    const order = z.map((_, i) => i).sort((a, b) => (z[a] === z[b] ? a - b : z[a] < z[b] ? -1 : 1));
    let below = 0;
    const removed = new Set();
    for (const i of order.slice(0, -1)) {
      below += p[i];
      if (below <= 1 - top_p) removed.add(i);
    }
    z = z.map((score, i) => (removed.has(i) ? -Infinity : score));
  }
  if (min_p > 0) {
    const p = softmax(z);
    const floor = min_p * Math.max(...p);
    z = z.map((score, i) => (p[i] >= floor ? score : -Infinity));
  }
  const probabilities = softmax(z);
  const entropy = -probabilities.reduce((sum, p) => sum + (p > 0 ? p * Math.log(p) : 0), 0);
  return { tempered, probabilities, kept: probabilities.filter((p) => p > 0).length, perplexity: Math.exp(entropy) };
}

function render({ model, el }) {
  const followers = model.get("followers");
  const bind = binder(model);
  const two = (v) => v.toFixed(2);
  const controls = {
    word: choice("Word before", Object.keys(followers), bind("word")),
    temperature: slider("Temperature", { min: 0.1, max: 3, step: 0.1 }, bind("temperature"), (v) => v.toFixed(1)),
    top_k: slider("Top-k", { min: 0, max: 12, step: 1 }, bind("top_k"), (v) => (v ? `${v}` : "off")),
    top_p: slider("Top-p", { min: 0.05, max: 1, step: 0.05 }, bind("top_p"), (v) => (v < 1 ? two(v) : "off")),
    min_p: slider("Min-p", { min: 0, max: 1, step: 0.05 }, bind("min_p"), (v) => (v ? two(v) : "off")),
  };
  const bars = make("svg", { viewBox: "0 0 420 330", role: "img" });
  bars.style.cssText = "display:block;width:100%;max-width:34rem;font-size:13px";
  const live = make("p", { "aria-live": "polite", style: "min-height:4.5em;margin-top:0.5rem" });
  const table = dataTable("Probability of each next word", ["word", "count", "with temperature", "drawn with"]);

  function draw(words, r) {
    const scale = 190 / Math.max(0.4, ...r.probabilities, ...r.tempered);
    bars.replaceChildren();
    words.forEach((word, i) => {
      const y = 6 + i * 27;
      const kept = r.probabilities[i] > 0;
      bars.append(
        make("text", { x: 164, y: y + 16, "text-anchor": "end", fill: "currentColor", "fill-opacity": kept ? 1 : 0.65, "text-decoration": kept ? "none" : "line-through" }, word),
        make("rect", { x: 172, y, width: scale * r.probabilities[i], height: 21, fill: COLORS.blue }),
        make("rect", { x: 172, y, width: scale * r.tempered[i], height: 21, fill: "none", style: `stroke:${COLORS.orange}`, "stroke-width": 1.5, "stroke-dasharray": "4 2" }),
        make("text", { x: 179 + scale * Math.max(r.probabilities[i], r.tempered[i]), y: y + 16, fill: "currentColor" }, kept ? r.probabilities[i].toFixed(3) : "removed"),
      );
    });
  }
  function update() {
    const counts = followers[model.get("word")];
    const words = Object.keys(counts).sort((a, b) => counts[b] - counts[a]);
    const settings = { logits: words.map((word) => Math.log(counts[word])) };
    for (const key of ["temperature", "top_k", "top_p", "min_p"]) settings[key] = model.get(key);
    const r = compute(settings);
    for (const [key, control] of Object.entries(controls)) control.set(model.get(key));
    draw(words, r);
    live.textContent =
      `Behind “${model.get("word")}”, ${r.kept} of ${words.length} words are left. The likeliest, “${words[0]}”, ` +
      `is drawn with probability ${r.probabilities[0].toFixed(3)}; the choice is as open as among ${r.perplexity.toFixed(2)} equally likely words.`;
    bars.setAttribute("aria-label", `Probabilities of the next word, drawn with (filled) and with temperature alone (dashed). ${live.textContent}`);
    table.fill(words.map((word, i) => [word, `${counts[word]}`, r.tempered[i].toFixed(4), r.probabilities[i].toFixed(4)]));
  }
  for (const key of Object.keys(controls)) model.on(`change:${key}`, update);
  const row = "display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem;align-items:flex-start";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "Set top-p to 0.80. How many words are left behind “raise”, how many behind “the”? And with top-k at 3 instead?"),
    make("div", { style: row }, ...Object.values(controls).map((control) => control.box)),
    bars,
    live,
    table.box,
  );
  update();
}

export default { render };
