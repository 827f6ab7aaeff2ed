// Figures are drawn as wide as they lie, and again when that or the filter changes.

const figures = [...document.querySelectorAll("figure[data-drawing]")].map((figure) => ({
  figure,
  place: figure.querySelector(".plot"),
  drawing: drawings[figure.dataset.drawing],
  width: 0,
}));

function draw({ figure, place, drawing, width }) {
  const marks = drawing.marks.filter((mark) => !hiddenRows.has(mark.row));
  figure.hidden = !marks.length;
  if (!marks.length) return;
  const element = plots[drawing.kind]({ ...drawing, marks }, width);
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
