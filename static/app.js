// What script adds: copying, and pages that stay up to date. Everything else works without.
"use strict";

document.documentElement.classList.add("js");

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  navigator.clipboard.writeText(source.textContent).then(() => {
    const word = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = word; }, 1500);
  });
});

// A refresh must not take away what someone is just using: an open menu, a field, a selection. What was held back
// is made up for as soon as they are done.
const held = new Set();

const inUse = (live) => document.hidden
  || live.querySelector("details[open], [popover]:popover-open") !== null
  || (live.contains(document.activeElement) && document.activeElement.matches("input, select, textarea"))
  || !document.getSelection().isCollapsed;

document.addEventListener("htmx:beforeRequest", (event) => {
  const live = event.target;
  if (!live.hasAttribute || !live.hasAttribute("data-live")) return;
  if (!inUse(live)) return;
  held.add(live);
  event.preventDefault();
});

const makeUp = () => setTimeout(() => {
  for (const live of held) {
    if (live.isConnected && inUse(live)) continue;
    held.delete(live);
    if (live.isConnected) htmx.trigger(live, "sse:changed");
  }
});

// `toggle` does not bubble.
for (const name of ["toggle", "focusout", "selectionchange", "visibilitychange"]) {
  document.addEventListener(name, makeUp, true);
}
