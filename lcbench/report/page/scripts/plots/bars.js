// Medians with their intervals. Where the axis is logarithmic, points: there the length of a bar says nothing.

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
    ariaLabel: "Bars: median and 95 % interval of each implementation, seconds a call",
    x: logarithmic
      ? { type: "log", domain, axis: null }
      : { domain, label: "time of a call", tickFormat: seconds, grid: true, ticks: Math.max(2, Math.floor(inner / 70)) },
    y: { domain: marks.map((mark) => mark.row), label: null, tickFormat: (row) => name[row], tickSize: 0, tickPadding: 8 },
    marks: [
      logarithmic ? logAxes({ x: { ticks: logTicks(domain, inner), format: seconds, label: "time of a call" } }) : null,
      logarithmic
        ? Plot.dot(marks, {
            x: "value", y: "row", r: 6, symbol: (mark) => ofRow(mark).symbol,
            fill: (mark) => ofRow(mark).filled ? ofRow(mark).colour : "var(--card)",
            stroke: (mark) => ofRow(mark).colour,
            ...answering(marks, (mark) => [ofRow(mark)]),
          })
        : Plot.barX(marks, {
            x: "value", y: "row", insetTop: 3, insetBottom: 3, rx: 2,
            fill: (mark) => ofRow(mark).colour, fillOpacity: (mark) => ofRow(mark).filled ? 0.85 : 0.25,
            stroke: (mark) => ofRow(mark).colour,
            ...answering(marks, (mark) => [ofRow(mark)]),
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
