// Shared by all explorables: small builders of elements, controls, charts and tables.
const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(
  "svg g path line circle rect ellipse polygon polyline text tspan title defs marker image".split(" "),
);

// The book's style sheet sets these for light and dark pages; elsewhere the second value holds.
const COLORS = {
  blue: "var(--explorable-blue, #0072B2)",
  orange: "var(--explorable-orange, #B34E00)",
  green: "var(--explorable-green, #00714F)",
  purple: "var(--explorable-purple, #9A3D77)",
};

function make(tag, attributes = {}, ...children) {
  const svg = SVG_TAGS.has(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// A labelled slider that shows its value: mouse, touch and arrow keys, as the browser gives them.
// `show` turns the value into what is read and announced.
function slider(label, attributes, onInput, show = (value) => `${value}`) {
  const input = make("input", { type: "range", ...attributes });
  input.style.width = "100%";
  const shown = make("output", { style: "float:right;font-variant-numeric:tabular-nums" });
  const box = make("label", { style: "display:block;flex:1 1 12rem" }, label, shown, input);
  function set(value) {
    input.value = value;
    shown.textContent = show(value);
    input.setAttribute("aria-valuetext", show(value));
  }
  input.addEventListener("input", () => onInput(Number(input.value)));
  return { box, set };
}

// A choice among a few values: radio buttons under one name.
let choices = 0;
function choice(label, values, onInput) {
  const name = `explorable-choice-${choices++}-${Math.random().toString(36).slice(2)}`;
  const inputs = values.map((value) => make("input", { type: "radio", name, value }));
  inputs.forEach((input, i) => input.addEventListener("change", () => onInput(values[i])));
  const row = inputs.map((input, i) =>
    make("label", { style: "margin-right:1rem" }, input, ` ${values[i]}`),
  );
  const style = "flex:1 1 8rem;border:0;margin:0;padding:0";
  const legend = make("legend", { style: "font-size:inherit;margin:0;float:none" }, label);
  const box = make("fieldset", { style }, legend, ...row);
  return { box, set: (value) => inputs.forEach((input, i) => (input.checked = values[i] === value)) };
}

// A drop-down list: `options` are [value, label] pairs with string values.
function dropdown(label, options, onInput) {
  const select = make("select", { style: "display:block;width:100%;font:inherit" });
  select.append(...options.map(([value, text]) => make("option", { value }, text)));
  select.addEventListener("change", () => onInput(select.value));
  const box = make("label", { style: "display:block;flex:1 1 12rem" }, label, select);
  return { box, set: (value) => (select.value = value) };
}

// Returns bind(key): a function that puts a value into the model under that key.
function binder(model) {
  return (key) => (value) => {
    model.set(key, value);
    model.save_changes();
  };
}

// A chart of lines: draw(lines, x, label); a line is { f, color, dash, name, at, shift, dx?, anchor? }.
function chart(xRange, yRange, xTitle, yTitle) {
  const [width, height, left, right, top, bottom] = [340, 240, 40, 10, 24, 40];
  const x = (v) => left + ((v - xRange[0]) / (xRange[1] - xRange[0])) * (width - left - right);
  const y = (v) =>
    height - bottom - ((v - yRange[0]) / (yRange[1] - yRange[0])) * (height - top - bottom);
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  svg.style.cssText = "flex:1 1 280px;min-width:0;max-width:100%;font-size:12px";
  function text(value, px, py, anchor = "middle", fill = "currentColor") {
    return make("text", { x: px, y: py, "text-anchor": anchor, fill }, value);
  }
  function draw(lines, at, label) {
    svg.setAttribute("aria-label", label);
    svg.replaceChildren(text(xTitle, (left + width) / 2, height - 6), text(yTitle, 4, 12, "start"));
    for (let i = 0; i <= 4; i++) {
      const [vx, vy] = [xRange, yRange].map((r) => r[0] + ((r[1] - r[0]) * i) / 4);
      svg.append(text(`${vx}`, x(vx), height - bottom + 16), text(`${vy}`, left - 6, y(vy) + 4, "end"));
      const grid = { x1: left, x2: width - right, y1: y(vy), y2: y(vy) };
      svg.append(make("line", { ...grid, stroke: "currentColor", "stroke-opacity": 0.2 }));
    }
    const rule = { x1: x(at), x2: x(at), y1: top, y2: height - bottom };
    svg.append(make("line", { ...rule, stroke: "currentColor", "stroke-opacity": 0.6 }));
    for (const line of lines) {
      const points = Array.from({ length: 161 }, (_, i) => xRange[0] + ((xRange[1] - xRange[0]) * i) / 160);
      const d = points.map((v, i) => `${i ? "L" : "M"}${x(v).toFixed(1)},${y(line.f(v)).toFixed(1)}`);
      const style = { fill: "none", stroke: line.color, "stroke-width": 2 };
      svg.append(make("path", { ...style, "stroke-dasharray": line.dash, d: d.join("") }));
      svg.append(make("circle", { cx: x(at), cy: y(line.f(at)), r: 4, fill: line.color }));
      const [px, py] = [x(line.at) + (line.dx ?? 0), y(line.f(line.at)) + line.shift];
      svg.append(text(line.name, px, py, line.anchor ?? "middle", line.color));
    }
  }
  return { svg, draw };
}

// The numbers behind the picture, folded away.
function dataTable(caption, columns) {
  const body = make("tbody");
  const head = make("tr", {}, ...columns.map((name) => make("th", { scope: "col" }, name)));
  const table = make("table", {}, make("caption", {}, caption), make("thead", {}, head), body);
  const scroll = make("div", { style: "overflow-x:auto", tabindex: "0", role: "region", "aria-label": caption }, table);
  const box = make("details", {}, make("summary", {}, "The same as a table"), scroll);
  function fill(rows) {
    body.replaceChildren(
      ...rows.map((row) => make("tr", {}, ...row.map((v) => make("td", {}, v)))),
    );
  }
  return { box, fill };
}
