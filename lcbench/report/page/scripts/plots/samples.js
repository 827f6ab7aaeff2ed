// Every sample over its row's median: a lane a row, and in it a line a process, the first at the top. Grey and hollow:
// the process was left out.

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
  const colour = ({ mark, process }) => process.kept ? ofRow(mark).colour : "var(--left-out)";
  return Plot.plot({
    width,
    height: 46 + lane * marks.length,
    marginLeft,
    marginRight: 26,
    marginTop: 6,
    marginBottom: 38,
    ariaLabel: "Dots: every sample of each implementation over its median, a line of dots a process",
    x: { type: "log", domain, axis: null },
    y: { type: "linear", domain: [marks.length, 0], axis: null },
    color: { type: "identity" },
    marks: [
      logAxes({ x: { ticks, format: (ratio) => `${+ratio.toPrecision(3)} x`, label: "time over the median" } }),
      Plot.axisY(d3.range(marks.length).map((place) => place + 0.5), {
        tickFormat: (place) => shortened(names[Math.floor(place)], marginLeft - 12), tickSize: 0, label: null,
      }),
      Plot.ruleY(d3.range(1, marks.length), { stroke: "var(--line)" }),
      Plot.ruleX([1], { strokeOpacity: 0.5 }),
      Plot.ruleX(middles, {
        x: ({ ratio }) => clamped(ratio, domain), y1: ({ y, half }) => y - half, y2: ({ y, half }) => y + half,
        stroke: colour, strokeWidth: 2.5, ...answering(middles, about),
      }),
      Plot.dot(near, {
        x: "ratio", y: "y", r: radius, fill: (dot) => dot.process.kept ? colour(dot) : "var(--card)",
        stroke: (dot) => dot.process.kept ? "none" : colour(dot), fillOpacity: 0.65,
        ...answering(near, about, false),
      }),
      Plot.dot(beyond, {
        x: ({ ratio }) => clamped(ratio, domain), y: "y", rotate: ({ ratio }) => ratio > domain[1] ? 90 : -90,
        symbol: "triangle", r: radius + 1, fill: colour, stroke: null, className: "farther",
        ...answering(beyond, about, false),
      }),
    ],
  });
};
