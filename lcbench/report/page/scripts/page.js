// What stands behind a mark: its samples, in a box beside it, on hover, focus and touch alike.

const shown = document.getElementById("shown");

const MOST_PROCESSES = 8;

let shownFor = null;

// `about` has a name, what, lines, and perhaps processes; `process` is the number of the one to point out.
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
    const item = line("li", process.times.map(unbroken).join(", ") + (process.note ? ` (${process.note})` : ""));
    if (process.number === chosen) item.className = "this";
    list.append(item);
  }
  const left = processes.length - list.children.length;
  return [line("p", "samples, a process a line:"), list, ...(left > 0 ? [line("p", `and ${left} more processes`)] : [])];
}

// A number and its unit on one line.
function unbroken(text) {
  return text.replaceAll(" ", "\u00a0");
}

// Under the mark, or above it where there is no room; never over the edge of the window.
function placeBeside(mark) {
  const gap = 10;
  shown.style.left = shown.style.top = "0"; // where it stood before must not narrow it
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
// Focus moves a mark into view: the box goes with its mark, and leaves with it.
addEventListener("scroll", () => {
  if (!shownFor) return;
  const mark = shownFor.getBoundingClientRect();
  if (mark.bottom < 0 || mark.top > window.innerHeight) hide();
  else placeBeside(mark);
}, { passive: true, capture: true });
addEventListener("pointerdown", (event) => {
  if (!event.target.closest(".plot")) hide();
});

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

// On paper nothing can be unfolded: what belongs to a report is opened for it, the long list of samples is not.

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
