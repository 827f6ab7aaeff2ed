// Tables that sort by their headings and filter by words. The values to sort by come with the cells.

for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", (event) => {
      const way = nextWay(heading.getAttribute("aria-sort"), event.currentTarget.dataset.first);
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", way);
      sortBy(table.tBodies[0], column, way === "ascending" ? 1 : -1);
    });
  });
}

function nextWay(current, first) {
  if (!current) return first;
  return current === "ascending" ? "descending" : "ascending";
}

// Lines without the value stay last whichever way, and equal ones as they stand.
function sortBy(body, column, sign) {
  const valueOf = (row) => (row.classList.contains("last") && column > 0 ? undefined : row.cells[column]?.dataset.value);
  const sorted = [...body.rows].map((row) => ({ row, last: row.classList.contains("last"), value: valueOf(row) }));
  sorted.sort((a, b) => {
    if (a.last !== b.last) return a.last - b.last;
    if (a.value === undefined || b.value === undefined) return (a.value === undefined) - (b.value === undefined);
    return sign * compared(a.value, b.value);
  });
  body.append(...sorted.map(({ row }) => row));
}

function compared(a, b) {
  const difference = Number(a) - Number(b);
  return Number.isNaN(difference) ? a.localeCompare(b) : difference;
}

// Names of the rows of records that the filter hides; the plots leave them out too.
const hiddenRows = new Set();

const lines = [...document.querySelectorAll("tbody tr")];

// What a filter finds a line by. A row of a record has lines in several tables, which come and go together.
const textOf = new Map(lines.map((line) => [line, `${line.dataset.words} ${line.textContent} `.toLowerCase()]));
const textOfRow = d3.rollup(
  lines.filter((line) => line.dataset.row),
  (same) => same.map((line) => textOf.get(line)).join(""),
  (line) => line.dataset.row,
);

function applyFilter(words) {
  const found = (text) => words.every((word) => text.includes(word));
  hiddenRows.clear();
  for (const [row, text] of textOfRow) if (!found(text)) hiddenRows.add(row);
  for (const line of lines) line.hidden = line.dataset.row ? hiddenRows.has(line.dataset.row) : !found(textOf.get(line));
  for (const element of document.querySelectorAll(".of-row")) element.hidden = hiddenRows.has(element.dataset.row);
  redrawAll();
  for (const card of document.querySelectorAll(".part .card, .part .glance")) {
    card.hidden = words.length > 0 && allHidden(card.querySelectorAll("tbody tr, .of-row, figure:not(.ratios)"));
  }
  for (const part of document.querySelectorAll(".part")) part.hidden = allHidden(part.querySelectorAll(".card, .glance"));
  document.getElementById("filter-found").textContent = words.length ? toldOf(lines) : "";
}

function allHidden(elements) {
  return [...elements].every((element) => element.hidden);
}

function toldOf(lines) {
  const shown = lines.filter((line) => !line.hidden).length;
  return shown ? `${shown} of ${lines.length} lines` : "nothing matches";
}

document.getElementById("filter").addEventListener("input", (event) => {
  applyFilter(event.target.value.toLowerCase().split(/\s+/).filter(Boolean));
});
