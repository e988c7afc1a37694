// What a Transformer costs: parameters, bytes, operations, days, kilowatt-hours and money.
// N parameters, L layers, M = H d width, H heads of size d, K key and value heads, F feed-forward
// width, V vocabulary, E experts of which k work on a token, T tokens in a sequence, B sequences
// on a GPU at once, G GPUs, e bytes of a number in training.
const SHAPE_FIELDS = ["family", "num_layers", "num_heads", "num_kv_heads", "head_size", "d_ff", "vocab_size", "context_length", "num_experts", "experts_per_token"];
const PRESETS = {
  "gpt2-small": ["GPT-2 small", "gpt2", 12, 12, 12, 64, 3072, 50257, 1024, 0, 2],
  "gpt3-175b": ["GPT-3 175B", "gpt2", 96, 96, 96, 128, 49152, 50257, 2048, 0, 2],
  "bert-large": ["BERT-large", "bert", 24, 16, 16, 64, 4096, 30522, 512, 0, 2],
  "llama-3-8b": ["Llama 3 8B", "llama", 32, 32, 8, 128, 14336, 128256, 8192, 0, 2],
  "llama-3-70b": ["Llama 3 70B", "llama", 80, 64, 8, 128, 28672, 128256, 8192, 0, 2],
  "qwen2.5-7b": ["Qwen2.5 7B", "qwen2", 28, 28, 4, 128, 18944, 152064, 131072, 0, 2],
  "mixtral-8x7b": ["Mixtral 8x7B", "llama", 32, 32, 8, 128, 14336, 32000, 32768, 8, 2],
};
const OPTIMIZERS = { AdamW: 2, "SGD with momentum": 1, SGD: 0 };
// Data sheets: dense bf16 FLOP/s, bytes, bytes/s, watts.
const GPUS = {
  A100: { label: "NVIDIA A100 SXM 80 GB", peak: 312e12, memory: 80e9, bandwidth: 2.039e12, power: 400 },
  H100: { label: "NVIDIA H100 SXM 80 GB", peak: 989.5e12, memory: 80e9, bandwidth: 3.35e12, power: 700 },
  H200: { label: "NVIDIA H200 SXM 141 GB", peak: 989.5e12, memory: 141e9, bandwidth: 4.8e12, power: 700 },
  MI300X: { label: "AMD MI300X 192 GB", peak: 1307.4e12, memory: 192e9, bandwidth: 5.3e12, power: 750 },
  "RTX 4090": { label: "NVIDIA RTX 4090 24 GB", peak: 165.2e12, memory: 24e9, bandwidth: 1.008e12, power: 450 },
};

function shapeOf({ preset, shape }) {
  const values = PRESETS[preset].slice(1);
  const c = { ...Object.fromEntries(SHAPE_FIELDS.map((key, i) => [key, values[i]])), ...shape };
  c.M = c.num_heads * c.head_size;
  c.gated = c.family === "llama" || c.family === "qwen2";
  c.E = c.gated ? c.num_experts : 0;
  c.causal = c.family !== "bert";
  return c;
}

// Matrices of all blocks that work on one token, and the product with the vocabulary.
function matrices(c, experts) {
  const attention = c.M * (c.num_heads + 2 * c.num_kv_heads) * c.head_size + c.M * c.M;
  const feedforward = (c.gated ? 3 : 2) * c.M * c.d_ff * (c.E ? experts : 1);
  return c.num_layers * (attention + feedforward + c.M * c.E);
}

function countParameters(c, experts) {
  const { M, vocab_size: V, gated } = c;
  const norm = gated ? M : 2 * M;
  const wide = (c.num_heads + 2 * c.num_kv_heads) * c.head_size;
  let bias = 0; // of one block
  if (c.family === "qwen2") bias = wide;
  if (!gated) bias = wide + M + c.d_ff + M;
  let rest = V * M + norm; // tokens; the last norm, or the one behind BERT's embedding
  if (gated) rest += V * M; // head
  else rest += c.context_length * M; // positions
  if (c.family === "bert") rest += 2 * M + M * M + M; // token types, pooler
  return matrices(c, experts) + c.num_layers * (bias + 2 * norm) + rest;
}

