// Medians with their intervals: bars, or points on a logarithmic axis, on which the length of a bar has no meaning.

plots.bars = ({ marks, logarithmic }, width) => {
  const nameOf = (mark) => ofRow(mark).name;
  const marginLeft = roomFor(marks.map(nameOf), width);
  const marginRight = roomFor(marks.map((mark) => mark.text), width, 0.34);
  const [low, high] = reach(marks);
  const domain = logarithmic ? [low / 1.3, high * 1.1] : [0, high];
  const end = (value) => clamped(value, domain);
  const name = Object.fromEntries(marks.map((mark) => [mark.row, shortened(nameOf(mark), marginLeft - 12)]));
  const between = marks.filter((mark) => mark.low !== null);
  const ends = (side) => Plot.tickX(between.filter((mark) => mark[side] === end(mark[side])), {
    y: "row", x: side, insetTop: 9, insetBottom: 9, pointerEvents: "none",
  });
  const inner = width - marginLeft - marginRight;
  return Plot.plot({
    width,
    height: 44 + 28 * marks.length,
    marginLeft,
    marginRight,
    marginTop: 6,
    marginBottom: 36,
    ariaLabel: "Bars: time and 95 % interval of each implementation, seconds per call",
    x: logarithmic
      ? { type: "log", domain, axis: null }
      : { domain, label: "time of a call", tickFormat: seconds, grid: true, ticks: Math.max(2, Math.floor(inner / 70)) },
    y: { domain: marks.map((mark) => mark.row), label: null, tickFormat: (row) => name[row], tickSize: 0, tickPadding: 8 },
    marks: [
      logarithmic ? logAxes({ x: { ticks: logTicks(domain, inner), format: seconds, label: "time of a call" } }) : null,
      logarithmic
        ? Plot.dot(marks, {
            x: "value", y: "row", r: 6, ...appearance,
            ...interactive(marks, (mark) => [ofRow(mark)]),
          })
        : Plot.barX(marks, {
            x: "value", y: "row", insetTop: 3, insetBottom: 3, rx: 2,
            fill: (mark) => ofRow(mark).colour, fillOpacity: (mark) => ofRow(mark).filled ? 0.85 : 0.25,
            stroke: (mark) => ofRow(mark).colour,
            ...interactive(marks, (mark) => [ofRow(mark)]),
          }),
      Plot.ruleY(between, {
        y: "row", x1: (mark) => end(mark.low), x2: (mark) => end(mark.high), strokeWidth: 1.5, pointerEvents: "none",
      }),
      ends("low"),
      ends("high"),
      arrows(between, domain, "x", { y: "row", fill: "currentColor" }),
      Plot.text(marks, {
        x: (mark) => end(mark.high ?? mark.value), y: "row", text: (mark) => shortened(mark.text, marginRight - 4),
        textAnchor: "start", dx: 11, fill: "currentColor", pointerEvents: "none",
      }),
    ],
    color: { type: "identity" },
    symbol: { type: "identity" },
  });
};

// Samples over their row's median: a lane for each row, with a line for each process, the first at the top.

plots.samples = ({ marks, domain }, width) => {
  const names = marks.map((mark) => ofRow(mark).name);
  const marginLeft = roomFor(names, width);
  const most = d3.max(marks, (mark) => ofRow(mark).processes.length);
  const lane = Math.max(26, Math.min(72, 7 * most));
  const radius = Math.min(3, Math.max(1.8, lane / most / 3));
  const dots = [];
  const middles = [];
  marks.forEach((mark, place) => {
    const { processes } = ofRow(mark);
    for (const process of processes) {
      const y = place + (process.number - 0.5) / processes.length * 0.84 + 0.08;
      middles.push({ mark, process, y, half: 0.4 / processes.length, ratio: process.middle });
      for (const ratio of process.ratios) dots.push({ mark, process, y, ratio });
    }
  });
  const near = dots.filter(({ ratio }) => ratio === clamped(ratio, domain));
  const beyond = dots.filter(({ ratio }) => ratio !== clamped(ratio, domain));
  const ticks = ratioTicks(domain, width - marginLeft - 26);
  const about = ({ mark, process }) => [ofRow(mark), process.number];
  const colour = ({ mark }) => ofRow(mark).colour;
  return Plot.plot({
    width,
    height: 46 + lane * marks.length,
    marginLeft,
    marginRight: 26,
    marginTop: 6,
    marginBottom: 38,
    ariaLabel: "Dots: samples of each implementation over its time, a line of dots for each process",
    x: { type: "log", domain, axis: null },
    y: { type: "linear", domain: [marks.length, 0], axis: null },
    color: { type: "identity" },
    marks: [
      logAxes({ x: { ticks, format: (ratio) => `${+ratio.toPrecision(3)} x`, label: "sample over the time of the row" } }),
      Plot.axisY(d3.range(marks.length).map((place) => place + 0.5), {
        tickFormat: (place) => shortened(names[Math.floor(place)], marginLeft - 12), tickSize: 0, label: null,
      }),
      Plot.ruleY(d3.range(1, marks.length), { stroke: "var(--line)" }),
      Plot.ruleX([1], { strokeOpacity: 0.5 }),
      Plot.ruleX(middles, {
        x: ({ ratio }) => clamped(ratio, domain), y1: ({ y, half }) => y - half, y2: ({ y, half }) => y + half,
        stroke: colour, strokeWidth: 2.5, ...interactive(middles, about),
      }),
      Plot.dot(near, {
        x: "ratio", y: "y", r: radius, fill: colour, fillOpacity: 0.65,
        ...interactive(near, about, false),
      }),
      Plot.dot(beyond, {
        x: ({ ratio }) => clamped(ratio, domain), y: "y", rotate: ({ ratio }) => ratio > domain[1] ? 90 : -90,
        symbol: "triangle", r: radius + 1, fill: colour, stroke: null, className: "farther",
        ...interactive(beyond, about, false),
      }),
    ],
  });
};

