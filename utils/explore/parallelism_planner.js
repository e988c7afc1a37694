// Data, tensor and pipeline parallelism of one training step: memory, traffic, bubble, time.
// L layers, M width, H heads; d, t, p degrees; b sequences in a micro-batch, m micro-batches.
const MODELS = { "1.3B": [24, 2048, 16], "6.7B": [32, 4096, 32], "22B": [48, 6144, 64], "175B": [96, 12288, 96] };
const [T, V, PEAK, MEMORY] = [2048, 51200, 989.5e12, 80e9];

// The 1F1B schedule: for each stage [kind, micro-batch, start]; forward 1 unit, backward 2.
export function schedule(stages, count) {
  const orders = Array.from({ length: stages }, (_, stage) => {
    const ahead = Math.min(stages - 1 - stage, count);
    const order = Array.from({ length: ahead }, (_, k) => ["F", k]);
    for (let k = 0; k < count - ahead; k++) order.push(["F", ahead + k], ["B", k]);
    for (let k = count - ahead; k < count; k++) order.push(["B", k]);
    return order;
  });
  const ends = new Map();
  const rows = orders.map(() => []);
  const clocks = orders.map(() => 0);
  while (orders.some((order) => order.length)) {
    orders.forEach((order, stage) => {
      while (order.length) {
        const [kind, k] = order[0];
        let ready = 0;
        if (kind === "B" && stage === stages - 1) ready = ends.get(`F${k},${stage}`);
        else if (kind === "B" || stage > 0) ready = ends.get(`${kind}${k},${stage + (kind === "B" ? 1 : -1)}`);
        if (ready === undefined) break;
        const start = Math.max(clocks[stage], ready);
        clocks[stage] = start + (kind === "F" ? 1 : 2);
        ends.set(`${kind}${k},${stage}`, clocks[stage]);
        rows[stage].push([kind, k, start]);
        order.shift();
      }
    });
  }
  return rows;
}

export function compute(s) {
  const [number, width] = MODELS[s.model];
  const [d, t, p, b, m] = [s.data, s.tensor, s.pipeline, s.micro_batch, s.micro_batches];
  const [layers, embedding] = [number / p, (V + T) * width];
  const total = 12 * number * width * width + embedding;
  const parameters = (12 * layers * width * width + embedding) / t;
  const share = [3, 2, 1].map((stage) => (s.zero >= stage ? d : 1));
  const memory = {
    weights: (2 * parameters) / share[0],
    gradients: (2 * parameters) / share[1],
    optimizer: (12 * parameters) / share[2],
    activations: T * b * width * (10 + 24 / t) * layers * Math.min(p, m),
  };
  const message = 2 * T * b * width;
  const traffic = {
    data_traffic: (((s.zero === 3 ? 3 : 2) * (d - 1)) / d) * 2 * parameters,
    tensor_traffic: ((4 * 2 * (t - 1)) / t) * message * layers * m,
    pipeline_traffic: p > 1 ? 2 * message * m : 0,
  };
  const gpus = d * t * p;
  const tokens = d * m * b * T;
  const again = 4 * number * T * width;
  const flops = (6 * (total - T * width) + 3 * again) * tokens;
  const busy = (flops + again * tokens) / (gpus * PEAK * s.utilisation);
  const times = {
    compute_seconds: busy,
    bubble_seconds: (busy * (p - 1)) / m,
    tensor_seconds: traffic.tensor_traffic / (s.node_gbytes * 1e9),
    pipeline_seconds: traffic.pipeline_traffic / (s.network_gbytes * 1e9),
    data_seconds: traffic.data_traffic / (s.network_gbytes * 1e9),
  };
  const sum = (parts) => Object.values(parts).reduce((x, y) => x + y, 0);
  const step_seconds = sum(times);
  const bubble = (p - 1) / (m + p - 1);
  const rates = { tokens_per_second: tokens / step_seconds, mfu: flops / (step_seconds * gpus * PEAK) };
  return { gpus, memory: sum(memory), step_seconds, bubble, ...rates, ...memory, ...traffic, ...times };
}

