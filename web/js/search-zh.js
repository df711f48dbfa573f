// Marks what was searched for as it was written, not in the pairs of characters that were looked up.
"use strict";

(() => {
  const runs = (query) => query.toLowerCase().match(/[\u3400-\u9fff]+|[^\W_]+(?:_[^\W_]+)*/gu) ?? [];
  const parse = Search._parseQuery;
  const summarize = Search.makeSearchSummary;
  let asked = [];

  Search._parseQuery = (query) => {
    asked = runs(query);
    const [words, terms, excluded, , objects] = parse(query);
    return [words, terms, excluded, new Set(asked), objects];
  };

  // The passage shown is one where the words stand together, if there is one.
  Search.makeSearchSummary = (page, terms, anchor) => {
    const text = Search.htmlToText(page, anchor).toLowerCase();
    const found = asked.filter((run) => text.includes(run));
    return summarize(page, found.length ? found : terms, anchor);
  };
})();