// Roofline: rates and the machine's limits, memory bandwidth as a slope and peak FMA rate as a flat roof.

plots.roofline = ({ marks, read, readText, flops, flopsText, gemm, gemmText }, width) => {
  const ridge = flops / read;
  const intensity = marks[0].intensity;
  const left = Math.min(ridge, intensity) / 6;
  const names = marks.map((mark) => `${ofRow(mark).name} ${mark.text}`);
  const share = (roomFor(names, width, 0.45) + 24) / (width - 58); // of the axis, right of the points
  const x = [left, Math.max(ridge * 1.5, intensity * (intensity / left) ** (share / (1 - share)))];
  const y = [d3.min(marks, (mark) => mark.rate) / 2, flops * 1.5];
  const height = Math.max(240, 90 + 20 * marks.length);
  const margin = { marginLeft: 46, marginRight: 12, marginTop: 24, marginBottom: 38 };
  const scaleY = d3.scaleLog(y, [height - margin.marginBottom, margin.marginTop]);
  const at = apart(marks.map((mark) => scaleY(mark.rate)), 15, margin.marginTop + 14, height - margin.marginBottom - 6);
  const labels = marks.map((mark, index) => ({ mark, y: scaleY.invert(at[index]) }));
  const scaleX = d3.scaleLog(x, [margin.marginLeft, width - margin.marginRight]);
  const right = scaleX.invert(scaleX(intensity) + 16);
  const room = width - margin.marginRight - scaleX(intensity) - 20;
  const roof = [[x[0], x[0] * read], [ridge, flops], [x[1], flops]].filter(([, rate]) => rate > 0);
  const slopeStart = Math.max(x[0], y[0] / read);
  const onSlope = slopeStart ** 0.75 * ridge ** 0.25;
  roof[0] = [slopeStart, slopeStart * read];
  return Plot.plot({
    width,
    height,
    ...margin,
    ariaLabel: "Roofline: floating-point operations per second of each implementation and the machine's limits",
    x: { type: "log", domain: x, axis: null },
    y: { type: "log", domain: y, axis: null },
    color: { type: "identity" },
    symbol: { type: "identity" },
    marks: [
      logAxes({
        x: { ticks: logTicks(x, width - 60, 45), format: String, label: "floating-point operations per byte" },
        y: { ticks: logTicks(y, height, 40), format: (rate) => d3.format(",")(rate / 1e9), label: "GFLOP/s" },
      }),
      Plot.line(roof, { strokeWidth: 2 }),
      gemm ? Plot.link([gemm], { x1: ridge, x2: x[1], y1: gemm, y2: gemm, strokeDasharray: "4 4", strokeOpacity: 0.6 }) : null,
      gemm && scaleX(intensity) - scaleX(ridge) > 80 ? Plot.text([gemmText], { x: ridge, y: gemm, text: (text) => text, textAnchor: "start", dx: 2, dy: 9 }) : null,
      Plot.text([flopsText], { x: x[0], y: flops, text: (text) => text, textAnchor: "start", dy: -8, dx: 4 }),
      Plot.text([readText], {
        x: onSlope, y: onSlope * read, text: (text) => text, textAnchor: "start", dx: 8, dy: 9,
        stroke: "var(--card)", strokeWidth: 4, fill: "currentColor",
      }),
      Plot.link(labels, {
        x1: intensity, x2: right, y1: ({ mark }) => mark.rate, y2: "y",
        stroke: ({ mark }) => ofRow(mark).colour, strokeOpacity: 0.7, strokeWidth: 1,
      }),
      Plot.dot(marks, {
        x: "intensity", y: "rate", r: 5.5, strokeWidth: 2, ...appearance, ...interactive(marks, (mark) => [ofRow(mark)]),
      }),
      Plot.text(labels, {
        x: right, y: "y", textAnchor: "start", dx: 3, stroke: "var(--card)", strokeWidth: 4, fill: "currentColor",
        text: ({ mark }) => `${shortened(ofRow(mark).name, room - widthOf(` ${mark.text}`))} ${mark.text}`, pointerEvents: "none",
      }),
    ],
  });
};

