// A 2 x 2 matrix [[a, b], [c, d]]: unit circle to ellipse, singular vectors and values.
const ZERO = 1e-9;

export function compute({ a, b, c, d }) {
  const [e, f, g, h] = [(a + d) / 2, (a - d) / 2, (c + b) / 2, (c - b) / 2];
  const [turn, mirror] = [Math.atan2(h, e), Math.atan2(g, f)];
  const largest = Math.hypot(e, h) + Math.hypot(f, g);
  const determinant = a * d - b * c;
  const signed = largest > 0 ? determinant / largest : 0;
  const [out, into] = [(turn + mirror) / 2, (turn - mirror) / 2];
  const sign = Math.cos(into) < -ZERO ? -1 : 1;
  const flip = signed < 0 ? -1 : 1;
  const smallest = Math.abs(signed);
  return {
    singular: [largest, smallest],
    left: [[sign * Math.cos(out), sign * Math.sin(out)], [-flip * Math.sin(out), flip * Math.cos(out)]],
    right: [[sign * Math.cos(into), -sign * Math.sin(into)], [Math.sin(into), Math.cos(into)]],
    determinant,
    rank: (largest > ZERO) + (smallest > ZERO),
    condition: smallest > ZERO ? largest / smallest : null,
  };
}

const MOST = 1.5; // entries go from -MOST to MOST, so no image of a unit vector is longer than 3
const KEYS = ["a", "b", "c", "d"];
const fixed = (v, digits = 2) => {
  const text = v.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
};
const pair = (v) => `(${v.map((x) => fixed(x)).join(", ")})`;

function plane(high, title) {
  const reach = (high * 280) / 220; // the frame's sides, so that a circle looks like one
  const ticks = [-high, 0, high];
  const frame = axesFrame([-reach, reach], [-high, high], ticks, ticks.map((v) => [v, `${v}`]), "first coordinate", title);
  const zero = frame.inside(
    make("line", { x1: frame.x(-reach), x2: frame.x(reach), y1: frame.y(0), y2: frame.y(0), stroke: "currentColor", "stroke-opacity": 0.3 }),
    make("line", { x1: frame.x(0), x2: frame.x(0), y1: frame.y(-high), y2: frame.y(high), stroke: "currentColor", "stroke-opacity": 0.3 }),
  );
  const arrow = (v, color, name, dash) => {
    const size = Math.hypot(...v) || 1;
    const [px, py] = [frame.x(v[0]) + (14 * v[0]) / size, frame.y(v[1]) - (14 * v[1]) / size + 4];
    const at = { x1: frame.x(0), y1: frame.y(0), x2: frame.x(v[0]), y2: frame.y(v[1]) };
    return [
      make("line", { ...at, style: `stroke:${color}`, "stroke-width": 3, "stroke-dasharray": dash ?? "none" }),
      make("text", { x: px, y: py, "text-anchor": "middle", fill: color, "font-weight": 600 }, name),
    ];
  };
  const closed = (points) =>
    make("path", {
      d: points.map(([x, y], i) => `${i ? "L" : "M"}${frame.x(x).toFixed(1)},${frame.y(y).toFixed(1)}`).join("") + "Z",
      fill: "currentColor", "fill-opacity": 0.07, stroke: "currentColor", "stroke-width": 1.5,
    });
  return { ...frame, zero, arrow, closed };
}

// The end of a column of A: dragged, or moved by arrow keys.
function columnHandle(svg, name, color, view, get, move) {
  const hit = make("circle", { r: 22, fill: "transparent" });
  const dot = make("circle", { r: 7, fill: color });
  const node = make("g", { tabindex: 0, role: "slider", "aria-label": name }, hit, dot);
  node.style.cssText = "cursor:grab;touch-action:none";
  const clamp = (v) => Math.round(Math.min(MOST, Math.max(-MOST, v)) * 20) / 20;
  node.addEventListener("pointerdown", (event) => {
    node.setPointerCapture(event.pointerId);
    node.focus({ preventScroll: true });
  });
  const unit = view.x(1) - view.x(0);
  const unitY = view.y(0) - view.y(1);
  node.addEventListener("pointermove", (event) => {
    if (!node.hasPointerCapture(event.pointerId)) return;
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    move([clamp((at.x - view.x(0)) / unit), clamp((view.y(0) - at.y) / unitY)]);
  });
  node.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.05, 0], ArrowRight: [0.05, 0], ArrowUp: [0, 0.05], ArrowDown: [0, -0.05] }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const [x, y] = get();
    move([clamp(x + step[0]), clamp(y + step[1])]);
  });
  function draw() {
    const [x, y] = get();
    node.setAttribute("transform", `translate(${view.x(x)},${view.y(y)})`);
    node.setAttribute("aria-valuenow", x);
    node.setAttribute("aria-valuemin", -MOST);
    node.setAttribute("aria-valuemax", MOST);
    node.setAttribute("aria-valuetext", `${fixed(x)}, ${fixed(y)}; arrow keys move it`);
  }
  return { node, draw };
}