function blockActivations(c, sequence, e, keepScores) {
  const wide = (2 * c.num_heads + 2 * c.num_kv_heads) * c.head_size;
  let feedforward = (c.gated ? 4 : 2) * c.d_ff;
  if (c.E) feedforward = c.experts_per_token * (feedforward + 2 * c.M);
  const kept = e * (4 * c.M + wide + feedforward) + (c.gated ? 0 : 2 * c.M);
  const scores = (c.gated ? e : 2 * e + 1) * c.num_heads * sequence;
  return kept + (keepScores ? scores : 0);
}

function training(c, s, parameters) {
  const e = s.precision / 8;
  const part = (stage) => (s.zero >= stage ? s.gpus : 1);
  const state = 4 * OPTIMIZERS[s.optimizer] + (e === 2 ? 4 : 0);
  const [weights, gradients] = [(parameters * e) / part(3), (parameters * e) / part(2)];
  const optimizer_states = (parameters * state) / part(1);
  let kept = c.num_layers * blockActivations(c, s.sequence, e, s.recompute === "nothing");
  if (s.recompute === "blocks") kept = c.num_layers * e * c.M + blockActivations(c, s.sequence, e, true);
  const head = 2 * e * c.M + (c.causal ? 4 * c.vocab_size : 0);
  const activations = s.batch * s.sequence * (kept + head);
  const training_memory = weights + gradients + optimizer_states + activations;
  return { weights, gradients, optimizer_states, activations, training_memory };
}

function serving(c, s, parameters) {
  const [gpu, size] = [GPUS[s.gpu], s.serve_bits / 8];
  const serving_weights = parameters * size;
  const perToken = c.causal ? 4 * c.num_layers * c.num_kv_heads * c.head_size : 0;
  const kv_cache = perToken * s.sequence * s.batch;
  const serving_memory = serving_weights + kv_cache;
  const serving_gpus = Math.ceil(serving_memory / gpu.memory);
  const read = (matrices(c, c.experts_per_token) + (c.causal ? c.vocab_size * c.M : 0)) * size + kv_cache;
  const decode_rate = c.causal ? (s.batch * serving_gpus * gpu.bandwidth) / read : 0;
  return { serving_weights, kv_cache, serving_memory, serving_gpus, decode_rate };
}

function operations(c, s, active) {
  const gpu = GPUS[s.gpu];
  const blocks = matrices(c, c.experts_per_token);
  const attention = 4 * c.num_layers * s.sequence * c.M;
  const flops = (6 * (blocks + (c.causal ? c.vocab_size * c.M : 0)) + 3 * attention) * s.tokens;
  const again = { nothing: 0, attention, blocks: 2 * blocks + attention };
  const executed_flops = flops + again[s.recompute] * s.tokens;
  const peak = s.precision === 16 ? gpu.peak : gpu.peak / 2;
  const gpu_hours = executed_flops / (peak * s.utilisation) / 3600;
  const [seconds, energy] = [(gpu_hours * 3600) / s.gpus, (gpu_hours * gpu.power) / 1000];
  return { rule_flops: 6 * active * s.tokens, flops, executed_flops, gpu_hours, seconds, energy, cost: gpu_hours * s.price };
}

export function compute(s) {
  const c = shapeOf(s);
  const parameters = countParameters(c, c.E);
  const active_parameters = countParameters(c, c.experts_per_token);
  return { parameters, active_parameters, ...training(c, s, parameters), ...serving(c, s, parameters), ...operations(c, s, active_parameters) };
}

