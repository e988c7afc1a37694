// A polynomial in Chebyshev form, fitted to n noisy points at Chebyshev's zeros: exact bias and variance.
// degree: of the fit; noise: standard deviation; points: n; draw: number of the sample.
const DEGREES = 60;
const GRID = 121;
const weight = (k) => (k ? 2 : 1);
const TRUTH = Array.from({ length: DEGREES + 1 }, (_, k) => weight(k) * 0.25 * 0.8 ** k * Math.cos(k * 1.1));

// [j, s]: T_k = s T_j on the n points; T_n is zero on all of them.
function alias(k, n) {
  let [turns, rest] = [Math.floor(k / (2 * n)), k % (2 * n)];
  if (rest > n) [turns, rest] = [turns + 1, 2 * n - rest];
  return [rest, turns % 2 ? -1 : 1];
}

function normals(count, draw) {
  let state = 1 + 7919 * draw;
  const uniform = Array.from({ length: 2 * count + 8 }, () => (state = (state * 48271) % 2147483647) / 2147483647);
  return Array.from({ length: count }, (_, i) =>
    Math.sqrt(-2 * Math.log(uniform[8 + 2 * i])) * Math.cos(2 * Math.PI * uniform[9 + 2 * i]));
}

const series = (coefficients, angle) => coefficients.reduce((sum, c, k) => sum + c * Math.cos(k * angle), 0);

function expectedErrors(noise, n) {
  const classes = TRUTH.map((_, k) => alias(k, n));
  const target = new Array(n + 1).fill(0);
  const members = new Array(n + 1).fill(0);
  classes.forEach(([j, s], k) => (target[j] += s * TRUTH[k]));
  const [bias, variance] = [[], []];
  for (let degree = 0; degree <= DEGREES; degree++) {
    members[classes[degree][0]]++;
    let [b, v] = [0, 0];
    classes.forEach(([j, s], k) => {
      const used = k <= degree && j < n;
      b += ((used ? (s * target[j]) / members[j] : 0) - TRUTH[k]) ** 2 / weight(k);
      if (used) v += (weight(j) * noise * noise) / n / members[j] ** 2 / weight(k);
    });
    bias.push(b);
    variance.push(v);
  }
  return { bias, variance };
}

export function compute({ degree, noise, points: n, draw }) {
  const angles = Array.from({ length: n }, (_, i) => (Math.PI * (i + 0.5)) / n);
  const drawn = normals(n, draw);
  const y = angles.map((angle, i) => series(TRUTH, angle) + noise * drawn[i]);
  const classes = Array.from({ length: degree + 1 }, (_, k) => alias(k, n));
  const fitted = classes.map(([j, s]) => {
    const whole = j < n ? (weight(j) / n) * y.reduce((sum, v, i) => sum + v * Math.cos(j * angles[i]), 0) : 0;
    return (s * whole) / classes.filter(([other]) => other === j).length;
  });
  return {
    y,
    curve: Array.from({ length: GRID }, (_, g) => series(fitted, (Math.PI * g) / (GRID - 1))),
    train: y.reduce((sum, v, i) => sum + (series(fitted, angles[i]) - v) ** 2, 0) / n,
    error: TRUTH.reduce((sum, t, k) => sum + ((fitted[k] ?? 0) - t) ** 2 / weight(k), noise * noise),
    ...expectedErrors(noise, n),
  };
}

