// Keys for what is on the page: an element with data-key is clicked or focused by its key; a slider counts when it rests.
"use strict";
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const rows = [...document.querySelectorAll("[data-row]")];
  if (rows.length && (event.key === "j" || event.key === "k")) {
    const at = rows.indexOf(document.activeElement) + (event.key === "j" ? 1 : -1);
    rows[Math.max(0, Math.min(rows.length - 1, at))].focus();
    event.preventDefault();
    return;
  }
  const found = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!found) return;
  event.preventDefault();
  if (found.tagName === "INPUT") found.focus(); else found.click();
});
for (const slide of document.querySelectorAll("[data-slide]")) {
  const exact = slide.form.elements.limit;
  slide.addEventListener("input", () => { exact.value = slide.value; });
  slide.addEventListener("change", () => slide.form.submit());
}