// Name, value and formula of every figure, in the order of the table.
function figures(s, r) {
  const c = shapeOf(s);
  const [e, gpu] = [s.precision / 8, GPUS[s.gpu]];
  const state = 4 * OPTIMIZERS[s.optimizer] + (e === 2 ? 4 : 0);
  const split = (stage) => (s.zero >= stage ? ` ÷ ${whole(s.gpus)} GPUs (ZeRO ${s.zero})` : "");
  const N = whole(r.parameters);
  const attention = "M (H + 2 K) d + M H d";
  const feed = `${c.gated ? 3 : 2} M F${c.E ? ` × ${c.E} experts + M E (router)` : ""}`;
  const rest = { gpt2: "biases and norms; tables V M + T M", bert: "biases and norms; tables (V + T + 2) M; pooler M² + M", llama: "norms; table and head 2 V M", qwen2: "biases of Q, K, V and norms; table and head 2 V M" }[c.family];
  const kept = `${e} × (4 M + 2 (H + K) d + ${c.E ? `${c.experts_per_token} (4 F + 2 M)` : `${c.gated ? 4 : 2} F`})${c.gated ? "" : " + 2 M of dropout masks"}`;
  const scores = `${c.gated ? e : 2 * e + 1} H T of attention weights`;
  const mode = {
    nothing: `L (${kept} + ${scores})`,
    attention: `L (${kept})`,
    blocks: `L × ${e} M + one block, while it is run again: ${kept} + ${scores}`,
  }[s.recompute];
  const again = { nothing: "", attention: ", attention's forward pass once more", blocks: ", all blocks' forward pass once more" }[s.recompute];
  const peak = `${si(gpu.peak / (e === 2 ? 1 : 2), "FLOP/s")} ${e === 2 ? "bf16" : "TF32"} peak`;
  const cache = c.causal ? `2 (keys, values) × 2 bytes × L K d × T B = 4 × ${c.num_layers} × ${c.num_kv_heads} × ${c.head_size} × ${whole(s.sequence)} × ${s.batch}` : "An encoder keeps none";
  return [
    ["Parameters N", whole(r.parameters), `L (${attention} + ${feed}) + ${rest}`],
    ["Active on a token", whole(r.active_parameters), c.E ? `N with ${c.experts_per_token} of ${c.E} experts` : "All of N: no experts"],
    ["Weights", si(r.weights, "B"), `${e} bytes × N${split(3)}`],
    ["Gradients", si(r.gradients, "B"), `${e} bytes × N${split(2)}`],
    ["Optimizer states", si(r.optimizer_states, "B"), `${state} bytes × N: ${OPTIMIZERS[s.optimizer]} numbers of 4 bytes${e === 2 ? " and a 32-bit copy of the weights" : ""}${split(1)}`],
    ["Activations", si(r.activations, "B"), `B T × (${mode} + ${2 * e} M of the last norm${c.causal ? " + 4 V of logits" : ""})`],
    ["Training, each GPU", si(r.training_memory, "B"), "Weights + gradients + optimizer states + activations"],
    ["Weights, generating", si(r.serving_weights, "B"), `${s.serve_bits} bits × N ÷ 8`],
    ["KV cache", si(r.kv_cache, "B"), cache],
    ["GPUs to generate", whole(r.serving_gpus), `(weights + KV cache) ÷ ${si(gpu.memory, "B")}, rounded up`],
    ["Tokens/s at most", c.causal ? si(r.decode_rate) : "none", `B × ${si(gpu.bandwidth, "B/s")} × GPUs ÷ (bytes of the active matrices + KV cache): each is read once a token`],
    ["FLOPs of training", power10(r.flops), `(6 N_matrices + 12 L T H d) × tokens; the rule 6 N_active × tokens gives ${power10(r.rule_flops)}`],
    ["FLOPs carried out", power10(r.executed_flops), `FLOPs of training${again}`],
    ["GPU-hours", words(r.gpu_hours), `FLOPs carried out ÷ (${peak} × ${Math.round(100 * s.utilisation)} %) ÷ 3,600 s`],
    ["Time of training", span(r.seconds), `GPU-hours ÷ ${whole(s.gpus)} GPUs`],
    ["Energy", si(r.energy * 1000, "Wh"), `GPU-hours × ${gpu.power} W: boards at full power, without cooling and the rest`],
    ["Cost", `$${words(r.cost)}`, `GPU-hours × $${s.price.toFixed(2)}, your price`],
  ];
}

const KINDS = [["weights", "blue"], ["gradients", "orange"], ["optimizer", "green"], ["activations", "purple"]];
const PICTURE = "flex:1 1 280px;min-width:0;max-width:100%;font-size:12px";

function svgText(value, x, y, anchor = "start") {
  return make("text", { x, y, "text-anchor": anchor, fill: "currentColor" }, value);
}