function path(points, x, y, color, dash = "none", width = 2) {
  const d = points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)},${y(b).toFixed(1)}`).join("");
  return make("path", { d, fill: "none", style: `stroke:${color}`, "stroke-width": width, "stroke-dasharray": dash });
}

const limited = (v) => Math.max(-99, Math.min(99, v));

function drawFit(svg, n, result, label) {
  const ticks = [-1, 0, 1, 2].map((v) => [v, v]);
  const { x, y, parts, inside } = axesFrame([-1, 1], [-1, 2.2], [-1, 0, 1], ticks, "x", "y");
  const place = (g) => Math.cos((Math.PI * g) / (GRID - 1));
  const truth = result.curve.map((_, g) => [place(g), series(TRUTH, (Math.PI * g) / (GRID - 1))]);
  const fit = result.curve.map((v, g) => [place(g), limited(v)]);
  const dots = result.y.map((v, i) =>
    make("circle", { cx: x(Math.cos((Math.PI * (i + 0.5)) / n)), cy: y(v), r: 3.5, fill: "none", stroke: "currentColor", "stroke-width": 1.5 }));
  const names = [["fit", COLORS.blue], ["truth", COLORS.orange]].map(([name, color], i) =>
    make("text", { x: 52, y: 40 + 15 * i, style: `fill:${color}` }, i ? `- - ${name}` : `— ${name}`));
  svg.setAttribute("aria-label", `The sample, the truth and the fit. ${label}`);
  svg.replaceChildren(...parts, inside(path(truth, x, y, COLORS.orange, "5 4"), path(fit, x, y, COLORS.blue), ...dots), ...names);
}

function drawErrors(svg, degree, noise, n, { bias, variance }, label) {
  const total = bias.map((b, d) => b + variance[d] + noise * noise);
  const top = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2].find((v) => v >= Math.max(...total)) ?? 6.4;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => [share * top, Number((share * top).toPrecision(2))]);
  const { x, y, parts, inside } = axesFrame([0, DEGREES], [0, top], [0, 20, 40, 60], ticks, "degree", "expected error");
  const curve = (values) => values.map((v, d) => [d, v]);
  const edge = make("line", { x1: x(n - 1), x2: x(n - 1), y1: y(0), y2: y(top), stroke: "currentColor", "stroke-dasharray": "2 3" });
  const dot = make("circle", { cx: x(degree), cy: y(total[degree]), r: 5, style: `fill:${COLORS.blue}` });
  const names = [["— sum with noise", COLORS.blue], ["- - squared bias", COLORS.orange], ["··· variance", COLORS.green]].map(([name, color], i) =>
    make("text", { x: 318, y: 40 + 15 * i, "text-anchor": "end", style: `fill:${color}` }, name));
  svg.setAttribute("aria-label", `Expected error against the degree. ${label}`);
  svg.replaceChildren(
    ...parts,
    inside(edge, path(curve(bias), x, y, COLORS.orange, "6 4"), path(curve(variance), x, y, COLORS.green, "2 3"), path(curve(total), x, y, COLORS.blue), dot),
    ...names,
  );
}

function render({ model, el }) {
  const keys = ["degree", "noise", "points", "draw"];
  const bind = binder(model);
  const size = { viewBox: "0 0 332 286", role: "img", style: "flex:1 1 270px;min-width:0;max-width:27rem;font-size:12px" };
  const [fit, errors] = [make("svg", size), make("svg", size)];
  const degree = slider("Degree d", { min: 0, max: DEGREES, step: 1 }, bind("degree"));
  const noise = slider("Noise σ", { min: 0, max: 0.6, step: 0.05 }, bind("noise"), (v) => v.toFixed(2));
  const points = slider("Points n", { min: 5, max: 40, step: 1 }, bind("points"));
  const draw = slider("Sample", { min: 1, max: 20, step: 1 }, bind("draw"));
  const live = make("p", { "aria-live": "polite", style: "min-height:9.2em;margin-top:0.5rem" });
  const table = dataTable("Expected error by degree", ["degree", "squared bias", "variance", "with noise"]);
  const n3 = (v) => (v < 5e-4 ? "0.000" : v.toFixed(3));
  function update() {
    const state = Object.fromEntries(keys.map((key) => [key, model.get(key)]));
    const result = compute(state);
    degree.set(state.degree);
    noise.set(state.noise);
    points.set(state.points);
    draw.set(state.draw);
    const rest = state.noise ** 2;
    const total = result.bias.map((b, d) => b + result.variance[d] + rest);
    const best = total.indexOf(Math.min(...total));
    const through = state.degree + 1 < state.points ? "" : " The fit goes through every point.";
    live.textContent =
      `Degree ${state.degree}: ${state.degree + 1} coefficients for ${state.points} points.${through} Expected error on new points ${n3(total[state.degree])}: ` +
      `squared bias ${n3(result.bias[state.degree])}, variance ${n3(result.variance[state.degree])}, noise ${n3(rest)}. ` +
      `This sample: ${n3(result.train)} on its own points, ${n3(result.error)} on new ones. The best degree to expect is ${best}, with ${n3(total[best])}.`;
    drawFit(fit, state.points, result, live.textContent);
    drawErrors(errors, state.degree, state.noise, state.points, result, live.textContent);
    table.fill([0, 2, 4, 6, 8, 10, 15, 20, 30, 40, 50, 60].map((d) => [`${d}`, n3(result.bias[d]), n3(result.variance[d]), n3(total[d])]));
  }
  for (const key of keys) model.on(`change:${key}`, update);
  const row = "display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem";
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "Which degree does best with 20 points, and which with 40? Does more noise move it up or down? Take degree 19, a coefficient for every point, and go on to 60: which part of the error falls again, and how far does it get?"),
    make("div", { style: row }, degree.box, noise.box, points.box, draw.box),
    make("div", { style: row }, fit, errors),
    live,
    table.box,
  );
  update();
}

export default { render };
