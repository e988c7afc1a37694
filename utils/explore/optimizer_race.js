// Four optimizers on a surface over the plane, from one start.
const LIMIT = 1e6;
const [BETA1, BETA2, EPSILON] = [0.9, 0.999, 1e-8];

const SURFACES = {
  valley: (x, y) => [0.5 * (x * x + 25 * y * y), [x, 25 * y]],
  banana: (x, y) => {
    const bend = y - x * x;
    return [(1 - x) * (1 - x) + 10 * bend * bend, [-2 * (1 - x) - 40 * x * bend, 20 * bend]];
  },
  saddle: (x, y) => [0.25 * x * x * x * x - 0.5 * x * x + 0.5 * y * y, [x * x * x - x, y]],
};
const FLOORS = { valley: 0, banana: 0, saddle: -0.25 };

const OPTIMIZERS = {
  SGD: (s, g, lr) => lr * g,
  momentum(s, g, lr) {
    s.m = BETA1 * s.m + g;
    return lr * s.m;
  },
  RMSProp(s, g, lr) {
    s.v = 0.99 * s.v + 0.01 * (g * g);
    return (lr * g) / (Math.sqrt(s.v) + EPSILON);
  },
  Adam(s, g, lr) {
    s.m = BETA1 * s.m + (1 - BETA1) * g;
    s.v = BETA2 * s.v + (1 - BETA2) * (g * g);
    s.c1 *= BETA1;
    s.c2 *= BETA2;
    return (lr * (s.m / (1 - s.c1))) / (Math.sqrt(s.v / (1 - s.c2)) + EPSILON);
  },
};

function run(rule, surface, start, lr, steps) {
  const f = SURFACES[surface];
  const states = [0, 1].map(() => ({ m: 0, v: 0, c1: 1, c2: 1 }));
  let at = [...start];
  const path = [at];
  let diverged = false;
  for (let step = 1; step <= steps; step++) {
    const gradient = f(...at)[1];
    at = at.map((x, i) => x - rule(states[i], gradient[i], lr));
    if (!at.every((x) => Math.abs(x) <= LIMIT)) {
      diverged = true;
      break;
    }
    path.push(at);
  }
  return { path, loss: f(...path.at(-1))[0] - FLOORS[surface], diverged };
}

export function compute({ surface, start, log_lr, steps }) {
  const lr = 10 ** log_lr;
  return Object.fromEntries(
    Object.entries(OPTIMIZERS).map(([name, rule]) => [name, run(rule, surface, start, lr, steps)]),
  );
}

const [SIDE, REACH] = [320, 2.4];
const px = (v) => ((v + REACH) / (2 * REACH)) * SIDE;
const py = (v) => SIDE - px(v);

// Bands of equal loss, on a scale of its square root, as faint squares under the paths.
function terrain(surface) {
  const group = make("g", { "aria-hidden": "true", "shape-rendering": "crispEdges" });
  const cells = 40;
  const size = (2 * REACH) / cells;
  for (let i = 0; i < cells; i++)
    for (let j = 0; j < cells; j++) {
      const [x, y] = [-REACH + (i + 0.5) * size, -REACH + (j + 0.5) * size];
      const loss = SURFACES[surface](x, y)[0] - FLOORS[surface];
      const band = Math.min(9, Math.floor(2 * Math.sqrt(loss)));
      const side = SIDE / cells;
      group.append(make("rect", { x: i * side, y: SIDE - (j + 1) * side, width: side, height: side, fill: "currentColor", "fill-opacity": 0.02 + 0.028 * band }));
    }
  return group;
}