// Ratios of two times with their intervals, 1 and the threshold.

plots.ratios = ({ marks, threshold, label }, width) => {
  const nameOf = ({ name, what }) => `${name}, ${what.split(" x ")[0]}`;
  const marginLeft = roomFor(marks.map(nameOf), width, 0.45);
  const keyed = marks.map((mark, place) => ({ ...mark, place, low: mark.low ?? 0, high: mark.high ?? Infinity }));
  const [low, high] = reach(keyed);
  const domain = [Math.min(0.95, low) / 1.02, Math.max(threshold * 1.03, high) * 1.02];
  const ticks = ratioTicks(domain, width - marginLeft - 20);
  const colour = (mark) => `var(--${mark.mood})`;
  return Plot.plot({
    width,
    height: 62 + 26 * marks.length,
    marginLeft,
    marginTop: 22,
    marginRight: 20,
    marginBottom: 38,
    ariaLabel: "Ratios of the times with 95 % intervals, and the threshold",
    x: { type: "log", domain, axis: null },
    y: { type: "band", domain: d3.range(marks.length), label: null, tickSize: 0,
         tickFormat: (place) => shortened(nameOf(marks[place]), marginLeft - 12) },
    color: { type: "identity" },
    marks: [
      logAxes({ x: { ticks, format: (ratio) => String(+ratio.toPrecision(3)), label } }),
      Plot.ruleX([1], { strokeOpacity: 0.6 }),
      Plot.ruleX([threshold], { strokeDasharray: "4 4" }),
      Plot.text([threshold], { x: threshold, frameAnchor: "top", dy: -16, text: () => "threshold" }),
      Plot.ruleY(keyed, {
        y: "place", x1: (mark) => clamped(mark.low, domain), x2: (mark) => clamped(mark.high, domain), stroke: colour,
        strokeWidth: 2,
      }),
      arrows(keyed, domain, "x", { y: "place", fill: colour }),
      Plot.dot(keyed, {
        x: "value", y: "place", r: 5.5, fill: colour, stroke: colour, ...interactive(keyed, (mark) => [mark]),
      }),
    ],
  });
};

// Times along an axis of a sweep: a curve for each implementation, its intervals as a band, its fit dashed.

plots.scaling = ({ marks, legend, axis, numeric, fits, crossings, caches }, width) => {
  const places = numeric ? d3.extent(marks, (mark) => mark.at) : [...new Set(marks.map((mark) => mark.at))];
  const [low, high] = reach(marks);
  const y = [low / 1.2, high * 1.2];
  const height = Math.max(280, Math.min(420, width * 0.62));
  const curves = legend.filter(({ curve }) => marks.some((mark) => mark.curve === curve));
  const colours = Object.fromEntries(legend.map(({ curve, colour }) => [curve, colour]));
  const colour = (mark) => colours[mark.curve];
  const fitted = fits.filter(({ curve }) => curves.some((shown) => shown.curve === curve));
  const between = marks.filter((mark) => mark.low !== null);
  const faint = caches.filter(({ at }) => at > places[0] && at < places.at(-1));
  const svg = Plot.plot({
    width,
    height,
    marginLeft: 58,
    marginRight: 18,
    marginTop: 36,
    marginBottom: 38,
    ariaLabel: `Curves: time of a call of each implementation against ${axis}`,
    x: numeric
      ? { type: "log", domain: places, axis: null, insetLeft: 8, insetRight: 8 }
      : { type: "point", domain: places, label: axis },
    y: { type: "log", domain: y, axis: null },
    color: { type: "identity" },
    symbol: { type: "identity" },
    marks: [
      logAxes({
        x: numeric && { ticks: tickPlaces(marks, places, width - 76), format: d3.format(","), label: axis },
        y: { ticks: logTicks(y, height, 40), format: seconds, label: "time of a call" },
      }),
      Plot.ruleX(faint, { x: "at", stroke: "var(--line)", strokeWidth: 1.5 }),
      Plot.text(faint, { x: "at", text: "text", frameAnchor: "top", dy: -10, fill: "var(--faint)" }),
      Plot.ruleX(crossings, { x: "at", strokeDasharray: "3 4", strokeOpacity: 0.6, title: "text" }),
      Plot.areaY(between, { x: "at", y1: "low", y2: "high", z: "curve", fill: colour, fillOpacity: 0.18, clip: true }),
      arrows(between, y, "y", { x: "at", fill: colour }),
      fitted.map(({ curve, points }) => Plot.line(points, {
        stroke: colours[curve], strokeDasharray: "5 4", strokeWidth: 1.2, clip: true, className: "fit",
      })),
      Plot.line(marks, { x: "at", y: "value", z: "curve", stroke: colour, strokeWidth: 2, strokeOpacity: 0.5 }),
      Plot.dot(marks, {
        x: "at", y: "value", r: 5, strokeWidth: 1.5, ...appearance,
        ...interactive(marks, (mark) => [ofRow(mark)]),
      }),
    ],
  });
  return withLegend(svg, curves);
};

