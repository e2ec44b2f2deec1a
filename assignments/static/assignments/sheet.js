/* The day sheet: prints it. Only people know whether it came out of the printer: they note it by a button. */
const button = document.getElementById("sheet-print");
button.hidden = false;
button.addEventListener("click", () => window.print());
