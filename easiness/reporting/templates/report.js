// Sorting and filtering of tables, choices of figures, and galleries that unfold for a printer. Everything is on the page without it.
"use strict";
for (const table of document.querySelectorAll("main table:not(.turned)")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const value = (row, column) => {
    const cell = row.cells[column];
    if (!heads[column].classList.contains("number")) return cell.textContent;
    return cell.dataset.value === undefined ? NaN : Number(cell.dataset.value);
  };
  const compare = (a, b) => typeof a === "number" ? a - b : a.localeCompare(b, undefined, {numeric: true});
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map(row => [value(row, column), row]);
      const unknown = ([number]) => Number.isNaN(number);  // last, whichever way
      rows.sort((a, b) => unknown(a) || unknown(b) ? unknown(a) - unknown(b) : (down ? -1 : 1) * compare(a[0], b[0]));
      body.append(...rows.map(([, row]) => row));
    });
  });
  if (body.rows.length > 8) {
    const filter = document.createElement("input");
    filter.type = "search";
    filter.className = "filter";
    filter.placeholder = "filter rows";
    filter.setAttribute("aria-label", "Filter rows: " + table.caption.textContent);
    filter.addEventListener("input", () => {
      const wanted = filter.value.trim().toLowerCase();
      for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
    table.parentElement.before(filter);
  }
}
for (const group of document.querySelectorAll(".figures")) {
  const members = [...group.querySelectorAll("[data-choice]")];
  const names = [...new Set(members.map(member => member.dataset.choice))];
  if (names.length < 2) continue;
  const menu = document.createElement("select"), label = document.createElement("label");
  menu.append(...names.map(name => new Option(name)));
  label.className = "choice";
  label.append(`Of ${names.length}, show `, menu);
  const show = () => {
    for (const member of members) member.classList.toggle("unchosen", member.dataset.choice !== menu.value);
  };
  menu.addEventListener("change", show);
  group.before(label);
  show();
}
const opened = [];
addEventListener("beforeprint", () => {
  for (const section of document.querySelectorAll(".gallery > details:not([open])")) {
    section.open = true;
    opened.push(section);
  }
});
addEventListener("afterprint", () => { while (opened.length) opened.pop().open = false; });
