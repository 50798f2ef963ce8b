"use strict";
const sortBy = (table, heading, place) => {
  const upward = heading.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", upward ? "ascending" : "descending");
  const value = (row) => row.cells[place].dataset.value ?? row.cells[place].textContent;
  const compared = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
    return upward ? order : -order;
  };
  const body = table.tBodies[0];
  body.append(...[...body.rows].sort(compared));
};
for (const table of document.querySelectorAll("table")) {
  for (const [place, heading] of [...table.tHead.rows[0].cells].entries()) {
    heading.querySelector("button")?.addEventListener("click", () => sortBy(table, heading, place));
  }
}
const open = () => {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (named?.tagName === "DETAILS") named.open = true;
};
addEventListener("hashchange", open);
open();