// Bars of bytes by kind, training above, generating below, and one GPU's memory as a line.
function memoryChart() {
  const [width, left, right] = [340, 4, 8];
  const svg = make("svg", { viewBox: `0 0 ${width} 170`, role: "img", style: PICTURE });
  function draw(s, r, label) {
    const memory = GPUS[s.gpu].memory;
    const x = (v) => left + (v / (1.06 * Math.max(r.training_memory, r.serving_memory, memory))) * (width - left - right);
    const bar = (title, parts, y) => {
      svg.append(svgText(title, left, y - 8));
      let from = 0;
      for (const [color, value] of parts) {
        const [a, b] = [x(from), x(from + value)];
        svg.append(make("rect", { x: a, y, width: Math.max(b - a - 1, 0), height: 22, fill: COLORS[color] }));
        from += value;
      }
      const line = { x1: x(memory), x2: x(memory), y1: y - 4, y2: y + 26, "stroke-width": 2 };
      svg.append(make("line", { ...line, stroke: "currentColor", "stroke-dasharray": "4 3" }));
    };
    svg.setAttribute("aria-label", label);
    svg.replaceChildren();
    const values = [r.weights, r.gradients, r.optimizer_states, r.activations];
    const cache = r.kv_cache ? ` + KV cache ${si(r.kv_cache, "B")}` : "";
    bar(`Training, on each GPU: ${si(r.training_memory, "B")}`, KINDS.map(([, color], i) => [color, values[i]]), 22);
    bar(`Generating, in all: weights ${si(r.serving_weights, "B")}${cache}`, [["blue", r.serving_weights], ["purple", r.kv_cache]], 74);
    const end = x(memory) > width / 2;
    svg.append(svgText(`one ${s.gpu}: ${si(memory, "B")}`, x(memory), 113, end ? "end" : "start"));
    KINDS.forEach(([name, color], i) => {
      const [px, py] = [left + (i % 2) * 165, 136 + 18 * Math.floor(i / 2)];
      const swatch = make("rect", { x: px, y: py - 9, width: 10, height: 10, fill: COLORS[color] });
      svg.append(swatch, svgText(`${name} ${si(values[i], "B")}`, px + 15, py));
    });
  }
  return { svg, draw };
}

// Time of training on a logarithmic axis, on one GPU and on all.
function timeChart() {
  const [width, left, right] = [340, 4, 12];
  const year = 31557600;
  const ticks = [[60, "1 min"], [86400, "1 day"], [year, "1 year"], [1000 * year, "1,000 years"]];
  const [low, high] = [0, Math.log10(1e6 * year)];
  const x = (v) => left + ((Math.min(Math.max(Math.log10(v), low), high) - low) / (high - low)) * (width - left - right);
  const svg = make("svg", { viewBox: `0 0 ${width} 170`, role: "img", style: PICTURE });
  function draw(s, r, label) {
    svg.setAttribute("aria-label", label);
    svg.replaceChildren();
    for (const [at, name] of ticks) {
      for (const y of [20, 72]) {
        svg.append(make("line", { x1: x(at), x2: x(at), y1: y, y2: y + 30, stroke: "currentColor", "stroke-opacity": 0.4 }));
      }
      svg.append(svgText(name, x(at), 116, "middle"));
    }
    svg.append(svgText("time of training (logarithmic axis)", width / 2, 136, "middle"));
    const rows = [["one GPU", r.seconds * s.gpus, 22], [`${whole(s.gpus)} GPUs`, r.seconds, 74]];
    for (const [name, seconds, y] of rows) {
      svg.append(svgText(`${name}: ${span(seconds)}`, left, y - 8));
      svg.append(make("rect", { x: left, y, width: Math.max(x(seconds) - left, 1), height: 22, fill: COLORS.blue }));
    }
  }
  return { svg, draw };
}

// The next divisor of `heads` on the way from `before` to `wanted`.
function divisor(heads, wanted, before) {
  const all = Array.from({ length: heads }, (_, i) => i + 1).filter((v) => heads % v === 0);
  return wanted > before ? (all.find((v) => v >= wanted) ?? heads) : all.findLast((v) => v <= wanted);
}

