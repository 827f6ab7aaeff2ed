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
  const lines = [...body.rows].map((row) => ({ row, last: row.classList.contains("last"), value: valueOf(row) }));
  lines.sort((a, b) => {
    if (a.last !== b.last) return a.last - b.last;
    if (a.value === undefined || b.value === undefined) return (a.value === undefined) - (b.value === undefined);
    return sign * compared(a.value, b.value);
  });
  body.append(...lines.map(({ row }) => row));
}

function compared(a, b) {
  const difference = Number(a) - Number(b);
  return Number.isNaN(difference) ? a.localeCompare(b) : difference;
}

// Names of the rows of records that the filter hides; the plots leave them out too.
const hiddenRows = new Set();

function applyFilter(words) {
  hiddenRows.clear();
  let found = 0;
  const lines = [...document.querySelectorAll("tbody tr, details.samples > div")];
  for (const element of lines) {
    const text = `${element.dataset.words} ${element.textContent}`.toLowerCase();
    element.hidden = !words.every((word) => text.includes(word));
    if (element.hidden && element.dataset.row) hiddenRows.add(element.dataset.row);
    if (!element.hidden && element.localName === "tr") found += 1;
  }
  for (const table of document.querySelectorAll("table.sortable")) {
    const nothing = [...table.tBodies[0].rows].every((row) => row.hidden);
    table.closest(".card").classList.toggle("empty", nothing);
  }
  const all = lines.filter((element) => element.localName === "tr").length;
  document.getElementById("filter-found").textContent = words.length ? `${found} of ${all} lines` : "";
}

document.getElementById("filter").addEventListener("input", (event) => {
  applyFilter(event.target.value.toLowerCase().split(/\s+/).filter(Boolean));
  redrawAll();
});
