/* What a search shows, on top of Sphinx's, which takes this in: chapters whose titles have the words come first, and a
   result says which term of the glossary it is, or which exercise. */

"use strict";

var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
  score(result) {
    const [page, title, anchor, , score] = result;
    if (anchor.startsWith("#term-")) {
      result[1] = `Glossary: ${anchor.slice("#term-".length).replaceAll("-", " ")}`;
    }
    result[1] = result[1].replace(/> \((.*)\)$/, "> $1"); // the title of an exercise
    const [whole, part] = title.split(" > ");
    if (part && whole.replace(/<[^>]*>/g, "").endsWith(` ${part}`)) {
      [result[1], result[2]] = [whole, ""]; // the title of a page is a heading in it, too: the two become one
    }
    const query = new URLSearchParams(location.search).get("q") ?? "";
    const words = query.toLowerCase().split(/\s+/);
    const isChapter = page.startsWith("notebooks/") && anchor === "";
    return score + (isChapter && words.every((word) => title.toLowerCase().includes(word)) ? 200 : 0);
  },
};

// Excerpts are of the text alone, without the buttons and the contents around it.
addEventListener("DOMContentLoaded", () => {
  const excerpt = Search.htmlToText;
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const term = anchor && page.querySelector(`dt${anchor}`);
    const text = term ? term.nextElementSibling : page.querySelector("article.bd-article");
    return excerpt(`<div role="main">${text?.innerHTML ?? ""}</div>`, term ? "" : anchor);
  };
});
