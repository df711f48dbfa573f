// What the tests ask of a page. It is there before the page itself, so that nothing is missed.
"use strict";

window.questions = (() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const seen = (node) => node.offsetParent !== null;
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const painted = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  // After the next frame has been laid out and painted. (A browser that is starved may paint no
  // more: then go on after two seconds, instead of waiting for ever.)
  const frame = () => Promise.race([painted(), pause(2000)]);

  // Layout shifts count from the first moment, those after a key or a click left out. On a slow
  // machine a part of the page can be painted before its letters are there, with others in their
  // place; what that moves is known apart, for it depends on the machine.
  const shifts = [];
  let laidOut = false; // asked here, for the browser's own entry on the first paint comes late
  const late = []; // when each face came in whose place others had stood
  frame().then(() => (laidOut = true));
  document.fonts.addEventListener("loading", () => {
    const came = () => laidOut && late.push(performance.now());
    for (const face of document.fonts) if (face.status === "loading") face.loaded.then(came, () => {});
  });
  const byLetters = ({ time }) => late.some((came) => Math.abs(time - came) < 250);
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (!entry.hadRecentInput) {
        const names = entry.sources.map((source) => source.node?.className || source.node?.nodeName).join();
        shifts.push({ value: entry.value, names, time: entry.startTime });
      }
    }
  }).observe({ type: "layout-shift", buffered: true });

  // The page is drawn with all letters that it waits for, those of one family left out, which is
  // called as in the names of its files.
  async function drawn(late = null) {
    await frame();
    const isLate = (face) => face.family.replaceAll(" ", "-").toLowerCase() === late?.toLowerCase();
    const faces = [...document.fonts].filter((face) => face.status === "loading" && !isLate(face));
    await Promise.allSettled(faces.map((face) => face.loaded));
    await frame();
  }

  // Scrolls to the end as the space bar does.
  async function readThrough() {
    for (let y = 0; y < document.documentElement.scrollHeight; y += innerHeight * 0.875) {
      scrollTo({ top: y, behavior: "instant" });
      await frame();
    }
  }

  const widgetHeights = () => all(".widget").map((widget) => widget.offsetHeight);
  // The page itself, and whatever it has asked for since, with the bytes that came.
  const bytes = () =>
    [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
      .map((entry) => [entry.name, entry.transferSize]);

  function onArrival() {
    const pictures = all(".widget img").filter((picture) => picture.getBoundingClientRect().height > 0);
    const controls = all(".widget").map((widget) => [...widget.querySelectorAll(".choice")].filter(seen).length);
    return { bytes: bytes(), widgets: widgetHeights(), pictures: pictures.length, controls };
  }

  // What a reader sees, code and the hidden half of the math left out.
  function text() {
    const copy = document.querySelector("main").cloneNode(true);
    copy.querySelectorAll("script, pre, code, .api dt, .katex-mathml").forEach((node) => node.remove());
    return copy.textContent;
  }

  // What a reader sees of the interface: buttons, menus, labels; code and pictures are English.
  function interfaceText() {
    const copy = document.body.cloneNode(true);
    const mixed = "article, .contents li, script, style, .brand, [lang=en], .language, .bottom";
    copy.querySelectorAll(mixed).forEach((node) => node.remove());
    const labels = ["aria-label", "placeholder", "title"].flatMap((name) =>
      [...copy.querySelectorAll(`[${name}]`)].map((node) => node.getAttribute(name)));
    const own = ".admonition-title, .caption-number, summary, .copy, .eqno, figcaption, h2, h3";
    const parts = all(`article :is(${own})`).map((node) => {
      const part = node.cloneNode(true);
      part.querySelectorAll(".katex, code, [lang=en], pre").forEach((inner) => inner.remove());
      // A Chinese caption says in brackets of its own which English words stand in the picture.
      return part.textContent.replace(/（[A-Za-z][^（）]*）/g, "");
    });
    return [copy.textContent, ...labels, ...parts].join("\n");
  }

  const pictures = () =>
    [...document.images].map((p) => ({
      markup: p.outerHTML.slice(0, 300),
      missing: ["alt", "width", "height"].filter((name) => !p.hasAttribute(name)),
      natural: p.naturalWidth / p.naturalHeight,
      shown: seen(p) ? p.width / p.height : null,
    }));

  // How many characters the lines of long plain paragraphs have.
  const lineLengths = () =>
    all("article > section p").flatMap((paragraph) => {
      const lines = paragraph.clientHeight / parseFloat(getComputedStyle(paragraph).lineHeight);
      const plain = !paragraph.querySelector(".math, code") && !paragraph.closest(".admonition");
      return plain && lines > 3.5 ? [paragraph.textContent.length / (lines - 0.5)] : [];
    });

  // The names and values that sliders have for those who listen, and what stands beside them.
  const sliders = () =>
    all(".widget").map((widget) => {
      const handles = [...widget.querySelectorAll('[type="range"]')];
      const beside = (part) => handles.map((handle) => handle.parentElement.querySelector(part).textContent);
      const named = handles.map((handle) => handle.labels[0]?.textContent);
      const said = handles.map((handle) => handle.getAttribute("aria-valuetext"));
      return [[named, beside("label")], [said, beside(".chosen")]];
    });

  function atTheEnd() {
    return {
      shifts: shifts.map((each) => ({ ...each, byLetters: byLetters(each) })),
      widgets: widgetHeights(),
      loaded: bytes().map(([name]) => name),
      text: text(),
      interface: interfaceText(),
      formulas: all("span.math .katex").length,
      broken_formulas: all(".katex-error").length,
      numbers: all(".numbered .eqno").map((number) => number.textContent),
      pictures: pictures(),
      lines: lineLengths(),
      sliders: sliders(),
      widget_scripts: all("script[src*='widgets']").length,
    };
  }

  // How high the browser takes boxes to be before it lays them out, and how high they are.
  function rooms() {
    all(".laid-out").forEach((section) => section.classList.remove("laid-out"));
    const boxes = all(".cell_input, .cell_output, .math-body")
      .filter((box) => getComputedStyle(box).contentVisibility === "auto" && seen(box));
    const expected = boxes.map((box) => getComputedStyle(box).containIntrinsicBlockSize);
    boxes.forEach((box) => (box.style.contentVisibility = "visible"));
    const found = boxes.map((box, i) => {
      const { paddingTop, paddingBottom } = getComputedStyle(box);
      const high = box.clientHeight - parseFloat(paddingTop) - parseFloat(paddingBottom);
      return [parseFloat(expected[i].replace("auto ", "")), high, box.textContent.slice(0, 60)];
    });
    boxes.forEach((box) => (box.style.contentVisibility = ""));
    return found;
  }

  const unfold = () => all("details").forEach((box) => (box.open = true));

  // How wide the page is, and what of its cards lies outside.
  function width() {
    const parts = all("table.cards td > *");
    const outside = parts.filter((part) => part.getBoundingClientRect().right > innerWidth + 1);
    return { page: document.documentElement.scrollWidth, outside: outside.length };
  }

  const colours = () => {
    const { backgroundColor, color } = getComputedStyle(document.body);
    return [backgroundColor, color];
  };

  function light(colour) {
    const parts = colour.match(/[\d.]+/g).slice(0, 3).map((part) => part / 255);
    const linear = parts.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  }

  function contrast(selector) {
    const paper = light(colours()[0]);
    const ink = light(getComputedStyle(document.querySelector(selector)).color);
    return (Math.max(paper, ink) + 0.05) / (Math.min(paper, ink) + 0.05);
  }

  // The grounds that a text stands on, as the style sheets give them.
  function groundsOf(known) {
    return function grounds(node) {
      if (!node) return "";
      if (!known.has(node)) {
        const { backgroundColor, backgroundImage, opacity } = getComputedStyle(node);
        known.set(node, [backgroundColor, backgroundImage, opacity, grounds(node.parentElement)].join());
      }
      return known.get(node);
    };
  }

  function shown(node) {
    const box = node.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && node.checkVisibility() && !node.closest(".katex-mathml");
  }

  // A text of each look in the article: of each colour, size, weight and ground.
  function oneOfEachLook() {
    const grounds = groundsOf(new Map());
    const hasText = (node) => [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim());
    const looks = new Map();
    for (const node of all("article *").filter(hasText)) {
      const { color, fontSize, fontWeight, textDecorationLine } = getComputedStyle(node);
      const look = [node.tagName, color, fontSize, fontWeight, textDecorationLine, grounds(node)].join();
      if (!looks.has(look) && shown(node)) looks.set(look, node);
    }
    return looks.values();
  }

  // Leaves nothing else in the article than one text of each look that it has in any of the themes.
  function keepOneOfEachLook(themes) {
    const kept = new Set();
    for (const theme of themes) {
      document.documentElement.dataset.theme = theme;
      for (let node of oneOfEachLook()) for (; node && !kept.has(node); node = node.parentElement) kept.add(node);
    }
    all("article *").filter((node) => !kept.has(node)).forEach((node) => node.remove());
  }

  // What a control's widget shows now, and says of it; and what the control stands at.
  function control(input) {
    const widget = input.closest(".widget");
    const picture = widget.querySelector("img");
    const set = [...widget.querySelectorAll("input")].filter((each) => each.type === "range" || each.checked);
    return {
      called: `${input.parentElement.textContent} ${input.name}`,
      picture: picture.src,
      drawn: picture.complete && picture.naturalWidth > 0,
      alt: picture.alt,
      chosen: set.map((each) => each.value).join(),
      said: set.map((each) => each.getAttribute("aria-valuetext") ?? each.value).join(),
    };
  }

  function moved([input, before]) {
    const now = control(input);
    return now.drawn && ["picture", "alt", "chosen", "said"].every((part) => now[part] !== before[part]);
  }

  // Where the parts of formulas stand above the first section.
  const lead = () =>
    all("article > section > p .katex-base").map((part) => Math.round(part.getBoundingClientRect().top));

  return { drawn, readThrough, onArrival, atTheEnd, rooms, unfold, width, colours, contrast, keepOneOfEachLook, control, moved, lead };
})();
