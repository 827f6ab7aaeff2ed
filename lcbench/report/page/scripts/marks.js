// Functions shared by the plots. A plot is a function of its data and a width in pixels that returns an element.

const { plots: data, rows, farthest } = JSON.parse(document.getElementById("data").textContent);

const plots = {};

const ruler = document.createElement("canvas").getContext("2d");
ruler.font = `12px ${getComputedStyle(document.body).fontFamily}`;

function widthOf(text) {
  return ruler.measureText(text).width;
}

// The text, without its middle if it is too wide: names differ at their ends.
function shortened(text, pixels) {
  if (widthOf(text) <= pixels) return text;
  const letters = [...text];
  for (let kept = letters.length - 1; kept > 1; kept -= 1) {
    const head = Math.floor(kept / 2);
    const candidate = `${letters.slice(0, head).join("")}…${letters.slice(letters.length - (kept - head)).join("")}`;
    if (widthOf(candidate) <= pixels) return candidate;
  }
  return "…";
}

// Width in pixels for the longest of the texts, up to a share of the plot's width.
function roomFor(texts, width, share = 0.36) {
  return Math.ceil(Math.min(d3.max(texts, widthOf) + 14, width * share));
}

function seconds(value) {
  for (const [unit, size] of [["s", 1], ["ms", 1e-3], ["us", 1e-6]]) {
    if (value >= size * 0.9999) return `${+(value / size).toPrecision(3)} ${unit}`;
  }
  return value ? `${+(value / 1e-9).toPrecision(3)} ns` : "0";
}

// Ticks of a logarithmic axis of `length` pixels: 1, 2 and 5 of each decade, or fewer if there is no room. An axis that
// has too few of them has evenly spaced round numbers.
function logTicks([low, high], length, room = 60) {
  const most = Math.max(2, Math.floor(length / room));
  const powers = d3.range(Math.floor(Math.log10(low)), Math.ceil(Math.log10(high)) + 1);
  const among = (digits) =>
    powers.flatMap((power) => digits.map((digit) => +`${digit}e${power}`)).filter((tick) => tick >= low && tick <= high);
  const choices = [[1, 2, 5], [1, 3], [1]].map(among);
  const decades = choices[2];
  if (choices[0].length < 3) return spaced((count) => d3.ticks(low, high, count), most, [low, high], length, room * 0.8);
  return choices.find((ticks) => ticks.length >= 2 && ticks.length <= most)
    ?? decades.filter((_, place) => place % Math.ceil(decades.length / most) === 0);
}

// Ticks of an axis of ratios: 1 and multiples of a round step around it. A long axis has the ticks of `logTicks`.
function ratioTicks([low, high], length, room = 56) {
  if (high / low > 5) return logTicks([low, high], length, room);
  const steps = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005];
  const about1 = (count) =>
    d3.range(Math.ceil((low - 1) / steps[count - 1]), Math.floor((high - 1) / steps[count - 1]) + 1)
      .map((place) => +(1 + place * steps[count - 1]).toPrecision(6)).filter((tick) => tick > 0);
  const found = spaced(about1, steps.length, [low, high], length, room);
  return found.includes(1) ? found : [1];
}

// The ticks of `ticksOf(count)` for the largest count up to `most` at which ticks are at least `room` pixels apart.
function spaced(ticksOf, most, [low, high], length, room) {
  const scale = d3.scaleLog([low, high], [0, length]);
  const fits = (ticks) => d3.pairs(ticks, (a, b) => scale(b) - scale(a)).every((gap) => gap >= room);
  return d3.range(most, 0, -1).map(ticksOf).find(fits) ?? [];
}

// Limits of an axis with all values, and with their intervals as far as the factor `farthest` allows. A very wide interval
// would leave no room for the rest, so it is cut and has an arrow at the edge.
function reach(marks) {
  const [least, most] = d3.extent(marks, (mark) => mark.value);
  return [
    Math.max(least / farthest, d3.min(marks, (mark) => mark.low ?? mark.value)),
    Math.min(most * farthest, d3.max(marks, (mark) => mark.high ?? mark.value)),
  ];
}

function clamped(value, [low, high]) {
  return Math.max(low, Math.min(high, value));
}

