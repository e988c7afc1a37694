// What can be known of a hidden word, from both sides and from the left alone, by a known grammar.
function total(grammar, seen) {
  const below = grammar.map(() => new Map()); // what the children say about a word
  let product = 1;
  for (let place = grammar.length - 1; place >= 0; place--) {
    const { parent, table } = grammar[place];
    for (const [above, row] of Object.entries(table)) {
      let sum = 0;
      for (const [word, share] of Object.entries(row)) {
        if (seen[place] === null || seen[place] === word) sum += share * (below[place].get(word) ?? 1);
      }
      if (parent < 0) product *= sum;
      else below[parent].set(above, (below[parent].get(above) ?? 1) * sum);
    }
  }
  return product;
}

function shares(grammar, seen, place) {
  const words = [...new Set(Object.values(grammar[place].table).flatMap((row) => Object.keys(row)))];
  const weights = words.map((word) => total(grammar, seen.map((other, i) => (i === place ? word : other))));
  const sum = weights.reduce((a, b) => a + b, 0);
  return Object.fromEntries(words.map((word, i) => [word, sum > 0 ? weights[i] / sum : 0]));
}

const bits = (found) => -Object.values(found).reduce((sum, p) => sum + (p > 0 ? p * Math.log2(p) : 0), 0);

export function compute({ grammar, words, hidden, place }) {
  const seen = words.map((word, i) => (hidden[i] ? null : word));
  const both = shares(grammar, seen, place);
  const left = shares(grammar, seen.map((word, i) => (i < place ? word : null)), place);
  const [both_true, left_true] = [both, left].map((found) => found[words[place]] ?? 0);
  return { both, left, both_bits: bits(both), left_bits: bits(left), both_true, left_true };
}

const ROWS = 6; // bars that are drawn; the table has all words

// One bar from both sides (filled) and one from the left (outlined) for each word.
function drawBars(svg, r, truth, label) {
  const words = Object.keys(r.both).filter((w) => r.both[w] > 0 || r.left[w] > 0);
  words.sort((a, b) => r.both[b] - r.both[a] || r.left[b] - r.left[a] || (a < b ? -1 : 1));
  const shown = words.slice(0, ROWS);
  const text = (value, x, y, anchor, more = {}) => make("text", { x, y, "text-anchor": anchor, fill: "currentColor", ...more }, value);
  const parts = [];
  shown.forEach((word, i) => {
    const y = 4 + 40 * i;
    const weight = word === truth ? { "font-weight": "bold" } : {};
    parts.push(text(word === truth ? `▸ ${word}` : word, 92, y + 22, "end", weight));
    [[r.both[word], COLORS.blue, 0], [r.left[word], COLORS.orange, 17]].forEach(([p, color, dy], j) => {
      const outline = j ? { fill: "none", "stroke-width": 1.5, style: `stroke:${color}` } : { style: `fill:${color}` };
      parts.push(make("rect", { x: 100, y: y + dy, width: Math.max(1, 190 * p), height: 14, ...outline }));
      parts.push(text(p.toFixed(3), 106 + 190 * p, y + dy + 11, "start", { "font-size": 11 }));
    });
  });
  if (words.length > ROWS) parts.push(text(`and ${words.length - ROWS} more, in the table below`, 100, 4 + 40 * ROWS + 12, "start"));
  svg.setAttribute("aria-label", label);
  svg.replaceChildren(...parts);
}

function render({ model, el }) {
  const grammar = model.get("grammar");
  const sentences = model.get("sentences");
  const bind = binder(model);
  const options = sentences.map((text, i) => [`${i}`, text]);
  const pick = dropdown("Sentence", options, (value) => bind("sentence")(Number(value)));
  const walk = slider("Word asked for", { min: 1, max: grammar.length, step: 1 }, (v) => bind("place")(v - 1), (v) => `${v} of ${grammar.length}`);
  const style = "font:inherit;color:inherit;background:none;border:1px solid currentColor;border-radius:4px;padding:0.25rem 0.45rem;min-height:2.2rem;min-width:2.2rem;cursor:pointer";
  const buttons = grammar.map((_, i) => {
    const button = make("button", { type: "button", style });
    button.addEventListener("click", () => bind("hidden")(model.get("hidden").map((out, j) => (j === i ? !out : out))));
    return button;
  });
  const row = make("div", { role: "group", "aria-label": "Words: press one to hide or show it", style: "display:flex;flex-wrap:wrap;gap:0.35rem;margin:0.6rem 0" }, ...buttons);
  const bars = make("svg", { viewBox: "0 0 340 262", role: "img" });
  bars.style.cssText = "display:block;width:100%;max-width:30rem;font-size:13px";
  const key = make("p", { style: "margin:0.3rem 0" },
    make("span", { style: `color:${COLORS.blue}` }, "■ from both sides"), "  ",
    make("span", { style: `color:${COLORS.orange}` }, "□ from the left alone"));
  const live = make("p", { "aria-live": "polite", style: "min-height:6em;margin-top:0.5rem" });
  const table = dataTable("Probability of each word", ["word", "from both sides", "from the left"]);

  function update() {
    const place = model.get("place");
    const words = sentences[model.get("sentence")].split(" ");
    const hidden = model.get("hidden");
    const r = compute({ grammar, words, hidden, place });
    pick.set(`${model.get("sentence")}`);
    walk.set(place + 1);
    buttons.forEach((button, i) => {
      const out = hidden[i] || i === place;
      button.textContent = out ? "▢".repeat(3) : words[i];
      button.setAttribute("aria-label", `${words[i]}, ${hidden[i] ? "hidden" : i === place ? "asked for" : "in sight"}`);
      button.setAttribute("aria-pressed", `${hidden[i]}`);
      button.style.borderWidth = i === place ? "3px" : "1px";
      button.style.borderStyle = hidden[i] ? "dashed" : "solid";
    });
    const masks = hidden.filter((out, i) => out || i === place).length;
    live.textContent =
      `Word ${place + 1}, “${words[place]}”, with ${masks} of ${words.length} hidden: from both sides its probability is ${r.both_true.toFixed(3)} ` +
      `and ${r.both_bits.toFixed(2)} bits are open; from the left alone ${r.left_true.toFixed(3)} and ${r.left_bits.toFixed(2)} bits. ` +
      `What stands behind it is worth ${(Math.log2(r.both_true) - Math.log2(r.left_true)).toFixed(2).replace(/^-0\.00$/, "0.00")} bits here.`;
    drawBars(bars, r, words[place], `Probabilities of the word asked for. ${live.textContent}`);
    const all = Object.keys(r.both).sort((a, b) => r.both[b] - r.both[a] || r.left[b] - r.left[a]);
    table.fill(all.map((word) => [word, r.both[word].toFixed(4), r.left[word].toFixed(4)]));
  }
  for (const name of ["sentence", "hidden", "place"]) model.on(`change:${name}`, update);
  const layout = "display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem;align-items:flex-start";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "Ask for the queen, word 2. Which of the others must you hide as well before both sides know no more than the left? Press words to hide or show them."),
    make("div", { style: layout }, pick.box, walk.box),
    row,
    key,
    bars,
    live,
    table.box,
  );
  update();
}

export default { render };
