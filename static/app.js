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

// A refresh must not take away what someone is just using: an open menu, a field, a selection.
document.addEventListener("htmx:beforeRequest", (event) => {
  const live = event.target;
  if (!live.hasAttribute || !live.hasAttribute("data-live")) return;
  const inUse = live.querySelector("details[open], [popover]:popover-open")
    || (live.contains(document.activeElement) && document.activeElement.matches("input, select, textarea"));
  if (inUse || !document.getSelection().isCollapsed || document.hidden) event.preventDefault();
});
