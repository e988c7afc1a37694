// A 3 by 3 kernel that slides over a small picture; zeros outside.
export function compute({ image, kernel, stride, padding }) {
  const [height, width] = [image.length, image[0].length];
  const pixel = (row, column) =>
    row >= 0 && row < height && column >= 0 && column < width ? image[row][column] : 0;
  const size = (length) => Math.floor((length + 2 * padding - 3) / stride) + 1;
  return Array.from({ length: size(height) }, (_, row) =>
    Array.from({ length: size(width) }, (_, column) => {
      let total = 0;
      for (let i = 0; i < 3; i++)
        for (let j = 0; j < 3; j++)
          total += kernel[3 * i + j] * pixel(row * stride - padding + i, column * stride - padding + j);
      return total;
    }),
  );
}

const CELL = 30;
const tidy = (v) => (Number.isInteger(v) ? `${v}` : v.toFixed(2)).replace("-", "−");

// A grid of numbers as squares: brightness for size, color for sign. Returns the group of squares.
function grid(values, largest, pick) {
  const group = make("g");
  values.forEach((line, row) =>
    line.forEach((value, column) => {
      const [x, y] = [column * CELL, row * CELL];
      const strong = Math.min(1, Math.abs(value) / largest);
      const color = value < 0 ? COLORS.orange : COLORS.blue;
      const cell = make("g", {}, make("rect", { x, y, width: CELL, height: CELL, fill: "transparent", stroke: "currentColor", "stroke-opacity": 0.2 }));
      cell.append(
        make("rect", { x: x + 1, y: y + 1, width: CELL - 2, height: CELL - 2, fill: color, "fill-opacity": 0.55 * strong }),
        make("text", { x: x + CELL / 2, y: y + CELL / 2 + 4, "text-anchor": "middle", fill: "currentColor" }, Math.abs(value) < 1e-9 ? "0" : `${Math.round(value)}`.replace("-", "−")),
      );
      if (pick) cell.addEventListener("pointerdown", () => pick(row, column));
      group.append(cell);
    }),
  );
  return group;
}

function render({ model, el }) {
  const bind = binder(model);
  const presets = model.get("presets");
  const image = model.get("image");
  const [height, width] = [image.length, image[0].length];
  const box = `${-CELL} ${-CELL} ${(width + 2) * CELL} ${(height + 2) * CELL}`;
  const style = "flex:1 1 250px;min-width:0;max-width:100%;font-size:12px";
  const input = make("svg", { viewBox: box, role: "img", style });
  const output = make("svg", { viewBox: box, role: "img", style });
  const same = (name) => presets[name].every((w, i) => w === model.get("kernel")[i]);
  const named = () => Object.keys(presets).find(same) ?? "own";
  const preset = dropdown("Kernel", [...Object.keys(presets).map((n) => [n, n]), ["own", "own weights"]], (name) => {
    if (name !== "own") bind("kernel")(presets[name]);
    else preset.set(named());
  });
  const weights = Array.from({ length: 9 }, (_, i) => {
    const label = `Weight in row ${Math.floor(i / 3) + 1}, column ${(i % 3) + 1}`;
    const field = make("input", { type: "number", step: 0.5, "aria-label": label, style: "width:100%;font:inherit;box-sizing:border-box" });
    field.addEventListener("change", () => {
      const value = Number(field.value);
      if (field.value !== "" && Number.isFinite(value) && Math.abs(value) <= 99)
        bind("kernel")(model.get("kernel").map((w, j) => (j === i ? value : w)));
      else update();
    });
    return field;
  });
  const stride = choice("Stride", [1, 2], bind("stride"));
  const padding = choice("Padding", [0, 1], bind("padding"));
  const row = slider("Row of the response", { min: 1, max: height, step: 1 }, (v) => bind("row")(v - 1));
  const column = slider("Column of the response", { min: 1, max: width, step: 1 }, (v) => bind("column")(v - 1));
  const live = make("p", { "aria-live": "polite", style: "min-height:8.5em;margin-top:0.5rem" });
  const table = dataTable("The responses by row and column", ["row", ...Array.from({ length: width }, (_, i) => `${i + 1}`)]);

  function frame(x, y, size, color) {
    return make("rect", { x: x * CELL, y: y * CELL, width: size * CELL, height: size * CELL, fill: "none", style: `stroke:${color}`, "stroke-width": 3 });
  }
  function update() {
    const state = { image };
    for (const key of ["kernel", "stride", "padding"]) state[key] = model.get(key);
    const result = compute(state);
    const r = Math.min(model.get("row"), result.length - 1);
    const c = Math.min(model.get("column"), result[0].length - 1);
    const [top, left] = [r * state.stride - state.padding, c * state.stride - state.padding];
    const patch = Array.from({ length: 9 }, (_, i) => image[top + Math.floor(i / 3)]?.[left + (i % 3)] ?? 0);
    const largest = Math.max(1e-9, ...result.flat().map(Math.abs));
    preset.set(named());
    weights.forEach((field, i) => (field.value = Number(state.kernel[i].toFixed(3))));
    stride.set(state.stride);
    padding.set(state.padding);
    row.set(r + 1);
    column.set(c + 1);
    const title = (text) => make("text", { x: 0, y: -9, fill: "currentColor" }, text);
    input.replaceChildren(title("picture (zeros around it)"), grid(image, 16), frame(left, top, 3, COLORS.green));
    output.replaceChildren(title("response"), grid(result, largest, (y, x) => (bind("row")(y), bind("column")(x))), frame(c, r, 1, COLORS.green));
    const terms = patch.map((p, i) => [p, state.kernel[i]]).filter(([p, w]) => p !== 0 && w !== 0);
    const sum = terms.map(([p, w]) => `${tidy(w)}·${p}`).join(" + ") || "0";
    live.textContent =
      `Response in row ${r + 1}, column ${c + 1}: ${sum} = ${tidy(result[r][c])}. ` +
      `The response has ${result.length} × ${result[0].length} numbers, from ${tidy(Math.min(...result.flat()))} to ${tidy(Math.max(...result.flat()))}.`;
    input.setAttribute("aria-label", `The picture, a handwritten 4 of ${height} by ${width} pixels; a frame marks the patch under the kernel.`);
    output.setAttribute("aria-label", `The responses. ${live.textContent}`);
    table.fill(result.map((line, i) => [`${i + 1}`, ...line.map(tidy), ...Array(width - line.length).fill("")]));
  }
  for (const key of ["kernel", "stride", "padding", "row", "column"]) model.on(`change:${key}`, update);
  const flow = "display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem;align-items:flex-start";
  const square = make("div", { role: "group", "aria-label": "Weights of the kernel", style: "display:grid;grid-template-columns:repeat(3,3.6rem);gap:0.25rem" }, ...weights);
  el.append(
    make("p", {}, make("strong", {}, "Question. "), "With the kernel for vertical edges, on which side of a stroke is the response negative (orange), and what would a ReLU behind it throw away?"),
    make("div", { style: flow }, input, output),
    make("div", { style: flow }, square, preset.box, stride.box, padding.box),
    make("div", { style: flow }, row.box, column.box),
    live,
    table.box,
  );
  update();
}

export default { render };