const AMOUNTS = [8, 9, 10, 11, 12, 13].flatMap((n) => [1, 1.5, 2, 3, 5, 7].map((m) => m * 10 ** n)).concat(1e14);
const RUN_AGAIN = [["nothing", "nothing"], ["attention", "attention (or fused)"], ["blocks", "all blocks"]];
const ROW = "display:flex;flex-wrap:wrap;gap:0.5rem 1rem;align-items:end";

function shapeControls(model) {
  const specs = [
    ["num_layers", "Layers L", 1, 200], ["num_heads", "Heads H", 1, 256], ["head_size", "Head size d", 2, 512],
    ["num_kv_heads", "Key-value heads K", 1, 256], ["d_ff", "Feed-forward width F", 1, 200000], ["vocab_size", "Vocabulary V", 1, 1000000],
    ["num_experts", "Experts E (0: dense)", 0, 256], ["experts_per_token", "Experts on a token", 1, 256],
  ];
  const change = (key) => (value, before) => {
    const c = { ...shapeOf({ preset: model.get("preset"), shape: model.get("shape") }) };
    const next = { ...model.get("shape"), [key]: value };
    if (key === "head_size" && c.gated) next[key] += value % 2; // rotary embeddings turn pairs
    if (key === "num_kv_heads") next[key] = divisor(c.num_heads, value, before);
    if (key === "num_heads") next.num_kv_heads = divisor(value, Math.min(c.num_kv_heads, value), Infinity);
    if (key === "num_experts" && value) next.experts_per_token = Math.min(c.experts_per_token, value);
    if (key === "experts_per_token" && c.E) next[key] = Math.min(value, c.E);
    model.set("shape", next);
    model.save_changes();
  };
  const fields = specs.map(([key, label, min, max]) => [key, numberField(label, min, max, change(key))]);
  const note = make("p", { style: "margin:0.25rem 0" });
  const box = make("details", {}, make("summary", {}, "Shape of the model"), make("div", { style: ROW }, ...fields.map(([, f]) => f.box)), note);
  function set(c) {
    for (const [key, field] of fields) {
      field.set(c[key]);
      if (key.includes("expert")) field.input.disabled = !c.gated;
    }
    note.textContent = `Width M = H × d = ${whole(c.M)}.`;
  }
  return { box, set };
}

function settingControls(model) {
  const bind = binder(model);
  const log2 = (key, label, high, unit = "") =>
    slider(label, { min: unit ? 7 : 0, max: high, step: 1 }, (v) => bind(key)(2 ** v), (v) => whole(2 ** v) + unit);
  const amount = slider("Training tokens", { min: 0, max: AMOUNTS.length - 1, step: 1 }, (v) => bind("tokens")(AMOUNTS[v]), (v) => words(AMOUNTS[v] ?? model.get("tokens")));
  const nearest = (tokens) => AMOUNTS.reduce((best, v, i) => (Math.abs(Math.log(v / tokens)) < Math.abs(Math.log(AMOUNTS[best] / tokens)) ? i : best), 0);
  const preset = dropdown("Model", Object.entries(PRESETS).map(([key, row]) => [key, row[0]]), (value) => {
    const c = shapeOf({ preset: value, shape: {} });
    if (!c.gated) model.set("sequence", Math.min(model.get("sequence"), c.context_length));
    model.set("shape", {});
    bind("preset")(value);
  });
  const gpu = dropdown("GPU", Object.entries(GPUS).map(([key, g]) => [key, g.label]), bind("gpu"));
  const sequence = log2("sequence", "Context T", 20, " tokens");
  const batch = log2("batch", "Sequences at once B", 10);
  const gpus = log2("gpus", "GPUs in training G", 15);
  const precision = choice("Training in bits", [16, 32], bind("precision"));
  const zero = choice("ZeRO stage", [0, 1, 2, 3], bind("zero"));
  const bits = choice("Generating: bits of a weight", [32, 16, 8, 4], bind("serve_bits"));
  const optimizer = dropdown("Optimizer", Object.keys(OPTIMIZERS).map((name) => [name, name]), bind("optimizer"));
  const recompute = dropdown("Run again, not kept", RUN_AGAIN, bind("recompute"));
  const used = slider("Utilisation of the peak", { min: 5, max: 80, step: 1 }, (v) => bind("utilisation")(v / 100), (v) => `${v} %`);
  const price = slider("Price of a GPU-hour", { min: 0, max: 12, step: 0.1 }, bind("price"), (v) => `$${Number(v).toFixed(2)}`);
  function set(s) {
    const controls = { preset, gpu, zero, precision, optimizer, recompute, price };
    for (const [key, control] of Object.entries(controls)) control.set(s[key]);
    for (const [key, control] of Object.entries({ sequence, batch, gpus })) control.set(Math.log2(s[key]));
    amount.set(nearest(s.tokens));
    bits.set(s.serve_bits);
    used.set(Math.round(100 * s.utilisation));
  }
  const main = make("div", { style: ROW }, ...[preset, gpu, sequence, batch, gpus, amount].map((control) => control.box));
  const more = make("div", { style: ROW }, ...[optimizer, recompute, precision, zero, bits, used, price].map((control) => control.box));
  return { main, more: make("details", {}, make("summary", {}, "Precision, optimizer, ZeRO, recomputation, utilisation, price"), more), set };
}

