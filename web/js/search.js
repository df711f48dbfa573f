// What Sphinx's search shows of a page: its text without the page's tools and with each formula
// once; and what was searched for marked as it was written. (Chinese is looked up in pairs of
// characters, see tools/extensions/search.py.)
"use strict";

(() => {
  const LEFT_OUT = ".page-tools, .of-the-chapter, .on-this-page, .katex-html, .copy, details > summary, .of-the-page, .not-translated";
  const words = (query) => query.toLowerCase().match(/[\u3400-\u9fff]+|[^\W_]+(?:_[^\W_]+)*/gu) ?? [];
  const parse = Search._parseQuery;
  const plain = Search.htmlToText;
  const summarize = Search.makeSearchSummary;
  let asked = [];

  Search._parseQuery = (query) => {
    asked = words(query);
    const [text, terms, excluded, , objects] = parse(query);
    return [text, terms, excluded, new Set(asked), objects];
  };

  // A notebook of a chapter that has several is named after the chapter.
  const perform = Search._performSearch;
  Search._performSearch = (...query) => {
    const { docnames, titles } = Search._index;
    return perform(...query).map(([page, title, ...rest]) => {
      const opening = docnames.indexOf(page.replace(/\/[^/]+$/, "/index"));
      const apart = opening < 0 || docnames[opening] === page;
      return [page, apart ? title : `${titles[opening]} > ${title}`, ...rest];
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
