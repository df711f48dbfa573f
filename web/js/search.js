// What Sphinx's search finds: terms by every name that the glossary has for them, however they are
// spelt. And what it shows of a page: its text without the page's tools and with each formula once,
// and what was searched for marked as it was written. (Chinese is looked up in pairs of characters,
// see tools/site/search.py.)
"use strict";

(() => {
  const LEFT_OUT = ".page-tools, .of-the-chapter, .on-this-page, .katex-html, .copy, .live, details > summary, .of-the-page, .not-translated";
  // As the Chinese edition's splitter does it; English pages have Sphinx's, which cuts otherwise.
  const OTHER = "(?:(?![\\u3400-\\u9fff])[\\p{L}\\p{N}])+"; // letters and digits of all but Chinese
  const WORD = new RegExp(`[\\u3400-\\u9fff]+|${OTHER}(?:_${OTHER})*`, "gu");
  const words = (query) => query.toLowerCase().match(WORD) ?? [];
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
  const american = (word) => word.replace(/is(?=e|i|a)/g, "iz").replace(/([aeiou])ll(?=[aeiou])/g, "$1l");
  const key = (name) => splitQuery(name.toLowerCase()).map((word) => stemmer.stemWord(american(word))).join(" ");
  const indexed = (query) => {
    const names = Object.keys(Search._index.indexentries);
    const same = key(query);
    return names.find((name) => name === query.toLowerCase()) ?? names.find((name) => same && key(name) === same);
  };

  // The names of terms within a question, the longest first, and none within another: of
  // "GQA or multi-query attention" those are "gqa" and "multi-query attention".
  function within(query) {
    const known = Object.keys(Search._index.indexentries);
    const names = new Map(known.map((name) => [key(name), name]));
    const longest = Math.max(0, ...known.map((name) => words(name).length));
    const parts = words(query);
    const found = [];
    for (let length = Math.min(longest, parts.length); length > 0; length--) {
      for (let first = 0; first + length <= parts.length; first++) {
        const part = parts.slice(first, first + length);
        const name = part.every(Boolean) && names.get(key(part.join(" ")));
        if (name) found.push(name);
        if (name) parts.fill("", first, first + length);
      }
    }
    return found;
  }

  // Where terms are taught, as results. A term counts the more, the more of the question it is, and
  // more than a page that has a word of it in its title.
  const taught = (names, length) => names.flatMap((name) => Search._index.indexentries[name].map(([file, id]) => {
    const { docnames, titles, filenames } = Search._index;
    const score = Math.max(2 * Scorer.title, Math.min(100, Math.round((100 * name.length) / length)));
    return [docnames[file], titles[file], id ? `#${id}` : "", null, score, filenames[file]];
  }));

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
    const term = indexed(query);
    const places = term ? [] : taught(within(query), query.length);
    const found = [...perform(term ?? query, ...more), ...places];
    if (places.length) found.sort((a, b) => a[4] - b[4]);
    // Of several results with one place the last one stays: it counts most.
    const last = new Map(found.map((result, i) => [result[0] + result[2], i]));
    return found.filter((result, i) => last.get(result[0] + result[2]) === i).map(([page, title, anchor, ...rest]) => {
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
