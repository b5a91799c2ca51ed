"use strict";

document.documentElement.classList.add("scripted");

const field = document.getElementById("filter");
if (field) {
  const pairs = [...document.querySelectorAll(".pair")];
  const shown = document.getElementById("shown");
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase();
    for (const pair of pairs) pair.hidden = !pair.dataset.name.toLowerCase().includes(wanted);
    shown.value = wanted ? `${pairs.filter((pair) => !pair.hidden).length} of ${pairs.length}` : "";
  });
}