// The measured places as ticks, if there is room.
function tickPlaces(marks, domain, width) {
  const measured = [...new Set(marks.map((mark) => mark.at))];
  return measured.length * 62 < width ? measured : logTicks(domain, width);
}

// Speed-up by threads, and the ideal speed-up: a curve for each implementation.

plots.threads = ({ marks, legend, base, baseText }, width) => {
  const most = d3.max(marks, (mark) => mark.at);
  const height = Math.max(260, Math.min(380, width * 0.6));
  const curves = legend.filter(({ curve }) => marks.some((mark) => mark.curve === curve));
  const colours = Object.fromEntries(legend.map(({ curve, colour }) => [curve, colour]));
  const colour = (mark) => colours[mark.curve];
  const [, high] = reach(marks);
  const domain = [0, 1.05 * Math.max(high, most / base)];
  const end = (value) => clamped(value, domain);
  const start = curves.map(({ curve }) => ({ curve, at: base, value: 1 }));
  const ideal = [{ at: base, value: 1 }, { at: most, value: most / base }];
  const svg = Plot.plot({
    width,
    height,
    marginLeft: 44,
    marginRight: 22,
    marginBottom: 38,
    ariaLabel: `Curves: speed-up of each implementation over ${baseText}, and the ideal`,
    x: {
      label: "threads", ticks: [...new Set([base, ...marks.map((mark) => mark.at)])], tickFormat: String,
      domain: [base, most], insetLeft: 8, insetRight: 8,
    },
    y: { label: `speed-up over ${baseText}`, grid: true, domain, ticks: 5 },
    color: { type: "identity" },
    symbol: { type: "identity" },
    marks: [
      Plot.line(ideal, { x: "at", y: "value", strokeDasharray: "4 4", strokeOpacity: 0.7 }),
      Plot.text(ideal.slice(1), { x: "at", y: "value", text: () => "ideal", dy: -10, textAnchor: "end" }),
      Plot.line([...start, ...marks], { x: "at", y: "value", z: "curve", stroke: colour, strokeWidth: 2 }),
      Plot.ruleX(marks.filter((mark) => mark.low !== null && mark.high !== null), {
        x: "at", y1: (mark) => end(mark.low), y2: (mark) => end(mark.high), stroke: colour, strokeOpacity: 0.6,
        strokeWidth: 1.5,
      }),
      arrows(marks, domain, "y", { x: "at", fill: colour }),
      Plot.dot(marks, {
        x: "at", y: "value", r: 5, strokeWidth: 1.5, ...appearance,
        ...interactive(marks, (mark) => [{ ...ofRow(mark), lines: [mark.text, ...ofRow(mark).lines] }]),
      }),
    ],
  });
  return withLegend(svg, curves);
};

// Figures are drawn at their width, and again when the width or the filter changes.

const figures = [...document.querySelectorAll("figure[data-plot]")].map((figure) => ({
  figure,
  place: figure.querySelector(".plot"),
  plot: data[figure.dataset.plot],
  width: 0,
}));

function draw({ figure, place, plot, width }) {
  const marks = plot.marks.filter((mark) => !hiddenRows.has(mark.row));
  figure.hidden = !marks.length;
  if (!marks.length) return;
  const element = plots[plot.kind]({ ...plot, marks }, width);
  place.replaceChildren(element);
  figure.querySelector(".cut").hidden = !element.querySelector(".arrow > *");
}

function redrawAll() {
  hide();
  for (const one of figures) if (one.width) draw(one);
}

const watcher = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const one = figures.find(({ place }) => place === target);
    const width = Math.floor(contentRect.width);
    if (width && width !== one.width) {
      one.width = width;
      draw(one);
    }
  }
});
for (const { place } of figures) watcher.observe(place);
