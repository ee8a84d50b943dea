/* What the pages need beside their style: for the keyboard, and on paper.

   What scrolls can be scrolled by keyboard too: it takes the focus, as long as it is wider than its place. A formula
   scrolls only then; else its own overhang of half a pixel would make it something that scrolls. */

"use strict";

(() => {
  const BOXES = "mjx-container, .math, pre, .output, .pst-scrollable-table-container, .lf-named, .text_html";

  function update() {
    const scrolls = (box) => box.tagName === "MJX-CONTAINER" || /auto|scroll/.test(getComputedStyle(box).overflowX);
    const wide = (box) => box.scrollWidth > box.clientWidth + 1 && scrolls(box);
    const changes = [...document.querySelectorAll(BOXES)].map((box) => [box, box.clientWidth > 0 && wide(box)]);
    for (const [box, yes] of changes) {
      if (yes && !box.hasAttribute("tabindex")) {
        box.tabIndex = 0;
        box.dataset.scrolls = "";
      } else if (!yes && "scrolls" in box.dataset) {
        box.removeAttribute("tabindex");
        delete box.dataset.scrolls;
      }
    }
  }

  let waiting;
  const soon = () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(update);
  };
  addEventListener("load", () => {
    soon();
    window.MathJax?.startup?.promise?.then(soon);
    document.fonts?.ready.then(soon);
    new ResizeObserver(soon).observe(document.querySelector("main") ?? document.body);
  });
  document.addEventListener("toggle", soon, true); // a <details> opens
})();

// Paper is white, and nothing can be unfolded there.
(() => {
  const page = document.documentElement;
  let restore = null;
  addEventListener("beforeprint", () => {
    if (restore) return; // some browsers say it twice
    const theme = page.dataset.theme;
    const closed = [...document.querySelectorAll("main details:not([open])")];
    page.dataset.theme = "light";
    closed.forEach((box) => (box.open = true));
    restore = () => {
      page.dataset.theme = theme;
      closed.forEach((box) => (box.open = false));
    };
  });
  addEventListener("afterprint", () => {
    restore?.();
    restore = null;
  });
})();
