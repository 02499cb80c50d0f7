// What a page does beyond htmx. Each page works without this file.
"use strict";

// Ask before what cannot be undone; and close what a form was opened in.
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
  event.target.closest("details.menu")?.removeAttribute("open");
});

// An editor with unsaved text is not left by accident; Ctrl+Enter saves.
const isChanged = (field) => "defaultValue" in field && field.value !== field.defaultValue;
for (const form of document.querySelectorAll("form[data-guard]")) {
  const guard = (event) => { if ([...form.elements].some(isChanged)) event.preventDefault(); };
  window.addEventListener("beforeunload", guard);
  form.addEventListener("submit", () => window.removeEventListener("beforeunload", guard));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

// The field is empty again for the next item.
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.target.matches("form[data-clear]") && event.detail.successful) event.target.reset();
});

// What is being written in is not replaced under one's hands, but once it is closed.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.querySelector("details.menu[open]")) event.detail.shouldSwap = false;
});
// What is unfolded stays so when it is made anew.
let unfolded = false;
document.addEventListener("htmx:afterSwap", () => {
  if (unfolded) document.getElementById("reach")?.setAttribute("open", "");
});
document.addEventListener("toggle", (event) => {
  if (event.target.id === "reach") unfolded = event.target.open;
  if (event.target.matches("details.menu:not([open])")) htmx.trigger(document.body, "changed");
}, true);

// Secrets are copied by a button where the browser can.
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
    button.textContent = "Copied";
  });
}
document.addEventListener("focusin", (event) => {
  if (event.target.matches("[data-select]")) event.target.select();
});
