// What a page does beyond htmx. Each page works without this file.
"use strict";

// Ask before what cannot be undone.
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

// An editor with unsaved text is not left by accident; Ctrl+Enter saves.
let unsaved = false;
for (const form of document.querySelectorAll("form[data-guard]")) {
  form.addEventListener("input", () => { unsaved = true; });
  form.addEventListener("submit", () => { unsaved = false; });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}
window.addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});

// The field is empty again for the next item.
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.target.matches("form[data-clear]") && event.detail.successful) event.target.reset();
});

// What is being written in is not replaced under one's hands: it is asked for again afterwards.
document.addEventListener("htmx:beforeSwap", (event) => {
  const open = event.detail.target.querySelector("details.menu[open]");
  if (open && !open.contains(event.detail.requestConfig.elt)) event.detail.shouldSwap = false;
});

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
