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