function say(r) {
  const [s1, s2] = r.singular;
  const turned = r.rank < 2 ? "" : r.determinant < 0 ? ", turned over" : ", not turned over";
  const shape = ["a point", "a line segment", "an ellipse"][r.rank];
  const condition = r.condition === null ? "There is no way back." : `Condition number ${Number(r.condition.toPrecision(3))}.`;
  return (
    `Rank ${r.rank}: the circle becomes ${shape} with half axes ${fixed(s1, 3)} and ${fixed(s2, 3)}. ` +
    `v₁ = ${pair(r.right[0])} is stretched most, v₂ = ${pair(r.right[1])} least. ` +
    `Determinant ${fixed(r.determinant, 3)}: areas times ${fixed(Math.abs(r.determinant), 3)}${turned}. ${condition}`
  );
}

function render({ model, el }) {
  const bind = binder(model);
  const names = KEYS.map((key) => `entry ${key}`);
  const sliders = KEYS.map((key, i) => slider(names[i], { min: -MOST, max: MOST, step: 0.05 }, bind(key), (v) => fixed(v)));
  const size = { viewBox: "0 0 332 286", style: "flex:1 1 270px;min-width:0;max-width:27rem;font-size:12px" };
  const domain = make("svg", { ...size, role: "img" });
  const image = make("svg", { ...size, role: "group", "aria-label": "The image of the circle, with the two columns of A to drag" });
  const [from, to] = [plane(3, "before: the unit circle"), plane(3, "after: A times the circle")];
  const under = make("g", { "aria-hidden": "true" });
  const set = (x, y) => (place) => {
    bind(x)(place[0]);
    bind(y)(place[1]);
  };
  const columns = [["a", "c", "first column of A", COLORS.blue], ["b", "d", "second column of A", COLORS.orange]].map(([x, y, name, color]) =>
    columnHandle(image, name, color, to, () => [model.get(x), model.get(y)], set(x, y)),
  );
  image.append(under, ...columns.map((column) => column.node));
  const live = make("p", { "aria-live": "polite", style: "min-height:clamp(5em, 15em - 8vw, 11em);margin-top:0.5rem" });
  const table = dataTable("The parts of A = U S Vᵀ", ["", "first", "second"]);
  const angles = Array.from({ length: 121 }, (_, i) => (i * Math.PI) / 60);
  function update() {
    const A = KEYS.map((key) => model.get(key));
    const r = compute(Object.fromEntries(KEYS.map((key, i) => [key, A[i]])));
    sliders.forEach((one, i) => one.set(A[i]));
    columns.forEach((column) => column.draw());
    live.textContent = say(r);
    domain.setAttribute("aria-label", `The unit circle with v₁ at ${pair(r.right[0])} and v₂ at ${pair(r.right[1])}.`);
    const circle = angles.map((t) => [Math.cos(t), Math.sin(t)]);
    const [v, u] = [r.right, r.left];
    domain.replaceChildren(
      ...from.parts, from.zero, from.closed(circle),
      ...from.arrow([1, 0], COLORS.blue, "", "4 3"), ...from.arrow([0, 1], COLORS.orange, "", "4 3"),
      ...from.arrow(v[0], COLORS.green, "v₁"), ...from.arrow(v[1], COLORS.purple, "v₂"),
    );
    const axis = u.map((w, i) => w.map((x) => r.singular[i] * x));
    under.replaceChildren(
      ...to.parts, to.zero, to.closed(circle.map(([x, y]) => [A[0] * x + A[1] * y, A[2] * x + A[3] * y])),
      ...to.arrow([A[0], A[2]], COLORS.blue, "", "4 3"), ...to.arrow([A[1], A[3]], COLORS.orange, "", "4 3"),
      ...to.arrow(axis[0], COLORS.green, "s₁u₁"), ...(r.rank < 2 ? [] : to.arrow(axis[1], COLORS.purple, "s₂u₂")),
    );
    table.fill([
      ["column of A", pair([A[0], A[2]]), pair([A[1], A[3]])],
      ["singular value", fixed(r.singular[0], 4), fixed(r.singular[1], 4)],
      ["v (before)", pair(v[0]), pair(v[1])],
      ["u (after)", pair(u[0]), pair(u[1])],
    ]);
  }
  for (const key of KEYS) model.on(`change:${key}`, update);
  const row = "display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "Make the ellipse a line segment while no entry of A is zero. What do the two columns (blue and orange, to drag) have in common then, and what is the determinant? And when is the ellipse a circle?"),
    make("div", { style: "display:grid;grid-template-columns:1fr 1fr;gap:0.25rem 1.5rem", role: "group", "aria-label": "The matrix A" }, ...sliders.map((one) => one.box)),
    make("div", { style: row }, domain, image),
    live,
    table.box,
  );
  update();
}

export default { render };
