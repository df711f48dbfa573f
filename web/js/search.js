// What Sphinx's search finds: terms by every name that the glossary has for them, however they are
// spelt. And what it shows of a page: its text without the page's tools and with each formula once,
// and what was searched for marked as it was written. (Chinese is looked up in pairs of characters,
// see tools/extensions/search.py.)
"use strict";

(() => {
  const LEFT_OUT = ".page-tools, .of-the-chapter, .on-this-page, .katex-html, .copy, .live, details > summary, .of-the-page, .not-translated";
  const words = (query) => query.toLowerCase().match(/[\u3400-\u9fff]+|[^\W_]+(?:_[^\W_]+)*/gu) ?? [];
  const parse = Search._parseQuery;
  const plain = Search.htmlToText;
  const summarize = Search.makeSearchSummary;
  let asked = [];

  // Sphinx asks for words in plain objects, which also answer for the names that every object has,
  // such as "constructor" and "__proto__". These keep what Sphinx calls, and no other name.
  const keep = Search.setIndex;
  const bare = Object.assign(Object.create(null), { hasOwnProperty: Object.prototype.hasOwnProperty });
  Search.setIndex = (index) => {
    for (const map of Object.values(index)) if (!Array.isArray(map)) Object.setPrototypeOf(map, bare);
    keep(index);
  };

  Search._parseQuery = (query) => {
    asked = words(query);
    const [text, terms, excluded, , objects] = parse(query);
    return [text, terms, excluded, new Set(asked), objects];
  };

  // The same for all spellings of a name: hyphens, plurals, British or American, spaces in Chinese.
  const stemmer = new Stemmer();
  const american = (word) => word.replace(/is(?=e|i|a)/g, "iz").replaceAll("ll", "l");
  const key = (name) => splitQuery(name.toLowerCase()).map((word) => stemmer.stemWord(american(word))).join(" ");
  const indexed = (query) => {
    const names = Object.keys(Search._index.indexentries);
    return names.find((name) => name === query.toLowerCase()) ?? names.find((name) => key(name) === key(query));
  };

  // The title of a section by its place.
  function sections() {
    const named = Object.entries(Search._index.alltitles);
    return new Map(named.flatMap(([title, places]) => places.map(([page, id]) => [`${page}#${id}`, title])));
  }

  // A place is called by its page and section; a notebook of several, also by its chapter.
  const perform = Search._performSearch;
  Search._performSearch = (query, ...more) => {
    const { docnames, titles } = Search._index;
    const known = sections();
    return perform(indexed(query) ?? query, ...more).map(([page, title, anchor, ...rest]) => {
      const number = docnames.indexOf(page);
      const opening = docnames.indexOf(page.replace(/\/[^/]+$/, "/index"));
      const section = known.get(number + anchor);
      const whole = section && title === titles[number] ? `${title} > ${section}` : title;
      const apart = opening < 0 || opening === number;
      return [page, apart ? whole : `${titles[opening]} > ${whole}`, anchor, ...rest];
    });
  };

  Search.htmlToText = (page, anchor) => {
    const html = new DOMParser().parseFromString(page, "text/html");
    html.querySelectorAll(LEFT_OUT).forEach((part) => part.remove());
    return plain(html.documentElement.outerHTML, anchor).replace(/\s+/g, " ");
  };

  // The passage shown is one where the words stand together, if there is one.
  Search.makeSearchSummary = (page, terms, anchor) => {
    const text = Search.htmlToText(page, anchor).toLowerCase();
    const found = asked.filter((word) => text.includes(word));
    return summarize(page, found.length ? found : terms, anchor);
  };
})();