function render({ model, el }) {
  const bind = binder(model);
  const lines = { SGD: [COLORS.blue, ""], momentum: [COLORS.orange, "7 3"], RMSProp: [COLORS.green, "2 3"], Adam: [COLORS.purple, "9 3 2 3"] };
  const surface = choice("Surface", Object.keys(SURFACES), bind("surface"));
  const lr = slider("Learning rate", { min: -3, max: 0.5, step: 0.1 }, bind("log_lr"), (v) => (10 ** v).toPrecision(2));
  const steps = slider("Steps", { min: 0, max: 300, step: 5 }, bind("steps"));
  const move = (axis) => (v) => bind("start")(model.get("start").map((s, i) => (i === axis ? v : s)));
  const startX = slider("Start, x", { min: -2.2, max: 2.2, step: 0.1 }, move(0), (v) => v.toFixed(1));
  const startY = slider("Start, y", { min: -2.2, max: 2.2, step: 0.1 }, move(1), (v) => v.toFixed(1));
  const plane = make("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, role: "img" });
  plane.style.cssText = "flex:1 1 280px;min-width:0;max-width:100%;font-size:12px;cursor:crosshair";
  plane.addEventListener("pointerdown", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(plane.getScreenCTM().inverse());
    const place = [(at.x / SIDE) * 2 * REACH - REACH, REACH - (at.y / SIDE) * 2 * REACH];
    bind("start")(place.map((v) => Math.round(Math.min(2.2, Math.max(-2.2, v)) * 10) / 10));
  });
  const bars = make("svg", { viewBox: "0 0 320 190", role: "img" });
  bars.style.cssText = "width:100%;font-size:13px";
  const live = make("p", { "aria-live": "polite", style: "min-height:4.5em;margin-top:0.5rem" });
  const table = dataTable("Where each optimizer ends", ["optimizer", "x", "y", "loss above the minimum"]);
  let drawn = null;
  let ground = null;

  function drawPaths(r) {
    if (drawn !== model.get("surface")) [drawn, ground] = [model.get("surface"), terrain(model.get("surface"))];
    plane.replaceChildren(ground);
    for (const [name, { path }] of Object.entries(r)) {
      const clip = (v) => Math.max(-3 * SIDE, Math.min(4 * SIDE, v));
      const d = path.map(([x, y], i) => `${i ? "L" : "M"}${clip(px(x)).toFixed(1)},${clip(py(y)).toFixed(1)}`).join("");
      const [color, dash] = lines[name];
      const [x, y] = path.at(-1);
      plane.append(make("path", { d, fill: "none", style: `stroke:${color}`, "stroke-width": 2, "stroke-dasharray": dash }), make("circle", { cx: clip(px(x)), cy: clip(py(y)), r: 4.5, fill: color }));
    }
    const [x, y] = model.get("start");
    plane.append(make("circle", { cx: px(x), cy: py(y), r: 6, fill: "none", stroke: "currentColor", "stroke-width": 2 }), make("text", { x: px(x) + 9, y: py(y) - 6, fill: "currentColor" }, "start"), make("text", { x: 8, y: SIDE - 8, fill: "currentColor" }, "denser shade: higher loss"));
  }
  function drawBars(r) {
    bars.replaceChildren(make("text", { x: 0, y: 14, fill: "currentColor" }, "loss above the minimum, from 10⁻⁸ to 10²"));
    Object.entries(r).forEach(([name, { loss, diverged }], i) => {
      const y = 28 + i * 40;
      const share = diverged ? 1 : Math.min(1, Math.max(0, (Math.log10(Math.max(loss, 1e-12)) + 8) / 10));
      const [color, dash] = lines[name];
      bars.append(
        make("line", { x1: 0, x2: 22, y1: y + 12, y2: y + 12, style: `stroke:${color}`, "stroke-width": 3, "stroke-dasharray": dash }),
        make("text", { x: 28, y: y + 16, fill: "currentColor" }, name),
        make("rect", { x: 112, y, width: Math.max(1, 125 * share), height: 24, fill: color }),
        make("text", { x: 119 + 125 * share, y: y + 16, fill: "currentColor" }, diverged ? "diverged" : loss.toExponential(1)),
      );
    });
  }
  function update() {
    const state = {};
    for (const key of ["surface", "start", "log_lr", "steps"]) state[key] = model.get(key);
    const r = compute(state);
    surface.set(state.surface);
    lr.set(state.log_lr);
    steps.set(state.steps);
    startX.set(state.start[0]);
    startY.set(state.start[1]);
    drawPaths(r);
    drawBars(r);
    const said = Object.entries(r).map(([name, { loss, diverged }]) => `${name} ${diverged ? "diverged" : loss.toExponential(1)}`);
    live.textContent = `After ${state.steps} steps with learning rate ${(10 ** state.log_lr).toPrecision(2)}, loss above the minimum: ${said.join(", ")}.`;
    plane.setAttribute("aria-label", `Paths over the surface “${state.surface}” from (${state.start.map((v) => v.toFixed(1)).join(", ")}). ${live.textContent}`);
    bars.setAttribute("aria-label", live.textContent);
    table.fill(Object.entries(r).map(([name, { path, loss, diverged }]) => [name, path.at(-1)[0].toPrecision(4), path.at(-1)[1].toPrecision(4), diverged ? "diverged" : loss.toExponential(3)]));
  }
  for (const key of ["surface", "start", "log_lr", "steps"]) model.on(`change:${key}`, update);
  const row = "display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem;align-items:flex-start";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "In the valley the largest curvature is 25. Raise the learning rate: near which value does SGD begin to diverge, and who still arrives?"),
    make("div", { style: row }, surface.box, lr.box, steps.box),
    make("div", { style: row }, plane, make("div", { style: "flex:1 1 280px;min-width:0" }, startX.box, startY.box, bars)),
    live,
    table.box,
  );
  update();
}

export default { render };