// Every figure as a line that opens on its formula.
function figureList() {
  const box = make("div", { style: "display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:0 1rem;margin:0.25rem 0" });
  const lines = [];
  function fill(rows) {
    rows.forEach(([name, value, formula], i) => {
      lines[i] ??= [make("span"), make("strong"), make("p", { style: "margin:0.1rem 0 0.4rem 1rem;overflow-wrap:anywhere" })];
      const [first, second, third] = lines[i];
      if (!first.isConnected && box.childElementCount <= i) box.append(make("details", {}, make("summary", {}, first, " ", second), third));
      [first.textContent, second.textContent, third.textContent] = [name, value, formula];
    });
  }
  return { box, fill };
}

function spoken(s, r) {
  const c = shapeOf(s);
  const name = PRESETS[s.preset][0] + (Object.keys(s.shape).length ? " with your changes" : "");
  const fits = r.training_memory <= GPUS[s.gpu].memory ? "fits" : "does not fit";
  const long = !c.gated && s.sequence > c.context_length ? ` Its table ends at position ${whole(c.context_length)}.` : "";
  const cache = c.causal ? ` and KV cache ${si(r.kv_cache, "B")}` : "";
  return `${name}, ${whole(s.sequence)} tokens: generating takes weights ${si(r.serving_weights, "B")}${cache}; ` +
    `training ${si(r.training_memory, "B")} on each GPU (${fits} an ${s.gpu}) and ${span(r.seconds)}.${long}`;
}

function render({ model, el }) {
  const keys = ["preset", "shape", "gpu", "sequence", "batch", "gpus", "tokens", "precision", "optimizer", "zero", "recompute", "utilisation", "price", "serve_bits"];
  const [controls, shape] = [settingControls(model), shapeControls(model)];
  const [memory, time, list] = [memoryChart(), timeChart(), figureList()];
  const live = make("p", { "aria-live": "polite", style: "min-height:4.95em;margin:0.5rem 0" });
  const table = dataTable("What it costs, with formulas", ["quantity", "value", "formula"]);
  table.box.querySelector("table").style.cssText = "min-width:34rem;border-collapse:separate;border-spacing:0.75rem 0.1rem";
  function update() {
    const s = Object.fromEntries(keys.map((key) => [key, model.get(key)]));
    const r = compute(s);
    controls.set(s);
    shape.set(shapeOf(s));
    live.textContent = spoken(s, r);
    memory.draw(s, r, `Memory by kind. ${live.textContent}`);
    time.draw(s, r, `Time of training: ${span(r.seconds * s.gpus)} on one GPU, ${span(r.seconds)} on ${whole(s.gpus)}.`);
    const rows = figures(s, r);
    list.fill(rows);
    table.fill(rows);
  }
  for (const key of keys) model.on(`change:${key}`, update);
  const summary = make("summary", {}, "Each figure and its formula");
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "At how many tokens of context does the KV cache of Llama 3 8B outgrow its weights?"),
    make("div", { style: ROW }, memory.svg, time.svg),
    live,
    controls.main,
    make("details", {}, summary, list.box),
    controls.more,
    shape.box,
    table.box,
  );
  update();
}

export default { render };
