// Rates under the machine's limits: the slope of its memory, the roof of its arithmetic.

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
    ariaLabel: "Roofline: floating-point operations a second of each implementation under the machine's limits",
    x: { type: "log", domain: x, axis: null },
    y: { type: "log", domain: y, axis: null },
    color: { type: "identity" },
    symbol: { type: "identity" },
    marks: [
      logAxes({
        x: { ticks: logTicks(x, width - 60, 45), format: String, label: "floating-point operations a byte" },
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
        x: "intensity", y: "rate", r: 5.5, strokeWidth: 2,
        symbol: (mark) => ofRow(mark).symbol, stroke: (mark) => ofRow(mark).colour,
        fill: (mark) => ofRow(mark).filled ? ofRow(mark).colour : "var(--card)",
        ...answering(marks, (mark) => [ofRow(mark)]),
      }),
      Plot.text(labels, {
        x: right, y: "y", textAnchor: "start", dx: 3, stroke: "var(--card)", strokeWidth: 4, fill: "currentColor",
        text: ({ mark }) => `${shortened(ofRow(mark).name, room - widthOf(` ${mark.text}`))} ${mark.text}`, pointerEvents: "none",
      }),
    ],
  });
};