const CONTROLS = {
  data: ["Data parallel, d", [1, 2, 4, 8, 16, 32, 64, 128]],
  tensor: ["Tensor parallel, t", [1, 2, 4, 8, 16]],
  pipeline: ["Pipeline stages, p", [1, 2, 3, 4, 6, 8, 12]],
  micro_batches: ["Micro-batches, m", [1, 2, 4, 8, 16, 32, 64]],
  micro_batch: ["Sequences in each, b", [1, 2, 4, 8]],
};
const MEMORY_KINDS = ["weights", "gradients", "optimizer", "activations"];
const TIME_KINDS = { compute_seconds: "computing", bubble_seconds: "idle in the pipeline", tensor_seconds: "tensor traffic", pipeline_seconds: "pipeline traffic", data_seconds: "data traffic" };
const percent = (v) => `${(100 * v).toFixed(1)} %`;

function render({ model, el }) {
  const bind = binder(model);
  const controls = {
    model: choice("Model", Object.keys(MODELS), bind("model")),
    ...Object.fromEntries(
      Object.entries(CONTROLS).map(([key, [label, values]]) => {
        const nearest = (v) => values.reduce((best, w, i) => (Math.abs(w - v) < Math.abs(values[best] - v) ? i : best), 0);
        const control = slider(label, { min: 0, max: values.length - 1, step: 1 }, (i) => bind(key)(values[i]), (i) => `${values[i]}`);
        return [key, { box: control.box, set: (v) => control.set(nearest(v)) }];
      }),
    ),
    zero: choice("ZeRO stage", [0, 1, 2, 3], bind("zero")),
  };
  const picture = (height) => make("svg", { viewBox: `0 0 340 ${height}`, role: "img", style: "display:block;width:100%;font-size:12px" });
  const [memory, pipe, time] = [picture(100), picture(126), picture(170)];
  const live = make("p", { "aria-live": "polite", style: "min-height:6em;margin-top:0.5rem" });
  const table = dataTable("Figures of one step", ["figure", "value", "formula"]);
  const text = (value, x, y, extra = {}) => make("text", { x, y, fill: "currentColor", ...extra }, value);

  function drawMemory(r) {
    const scale = 320 / Math.max(MEMORY * 1.1, r.memory);
    const colors = { weights: COLORS.blue, gradients: COLORS.green, optimizer: COLORS.purple, activations: COLORS.orange };
    memory.replaceChildren(text(`Memory on a GPU: ${si(r.memory, "B")} of ${si(MEMORY, "B")}`, 0, 14));
    let x = 0;
    MEMORY_KINDS.forEach((key, i) => {
      memory.append(make("rect", { x, y: 24, width: r[key] * scale, height: 26, fill: colors[key] }));
      memory.append(make("rect", { x: i * 84, y: 86, width: 9, height: 9, fill: colors[key] }), text(key, i * 84 + 13, 95));
      x += r[key] * scale;
    });
    const at = MEMORY * scale;
    memory.append(make("line", { x1: at, x2: at, y1: 18, y2: 56, stroke: "currentColor", "stroke-width": 3 }), text("80 GB", at, 70, { "text-anchor": "middle" }));
  }
  function drawPipe(s) {
    const [stages, count] = [Math.min(s.pipeline, 8), Math.min(s.micro_batches, 16)];
    const rows = schedule(stages, count);
    const end = 3 * (count + stages - 1);
    const [unit, height] = [336 / end, 70 / stages];
    const cut = stages < s.pipeline || count < s.micro_batches ? `; drawn: p = ${stages}, m = ${count}` : "";
    pipe.replaceChildren(text(`The pipeline, idle ${percent((s.pipeline - 1) / (s.micro_batches + s.pipeline - 1))}${cut}`, 0, 14));
    pipe.append(make("rect", { x: 0, y: 24, width: 336, height: 70, fill: "currentColor", "fill-opacity": 0.08 }));
    rows.forEach((row, i) => {
      for (const [kind, k, start] of row) {
        const w = (kind === "F" ? 1 : 2) * unit;
        pipe.append(make("rect", { x: start * unit + 0.5, y: 24 + i * height + 0.5, width: Math.max(0.5, w - 1), height: height - 1, fill: kind === "F" ? COLORS.blue : COLORS.green }));
      }
    });
    pipe.append(text("time →", 336, 110, { "text-anchor": "end" }));
    pipe.append(make("rect", { x: 0, y: 101, width: 9, height: 9, fill: COLORS.blue }), text("forward", 13, 110));
    pipe.append(make("rect", { x: 84, y: 101, width: 9, height: 9, fill: COLORS.green }), text("backward", 97, 110));
  }
  function drawTime(r) {
    const scale = 150 / r.step_seconds;
    time.replaceChildren(text(`Step, if nothing overlaps: ${span(Number(r.step_seconds.toPrecision(3)))}`, 0, 14));
    Object.entries(TIME_KINDS).forEach(([key, name], i) => {
      const y = 26 + i * 28;
      const share = r[key] / r.step_seconds;
      time.append(text(name, 118, y + 15, { "text-anchor": "end" }), make("rect", { x: 125, y, width: r[key] * scale, height: 20, fill: i ? COLORS.orange : COLORS.blue }), text(percent(share), 131 + r[key] * scale, y + 15));
    });
  }
  function fillTable(r) {
    table.fill([
      ["GPUs", whole(r.gpus), "d t p"],
      ["weights", si(r.weights, "B"), "2 · parameters on a GPU, over d with ZeRO 3"],
      ["gradients", si(r.gradients, "B"), "2 · parameters on a GPU, over d from ZeRO 2"],
      ["optimizer states", si(r.optimizer, "B"), "12 · parameters on a GPU, over d from ZeRO 1"],
      ["activations", si(r.activations, "B"), "T b M (10 + 24 / t) · layers of a stage · min(p, m)"],
      ["data traffic", si(r.data_traffic, "B"), "2 (d − 1) / d · gradients' bytes; ZeRO 3: 3 (d − 1) / d"],
      ["tensor traffic", si(r.tensor_traffic, "B"), "4 all-reduces of 2 T b M bytes a layer and micro-batch, each 2 (t − 1) / t"],
      ["pipeline traffic", si(r.pipeline_traffic, "B"), "2 · 2 T b M · m"],
      ["idle in the pipeline", percent(r.bubble), "(p − 1) / (m + p − 1)"],
      ["tokens a second", si(r.tokens_per_second), "d m b T / time of a step"],
      ["of peak (MFU)", percent(r.mfu), "FLOPs of the model / (time · d t p · peak)"],
    ]);
  }
  function update() {
    const s = {};
    for (const key of ["model", "data", "tensor", "pipeline", "micro_batch", "micro_batches", "zero", "utilisation", "node_gbytes", "network_gbytes"]) s[key] = model.get(key);
    const r = compute(s);
    for (const [key, control] of Object.entries(controls)) control.set(s[key]);
    drawMemory(r);
    drawPipe(s);
    drawTime(r);
    fillTable(r);
    const fits = r.memory <= MEMORY ? "fits" : "does not fit";
    live.textContent =
      `${s.model} on ${whole(r.gpus)} GPUs ${fits} in 80 GB: ${si(r.memory, "B")} a GPU. The pipeline is idle ${percent(r.bubble)} of the time; ` +
      `a step of ${whole(s.data * s.micro_batches * s.micro_batch * T)} tokens takes ${span(Number(r.step_seconds.toPrecision(3)))}, and ${percent(r.mfu)} of the GPUs' peak is used.`;
    memory.setAttribute("aria-label", `Memory on a GPU by kind. ${MEMORY_KINDS.map((key) => `${key} ${si(r[key], "B")}`).join(", ")}.`);
    pipe.setAttribute("aria-label", `Schedule of the pipeline: ${s.pipeline} stages, ${s.micro_batches} micro-batches, idle ${percent(r.bubble)}.`);
    time.setAttribute("aria-label", `Where the time goes. ${Object.entries(TIME_KINDS).map(([key, name]) => `${name} ${percent(r[key] / r.step_seconds)}`).join(", ")}.`);
  }
  for (const key of [...Object.keys(controls), "utilisation", "node_gbytes", "network_gbytes"]) model.on(`change:${key}`, update);
  const row = "display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem;align-items:flex-start";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "Fit the 175B model in 80 GB with 64 GPUs and no ZeRO. Then halve the idle time without another GPU: which number do you change, and what does it cost?"),
    make("div", { style: row }, ...Object.values(controls).map((control) => control.box)),
    make("div", { style: row }, make("div", { style: "flex:1 1 280px;min-width:0" }, memory, pipe), make("div", { style: "flex:1 1 280px;min-width:0" }, time)),
    live,
    table.box,
  );
  update();
}

export default { render };