// Arrows at the ends of the axis `channel` ("x" or "y"), at marks whose intervals extend beyond it.
function arrows(marks, [low, high], channel, options) {
  const [toLow, toHigh] = channel === "x" ? [-90, 90] : [180, 0];
  const arrow = (data, at, rotate) =>
    Plot.dot(data, { ...options, [channel]: at, rotate, symbol: "triangle", r: 4, stroke: null, className: "arrow",
                     pointerEvents: "none" });
  return [
    arrow(marks.filter((mark) => mark.low < low), low, toLow),
    arrow(marks.filter((mark) => mark.high > high), high, toHigh),
  ];
}

// Axes on which every tick has a label; d3 would leave out labels of logarithmic axes.
function logAxes({ x, y }) {
  const texts = (ticks, format) => ticks.map((tick) => format(tick));
  return [
    ...(x ? [Plot.gridX(x.ticks), Plot.axisX(x.ticks, { text: texts(x.ticks, x.format), label: x.label })] : []),
    ...(y ? [Plot.gridY(y.ticks), Plot.axisY(y.ticks, { text: texts(y.ticks, y.format), label: y.label })] : []),
  ];
}

// Options of a layer whose marks show their details on hover, touch and, if `focus` is true, with the keyboard: Tab
// reaches one of them, and arrow keys the others. `about(datum)` returns the arguments of `show`: [about, process].
function interactive(data, about, focus = true) {
  return {
    render(index, scales, values, dimensions, context, next) {
      const group = next(index, scales, values, dimensions, context);
      for (const element of group.children) {
        const datum = data[d3.select(element).datum()];
        if (!datum) continue;
        const [subject, process] = about(datum);
        element.classList.add("mark");
        if (focus) {
          element.setAttribute("tabindex", group.querySelector("[tabindex='0']") ? "-1" : "0");
          element.setAttribute("role", "img");
          element.setAttribute("aria-label", [subject.name, subject.what, ...subject.lines].join("; "));
          element.addEventListener("focus", () => show(element, subject, process));
          element.addEventListener("blur", hide);
        }
        element.addEventListener("pointerenter", () => show(element, subject, process));
        element.addEventListener("click", () => show(element, subject, process));
        element.addEventListener("pointerleave", (event) => {
          if (event.pointerType === "mouse") hide();
        });
      }
      if (focus) group.addEventListener("keydown", moveByArrow);
      return group;
    },
  };
}

function moveByArrow(event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const next = step === 1 ? event.target.nextElementSibling : step && event.target.previousElementSibling;
  if (!next) return;
  event.preventDefault();
  event.target.setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0");
  next.focus();
}

// Places moved so that they are at least `gap` pixels apart, in the given order.
function apart(places, gap, low, high) {
  const order = d3.sort(d3.range(places.length), (place) => places[place]);
  const moved = [...places];
  let floor = low;
  for (const index of order) floor = (moved[index] = Math.max(moved[index], floor)) + gap;
  let ceiling = high;
  for (const index of order.reverse()) ceiling = (moved[index] = Math.min(moved[index], ceiling)) - gap;
  return moved;
}

function ofRow(mark) {
  return rows[mark.row];
}

// Legend below a plot.
function legendOf(curves) {
  const list = document.createElement("ul");
  list.className = "legend";
  for (const { curve, colour, symbol, filled, text } of curves) {
    const item = document.createElement("li");
    item.append(swatch(colour, symbol, filled), text ? `${curve}: ${text}` : curve);
    list.append(item);
  }
  return list;
}

function swatch(colour, symbol, filled) {
  const svg = Plot.plot({
    width: 16, height: 16, margin: 8, axis: null,
    marks: [
      Plot.dot([0], { x: 0, y: 0, r: 5, strokeWidth: 1.5, symbol, stroke: colour, fill: filled ? colour : "var(--card)" }),
    ],
  });
  svg.setAttribute("aria-hidden", "true");
  return svg;
}

// Options for the appearance of the marks of rows.
const appearance = {
  symbol: (mark) => ofRow(mark).symbol,
  stroke: (mark) => ofRow(mark).colour,
  fill: (mark) => (ofRow(mark).filled ? ofRow(mark).colour : "var(--card)"),
};

function withLegend(svg, curves) {
  const element = document.createElement("div");
  element.append(svg, legendOf(curves));
  return element;
}
