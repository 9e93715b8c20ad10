"use strict";
// A click on a cell of a table, or Enter on it, shows the tidy rows that it stems from, or the file that it stands in.
const tidy = JSON.parse(document.getElementById("tidy").textContent);
const panel = document.getElementById("panel");
const HIDDEN = ["study"];
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function add(parent, tag, text = "", attributes = {}) {
  const made = parent.appendChild(document.createElement(tag));
  made.textContent = text;
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  return made;
}

function value(column, row) {
  const { levels, codes } = tidy.columns[column];
  return codes[row] < 0 ? "" : String(levels[codes[row]]);
}

function numbers(text) {
  return text.split(" ").flatMap((span) => {
    const [first, last] = span.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, step) => first + step);
  });
}

function settingsOf(line, row) {
  const run = value("run", row);
  const found = tidy.runs[`${run}/${value("seed", row)}`] || tidy.runs[run];
  const cell = add(line, "td");
  if (!found) cell.textContent = "not recorded";
  else if (found.file) add(cell, "a", found.digest, { href: found.file });
  else cell.textContent = `${found.digest} (of the study)`;
}

function tidyTable(rows) {
  const box = add(panel, "div", "", { class: "box", tabindex: "0" });
  const table = add(box, "table");
  const columns = Object.keys(tidy.columns).filter((name) => !HIDDEN.includes(name));
  const head = add(add(table, "thead"), "tr");
  [...columns, "settings (digest)"].forEach((name) => add(head, "th", name));
  const body = add(table, "tbody");
  rows.forEach((row) => {
    const line = add(body, "tr");
    columns.forEach((name) => add(line, "td", value(name, row)));
    settingsOf(line, row);
  });
}

function show(cell) {
  const table = cell.closest("table");
  const column = table.tHead.rows[0].cells[cell.cellIndex].textContent;
  panel.replaceChildren();
  add(panel, "h2", `${column}: ${cell.textContent || "empty"}`, { id: "panel-title" });
  const where = add(panel, "p", `Line ${cell.parentElement.rowIndex + 1}, column ${cell.cellIndex + 1} of `);
  add(where, "a", table.dataset.file, { href: table.dataset.file });
  if (cell.dataset.rows) {
    const rows = numbers(cell.dataset.rows);
    const from = add(panel, "p", `From ${rows.length} measurement${rows.length > 1 ? "s" : ""} of `);
    add(from, "a", tidy.file, { href: tidy.file });
    from.append("; means over datasets leave out what is contaminated.");
    tidyTable(rows);
  } else add(panel, "p", "This cell stems from no row of the tidy results; the file and its rule say what it is.");
  add(add(panel, "form", "", { method: "dialog" }), "button", "Close");
  panel.showModal();
}

function cellOf(target) {
  return target.closest("table[data-file] tbody td");
}

function focus(cell) {
  cell.tabIndex = -1;
  cell.focus();
}

document.addEventListener("click", (event) => {
  const cell = cellOf(event.target);
  if (cell && !String(window.getSelection())) show(cell);
});

document.addEventListener("keydown", (event) => {
  const cell = cellOf(event.target);
  const first = event.target.matches(".box") && event.target.querySelector("table[data-file] tbody td");
  if (event.key === "Enter" && cell) show(cell);
  else if (event.key === "Enter" && first) focus(first);
  else if (cell && STEPS[event.key]) {
    const [down, right] = STEPS[event.key];
    const row = cell.closest("table").rows[cell.parentElement.rowIndex + down];
    const next = row && row.parentElement.tagName === "TBODY" && row.cells[cell.cellIndex + right];
    if (next) focus(next);
  } else return;
  event.preventDefault();
});
