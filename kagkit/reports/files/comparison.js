"use strict";
const table = document.querySelector("table");
const body = table.tBodies[0];
for (const [place, heading] of [...table.tHead.rows[0].cells].entries()) {
  const button = heading.querySelector("button");
  button?.addEventListener("click", () => {
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
    body.append(...[...body.rows].sort(compared));
  });
}
const open = () => {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (named?.tagName === "DETAILS") named.open = true;
};
addEventListener("hashchange", open);
open();
