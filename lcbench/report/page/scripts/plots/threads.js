// What more threads gain, beside what they could: a curve an implementation.

plots.threads = ({ marks, legend, base }, width) => {
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
    ariaLabel: `Curves: speed-up of each implementation over ${base} by threads, beside the ideal`,
    x: {
      label: "threads", ticks: [...new Set([base, ...marks.map((mark) => mark.at)])], tickFormat: String,
      domain: [base, most], insetLeft: 8, insetRight: 8,
    },
    y: { label: `times as fast as with ${base}`, grid: true, domain, ticks: 5 },
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
        x: "at", y: "value", r: 5, strokeWidth: 1.5, symbol: (mark) => ofRow(mark).symbol, stroke: colour,
        fill: (mark) => ofRow(mark).filled ? colour(mark) : "var(--card)",
        ...answering(marks, (mark) => [{ ...ofRow(mark), lines: [mark.text, ...ofRow(mark).lines] }]),
      }),
    ],
  });
  const element = document.createElement("div");
  element.append(svg, legendOf(curves));
  return element;
};
