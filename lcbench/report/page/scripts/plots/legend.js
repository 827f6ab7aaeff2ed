// Which curve is which, below a plot.

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
