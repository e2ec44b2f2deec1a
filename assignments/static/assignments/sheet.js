/* The day sheet: prints, and then has it noted, so that the next one marks what has changed. */
const button = document.getElementById("sheet-print");
button.form.addEventListener("submit", (event) => {
  event.preventDefault();
  window.addEventListener("afterprint", () => button.form.submit(), { once: true });
  window.print();
});
