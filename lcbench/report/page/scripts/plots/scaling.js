// Times along an axis of a sweep: a curve an implementation, its interval a band, its fit dashed.

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
        x: "at", y: "value", r: 5, strokeWidth: 1.5, symbol: (mark) => ofRow(mark).symbol, stroke: colour,
        fill: (mark) => ofRow(mark).filled ? colour(mark) : "var(--card)",
        ...answering(marks, (mark) => [ofRow(mark)]),
      }),
    ],
  });
  const element = document.createElement("div");
  element.append(svg, legendOf(curves));
  return element;
};

// The places that were measured, where there is room for them.
function tickPlaces(marks, domain, width) {
  const measured = [...new Set(marks.map((mark) => mark.at))];
  return measured.length * 62 < width ? measured : logTicks(domain, width);
}
