// Byte-pair encoding of a short text, one merge at a time.
// Ids of bytes: GPT-2's order, which puts printable bytes of Latin-1 first.
const PRINTABLE = [[0x21, 0x7e], [0xa1, 0xac], [0xae, 0xff]];
const isPrintable = (byte) => PRINTABLE.some(([first, last]) => byte >= first && byte <= last);
const BYTES = Array.from({ length: 256 }, (_, byte) => byte);
const BYTE_ORDER = [...BYTES.filter(isPrintable), ...BYTES.filter((byte) => !isPrintable(byte))];
const RANK = new Map(BYTE_ORDER.map((byte, rank) => [byte, rank]));
const SPACE = "\\p{White_Space}";
const CHUNK = new RegExp(
  `'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^${SPACE}\\p{L}\\p{N}]+|${SPACE}+(?!\\P{White_Space})|${SPACE}+`,
  "gu",
);

function pairsOf(chunks) {
  const counts = new Map();
  for (const chunk of chunks) {
    for (let i = 0; i + 1 < chunk.length; i++) {
      const key = `${chunk[i]} ${chunk[i + 1]}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  const list = [...counts].map(([key, count]) => [...key.split(" ").map(Number), count]);
  return list.sort((p, q) => q[2] - p[2] || p[0] - q[0] || p[1] - q[1]);
}

function merged(chunk, left, right, id) {
  const out = [];
  for (let i = 0; i < chunk.length; i++) {
    const found = chunk[i] === left && chunk[i + 1] === right;
    out.push(found ? id : chunk[i]);
    if (found) i++;
  }
  return out;
}

export function compute({ text, step }) {
  const encoder = new TextEncoder(); // puts U+FFFD in the place of a lone surrogate
  const clean = new TextDecoder("utf-8", { ignoreBOM: true }).decode(encoder.encode(text));
  const bytesOf = BYTE_ORDER.map((byte) => [byte]);
  let chunks = (clean.match(CHUNK) ?? []).map((chunk) => Array.from(encoder.encode(chunk), (b) => RANK.get(b)));
  const merges = [];
  let now = null;
  for (;;) {
    const pairs = pairsOf(chunks);
    const ends = !pairs.length || pairs[0][2] < 2;
    if (!now && (ends || merges.length === step)) {
      now = {
        tokens: chunks.map((chunk) => chunk.map((id) => bytesOf[id])),
        pairs: pairs.map(([a, b, n]) => [bytesOf[a], bytesOf[b], n]),
        step: merges.length,
        length: chunks.reduce((sum, chunk) => sum + chunk.length, 0),
      };
    }
    if (ends) break;
    const [left, right, count] = pairs[0];
    merges.push([bytesOf[left], bytesOf[right], count]);
    bytesOf.push([...bytesOf[left], ...bytesOf[right]]);
    chunks = chunks.map((chunk) => merged(chunk, left, right, bytesOf.length - 1));
  }
  return { ...now, merges, bytes: encoder.encode(text).length };
}

// What people see of a token: its characters, or its bytes where these are not whole characters.
function shown(bytes) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
    return text.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥");
  } catch {
    return bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(" ");
  }
}

const widthOf = (text) => [...text].reduce((sum, c) => sum + (c.codePointAt(0) > 0x2e7f ? 14 : 8.4), 0);
const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);

// Boxes in lines: [{ bytes, text, x, y, width, chunk }], and the height that they take.
function layout(tokens, room) {
  const boxes = [];
  let [x, y] = [1, 2];
  tokens.forEach((chunk, number) => {
    for (const bytes of chunk) {
      const text = shown(bytes);
      const width = Math.max(widthOf(text) + 8, 16);
      if (x > 1 && x + width > room) [x, y] = [1, y + 30];
      boxes.push({ bytes, text, x, y, width, chunk: number });
      x += width + 2;
    }
    x += 6;
  });
  return { boxes, height: y + 28 };
}

function drawTokens(svg, r, start, room) {
  const { boxes } = layout(r.tokens, room);
  const height = layout(start.tokens, room).height;
  svg.setAttribute("viewBox", `0 0 ${room} ${height}`);
  svg.replaceChildren();
  const last = r.step ? [...r.merges[r.step - 1][0], ...r.merges[r.step - 1][1]] : [];
  const next = r.merges[r.step];
  const waits = new Set();
  boxes.forEach((box, i) => {
    const right = boxes[i + 1];
    if (!next || waits.has(i) || right?.chunk !== box.chunk) return;
    if (same(box.bytes, next[0]) && same(right.bytes, next[1])) waits.add(i).add(i + 1);
  });
  boxes.forEach(({ bytes, text, x, y, width }, i) => {
    const isNew = same(bytes, last);
    const color = waits.has(i) ? COLORS.orange : isNew ? COLORS.blue : "currentColor";
    const frame = { x, y, width, height: 24, rx: 3, style: `stroke:${color};fill:${color}`, "fill-opacity": isNew ? 0.22 : 0 };
    const strong = waits.has(i) || isNew;
    svg.append(
      make("rect", { ...frame, "stroke-width": strong ? 2.2 : 1, "stroke-opacity": strong ? 1 : 0.55 }),
      make("text", { x: x + width / 2, y: y + 17, "text-anchor": "middle", fill: "currentColor" }, text),
    );
  });
}

const MOST = 8;
function drawBars(svg, r) {
  const largest = Math.max(4, r.merges[0]?.[2] ?? 0);
  svg.replaceChildren(make("text", { x: 4, y: 14, fill: "currentColor" }, "pair, and how often it occurs"));
  r.pairs.slice(0, MOST).forEach(([left, right, count], i) => {
    const y = 22 + 23 * i;
    const fill = i === 0 && count > 1 ? COLORS.orange : COLORS.blue;
    const width = (170 * count) / largest;
    svg.append(
      make("text", { x: 118, y: y + 14, "text-anchor": "end", fill: "currentColor" }, `${shown(left)} + ${shown(right)}`),
      make("rect", { x: 126, y, width, height: 18, style: `fill:${fill}` }),
      make("text", { x: 132 + width, y: y + 14, fill: "currentColor" }, `${count}`),
    );
  });
}

function describe(r) {
  const rate = (r.bytes / Math.max(r.length, 1)).toFixed(2);
  const size = `${r.bytes} bytes are ${r.length} tokens, ${rate} bytes a token.`;
  const made = r.step ? r.merges[r.step - 1] : null;
  const done = made ? `Merge ${r.step} made “${shown([...made[0], ...made[1]])}” in ${made[2]} places. ` : "No merge yet: each byte is a token. ";
  const next = r.merges[r.step];
  const then = next
    ? ` Next: “${shown(next[0])}” + “${shown(next[1])}”, which occurs ${next[2]} times.`
    : " No pair occurs twice any more; training ends.";
  return done + size + then;
}

function render({ model, el }) {
  const bind = binder(model);
  const field = make("textarea", { rows: 2, maxlength: 160, spellcheck: "false", style: "display:block;width:100%;font:inherit;color:inherit;background:transparent;border:1px solid currentColor;border-radius:4px;box-sizing:border-box;padding:0.3rem 0.5rem;resize:vertical" });
  field.addEventListener("keydown", (event) => event.stopPropagation()); // a notebook has keys of its own
  field.addEventListener("input", () => {
    const value = field.value; // an update may put the model's text into the field
    model.set("text", value);
    bind("step")(0);
  });
  const place = make("div", { style: "margin:0.5rem 0" });
  const boxes = make("svg", { role: "img", style: "display:block;width:100%;font:14px ui-monospace,Menlo,Consolas,monospace" });
  const bars = make("svg", { viewBox: `0 0 340 ${26 + 23 * MOST}`, role: "img", style: "display:block;width:100%;max-width:25rem;font-size:13px" });
  const live = make("p", { "aria-live": "polite", style: "margin:0.5rem 0" });
  const table = dataTable("Pairs that occur now, most frequent first", ["left", "right", "count"]);
  let steps = null;
  let last = -1;
  let narrow = false;
  let kept = { text: null, start: null };
  function update() {
    const text = model.get("text");
    const r = compute({ text, step: model.get("step") });
    if (kept.text !== text) kept = { text, start: compute({ text, step: 0 }) };
    if (field.value !== text) field.value = text;
    if (last !== r.merges.length) {
      last = r.merges.length;
      steps = stepper("Step through the merges", last, bind("step"));
      place.replaceChildren(steps.box);
    }
    steps.set(r.step);
    drawTokens(boxes, r, kept.start, narrow ? 340 : 680);
    boxes.style.maxWidth = narrow ? "26rem" : "none";
    drawBars(bars, r);
    const said = describe(r);
    live.style.minHeight = narrow ? "6.6em" : "3.4em";
    if (live.textContent !== said) live.textContent = said;
    const pieces = r.tokens.flat().map(shown).join(" | ");
    boxes.setAttribute("aria-label", `The text as ${r.length} tokens: ${pieces}`);
    bars.setAttribute("aria-label", `Bars of the ${Math.min(MOST, r.pairs.length)} most frequent pairs of neighbors. ${said}`);
    table.fill(r.pairs.slice(0, 30).map(([a, b, n]) => [shown(a), shown(b), `${n}`]));
  }
  const events = ["text", "step"].map((key) => `change:${key}`);
  for (const event of events) model.on(event, update);
  const observer = new ResizeObserver(([entry]) => {
    const now = entry.contentRect.width < 560;
    if (now !== narrow) {
      narrow = now;
      update();
    }
  });
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "Step until “␣the” is one token. Which merges made it, and which “the” is left out? Then put 机器学习,学习机器 into the field: what does the first merge join, and when is a token readable?"),
    make("label", { style: "display:block" }, "Text (at most 160 characters)", field),
    place,
    boxes,
    live,
    bars,
    table.box,
  );
  update();
  observer.observe(el);
  return () => {
    observer.disconnect();
    for (const event of events) model.off(event, update);
  };
}

export default { render };
