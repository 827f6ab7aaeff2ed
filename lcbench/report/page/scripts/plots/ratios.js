// Ratios of two times with their intervals, beside 1 and the threshold.

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
    ariaLabel: "Ratios of the times with 95 % intervals, beside the threshold",
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
        x: "value", y: "place", r: 5.5, fill: colour, stroke: colour, ...answering(keyed, (mark) => [mark]),
      }),
    ],
  });
};
