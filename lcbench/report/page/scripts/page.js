// Tooltip: a box beside a mark with its samples, on hover, focus and touch.

const shown = document.getElementById("shown");

const MOST_PROCESSES = 8;

let shownFor = null;

// about: has name, what, lines, and optionally processes. process: number of the process to highlight.
function show(element, about, process) {
  shown.replaceChildren(line("strong", about.name), line("p", about.what), ...about.lines.map((text) => line("p", text)));
  if (about.processes) shown.append(...processList(about.processes, process));
  shown.hidden = false;
  shownFor = element;
  placeBeside(element.getBoundingClientRect());
}

function hide() {
  shown.hidden = true;
  shownFor = null;
}

function line(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function processList(processes, chosen) {
  const first = chosen === undefined ? 0 : Math.max(0, Math.min(chosen - 4, processes.length - MOST_PROCESSES));
  const list = document.createElement("ol");
  list.start = first + 1;
  for (const process of processes.slice(first, first + MOST_PROCESSES)) {
    const item = line("li", process.times.map(unbroken).join(", "));
    if (process.number === chosen) item.className = "this";
    list.append(item);
  }
  const left = processes.length - list.children.length;
  return [line("p", "samples, one line for each process:"), list, ...(left > 0 ? [line("p", `and ${left} more processes`)] : [])];
}

// The text without a line break between a number and its unit.
function unbroken(text) {
  return text.replaceAll(" ", "\u00a0");
}

// Places the box below the mark, or above it if there is no room, within the window.
function placeBeside(mark) {
  const gap = 10;
  shown.style.left = shown.style.top = "0"; // the previous place must not limit its width
  const box = shown.getBoundingClientRect();
  const left = Math.max(8, Math.min(mark.left, document.documentElement.clientWidth - box.width - 8));
  const below = mark.bottom + gap;
  const top = below + box.height <= window.innerHeight ? below : Math.max(8, mark.top - gap - box.height);
  shown.style.left = `${left}px`;
  shown.style.top = `${top}px`;
}

addEventListener("keydown", (event) => {
  if (event.key === "Escape") hide();
});
// Focus can scroll the page: the box moves with its mark, and is hidden with it.
addEventListener("scroll", () => {
  if (!shownFor) return;
  const mark = shownFor.getBoundingClientRect();
  if (mark.bottom < 0 || mark.top > window.innerHeight) hide();
  else placeBeside(mark);
}, { passive: true, capture: true });
addEventListener("pointerdown", (event) => {
  if (!event.target.closest(".plot")) hide();
});

// Tables are sorted by clicks on headings and filtered by words. Cells have the values to sort by.

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

// Lines without a value are always last; equal lines keep their order.
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

// Names of the rows that the filter hides, in tables and in plots.
const hiddenRows = new Set();

const lines = [...document.querySelectorAll("tbody tr")];

// Text by which the filter finds a line. A row of a record has lines in several tables, which are hidden together.
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

// For printing, folded details are opened, except the long list of samples.
const opened = [];

addEventListener("beforeprint", () => {
  hide();
  for (const fold of document.querySelectorAll("details.printed:not([open])")) {
    fold.open = true;
    opened.push(fold);
  }
});
addEventListener("afterprint", () => {
  for (const fold of opened.splice(0)) fold.open = false;
});
