"use strict";
/* Scrolls each timeline to its first activity. Without scripts, users scroll by hand. */
document.addEventListener("DOMContentLoaded", () => {
  for (const scroll of document.querySelectorAll("[data-scroll-to]")) {
    const wanted = Number(scroll.dataset.scrollTo);
    const name = scroll.querySelector(".timeline-name");
    const room = scroll.clientWidth - (name ? name.offsetWidth : 0);
    if (wanted > room / 2) {
      scroll.scrollLeft = wanted - room / 4;
    }
  }
});
