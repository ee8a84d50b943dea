/* What scrolls can be scrolled by keyboard too: it takes the focus, as long as it is wider than its place. */

"use strict";

(() => {
  const BOXES = "mjx-container, .math, pre, .output, .pst-scrollable-table-container, .lf-named, .text_html";

  function update() {
    const wide = (box) => box.scrollWidth > box.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(box).overflowX);
    const changes = [...document.querySelectorAll(BOXES)].map((box) => [box, box.clientWidth > 0 && wide(box)]);
    for (const [box, scrolls] of changes) {
      if (scrolls && !box.hasAttribute("tabindex")) {
        box.tabIndex = 0;
        box.dataset.scrolls = "";
      } else if (!scrolls && "scrolls" in box.dataset) {
        box.removeAttribute("tabindex");
        delete box.dataset.scrolls;
      }
    }
  }

  let waiting;
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(update, 150);
  };
  addEventListener("load", () => {
    soon();
    window.MathJax?.startup?.promise?.then(soon);
    document.fonts?.ready.then(soon);
    new ResizeObserver(soon).observe(document.querySelector("main") ?? document.body);
  });
  document.addEventListener("toggle", soon, true); // a <details> opens
})();
