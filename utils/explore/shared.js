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

// JupyterLab's shortcuts take the arrow keys from whatever has the focus, unless this is set.
const FOCUSABLE = new Set("input select button summary".split(" "));

function make(tag, attributes = {}, ...children) {
  const svg = SVG_TAGS.has(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (FOCUSABLE.has(tag) || "tabindex" in attributes) node.dataset.lmSuppressShortcuts = "true";
  node.append(...children);
  return node;
}

// A labelled slider that shows its value: mouse, touch and arrow keys, as the browser gives them.
// `show` turns the value into what is read and announced.
function slider(label, attributes, onInput, show = (value) => `${value}`) {
  const input = make("input", { type: "range", ...attributes });
  input.style.width = "100%";
  // No <output>: a label names its first labelable element, and that must be the slider.
  const shown = make("span", { "aria-hidden": "true", style: "float:right;font-variant-numeric:tabular-nums" });
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

// A frame with axes and grid; `inside` cuts off what is drawn in it. yTicks: [value, name] pairs.
function axesFrame(xRange, yRange, xTicks, yTicks, xTitle, yTitle) {
  const [left, top, width, height] = [44, 24, 280, 220];
  const x = (v) => left + ((v - xRange[0]) / (xRange[1] - xRange[0])) * width;
  const y = (v) => top + ((yRange[1] - v) / (yRange[1] - yRange[0])) * height;
  const text = (value, px, py, anchor = "middle") =>
    make("text", { x: px, y: py, "text-anchor": anchor, fill: "currentColor" }, `${value}`.replace("-", "−"));
  const rule = (x1, y1, x2, y2) =>
    make("line", { x1, y1, x2, y2, stroke: "currentColor", "stroke-opacity": 0.2 });
  const parts = [
    make("rect", { x: left, y: top, width, height, fill: "none", stroke: "currentColor", "stroke-opacity": 0.4 }),
    ...xTicks.flatMap((v) => [rule(x(v), top, x(v), top + height), text(v, x(v), top + height + 16)]),
    ...yTicks.flatMap(([v, name]) => [rule(left, y(v), left + width, y(v)), text(name, left - 6, y(v) + 4, "end")]),
    text(xTitle, left + width / 2, top + height + 34),
    text(yTitle, 4, 13, "start"),
  ];
  const inside = (...children) =>
    make("svg", { x: left, y: top, width, height, viewBox: `${left} ${top} ${width} ${height}`, overflow: "hidden" }, ...children);
  return { x, y, parts, inside };
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

// Numbers for people: whole(8030261248), si(1.07e9, "B"), words(15e12), span(6.9e5), power10(3e23).
const whole = (v) => Math.round(v).toLocaleString("en-US");

function si(value, unit = "") {
  if (!value) return `0 ${unit}`.trim();
  const names = ["", "k", "M", "G", "T", "P", "E"];
  let power = Math.min(Math.max(Math.floor(Math.log10(value) / 3), 0), 6);
  if (Number((value / 1000 ** power).toPrecision(3)) >= 1000 && power < 6) power++;
  const scaled = value / 1000 ** power;
  return `${Number(scaled.toPrecision(3)).toLocaleString("en-US")} ${names[power]}${unit}`.trim();
}

const words = (v) => si(v).replace(/ M$/, " million").replace(/ G$/, " billion").replace(/ T$/, " trillion").replace(/ P$/, " quadrillion").replace(/ k$/, " thousand");

const SPANS = [[1, "s"], [60, "min"], [3600, "h"], [86400, "days"], [31557600, "years"]];
function span(seconds) {
  const [size, name] = SPANS.findLast(([size]) => seconds >= size * (size === 86400 ? 2 : 1)) ?? SPANS[0];
  const value = Number((seconds / size).toPrecision(3));
  return `${value.toLocaleString("en-US")} ${value === 1 ? name.replace(/s$/, "") || "s" : name}`;
}

function power10(v) {
  const digits = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const [m, n] = v.toExponential(2).split("e+");
  return `${m} × 10${[...n].map((d) => digits[d]).join("")}`;
}

// A field for a whole number; `onInput` may refuse a value by not setting it.
function numberField(label, min, max, onInput) {
  const input = make("input", { type: "number", min, max, step: 1, inputmode: "numeric", style: "display:block;width:100%;font:inherit;box-sizing:border-box" });
  let shown = min;
  input.addEventListener("change", () => {
    const value = Math.round(Number(input.value));
    if (input.value !== "" && value >= min && value <= max) onInput(value, shown);
    else input.value = shown;
  });
  const box = make("label", { style: "flex:1 1 6.5rem" }, label, input);
  return { box, input, set: (value) => (input.value = shown = value) };
}

// Buttons that go through steps 0 to `last`; inside the group the arrow keys, Home and End as well.
function stepper(label, last, onStep) {
  let now = 0;
  const go = (to) => {
    const next = Math.min(last, Math.max(0, to));
    if (next !== now) onStep(next);
  };
  const style = "font:inherit;color:inherit;background:none;border:1px solid currentColor;border-radius:4px;padding:0.35rem 0.7rem;min-height:2.2rem;cursor:pointer";
  const names = [["Start", () => 0], ["Back", () => now - 1], ["Step", () => now + 1], ["End", () => last]];
  const buttons = names.map(([name, to]) => {
    const button = make("button", { type: "button", style }, name);
    button.addEventListener("click", () => go(to()));
    return button;
  });
  const shown = make("span", { style: "font-variant-numeric:tabular-nums;align-self:center;min-width:4.2em" });
  const layout = "display:flex;flex-wrap:wrap;gap:0.4rem;flex:1 1 16rem";
  const box = make("div", { role: "group", "aria-label": label, style: layout }, ...buttons, shown);
  const keys = { ArrowLeft: 1, ArrowRight: 2, Home: 0, End: 3 };
  box.addEventListener("keydown", (event) => {
    if (!(event.key in keys)) return;
    event.preventDefault();
    event.stopPropagation(); // a notebook would otherwise move to another cell
    go(names[keys[event.key]][1]());
  });
  function set(value) {
    now = value;
    shown.textContent = `${now} / ${last}`;
    buttons.forEach((button, i) => {
      const off = i < 2 ? now === 0 : now === last; // stays in place, so that focus is not lost
      button.setAttribute("aria-disabled", `${off}`);
      button.style.opacity = off ? 0.75 : 1;
    });
  }
  return { box, set };
}
