// The page's own behaviour: theme, contents drawer, copy buttons, scroll boxes, place in the page.
"use strict";

const root = document.documentElement;

function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // Storage is closed to us; the choice lasts as long as the page.
  }
}

function setUpThemeSwitch() {
  const button = document.querySelector(".theme-switch");
  const label = () =>
    button.setAttribute("aria-label", button.dataset[root.dataset.theme === "dark" ? "toLight" : "toDark"]);
  button.addEventListener("click", () => {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    keep("book-theme", root.dataset.theme);
    label();
  });
  label();
}

// The same page in the other language, at the same place; the choice is kept for the next visit.
function setUpLanguageSwitch() {
  for (const link of document.querySelectorAll("a.language")) {
    const address = link.getAttribute("href");
    link.addEventListener("click", () => {
      keep("book-language", link.hreflang);
      link.href = address + location.search + location.hash;
    });
  }
}

// Where the page's own contents are a drawer, following a link closes it: the text is behind it.
function setUpDrawer() {
  const drawer = document.getElementById("on-this-page");
  drawer?.addEventListener("click", (event) => {
    if (event.target.closest("a") && drawer.matches(":popover-open")) drawer.hidePopover();
  });
}

// A box that scrolls must be reachable with the keyboard; one that does not should be passed over.
function setUpScrollBoxes() {
  const end = (box) => box.classList.toggle("at-end", box.scrollLeft + box.clientWidth > box.scrollWidth - 8);
  const mark = (box) => {
    const scrolls = box.scrollWidth > box.clientWidth + 1;
    box.classList.toggle("scrolls", scrolls);
    if (scrolls) {
      box.tabIndex = 0;
    } else {
      box.removeAttribute("tabindex");
    }
    end(box);
  };
  const resized = new ResizeObserver((entries) => entries.forEach((entry) => mark(entry.target)));
  // Measuring lays out, so a box is measured only when a reader comes near it.
  const near = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        resized.observe(target);
        target.addEventListener("scroll", () => end(target), { passive: true });
      }
    },
    { rootMargin: "100% 0px" },
  );
  for (const box of document.querySelectorAll("article pre, .math-body, .scroll, .output.text_html")) near.observe(box);
}

function copyButton(block) {
  const { copy, copied } = document.body.dataset;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = copy;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(block.querySelector("pre").textContent);
    button.textContent = copied;
    setTimeout(() => (button.textContent = copy), 1500);
  });
  return button;
}

function setUpCopyButtons() {
  if (!navigator.clipboard) return;
  for (const block of document.querySelectorAll(".cell_input .highlight, article > section > .highlight-python .highlight")) {
    block.append(copyButton(block));
  }
}

// Scrolls a list, and nothing else, until a link in it can be seen.
function bringIntoView(list, link) {
  const { top, bottom } = list.getBoundingClientRect();
  const { top: above, bottom: below } = link.getBoundingClientRect();
  if (above < top + 40 || below > bottom - 40) list.scrollTop += above - (top + bottom) / 2;
}

// Marks the section being read in the list "On this page". What is not laid out is far from the
// window, and measuring it would lay it out.
function setUpPlace() {
  const list = document.getElementById("on-this-page");
  if (!list) return;
  const near = (section) => section.checkVisibility?.({ contentVisibilityAuto: true }) ?? true;
  const links = new Map();
  for (const link of list.querySelectorAll("a")) {
    const target = document.getElementById(decodeURIComponent(link.hash.slice(1)));
    if (target) links.set(target, link);
  }
  const sections = [...links.keys()];
  const atTheEnd = () => scrollY + innerHeight > root.scrollHeight - 4;
  let current;
  const mark = () => {
    const passed = sections.filter((s) => near(s) && s.getBoundingClientRect().top < innerHeight / 3);
    const link = links.get((atTheEnd() ? sections : passed).at(-1));
    if (link === current) return;
    current?.removeAttribute("aria-current");
    link?.setAttribute("aria-current", "location");
    if (link) bringIntoView(list, link);
    current = link;
  };
  const observer = new IntersectionObserver(mark, { rootMargin: "0px 0px -66% 0px", threshold: [0, 1] });
  for (const section of sections) {
    observer.observe(section.querySelector("h1, h2, h3") ?? section);
  }
  addEventListener("scrollend", mark);
}

// How high a section is can only be guessed until it is laid out. When a reader begins to move,
// all of them are, one after another between two pictures, so that the page keeps its height.
function layOutSections() {
  const sections = [...document.querySelectorAll("article > section > section")];
  const idle = window.requestIdleCallback ?? ((call) => setTimeout(call, 20));
  const next = () => {
    const section = sections.shift();
    if (!section) return;
    section.classList.add("laid-out");
    idle(next);
  };
  const begin = () => {
    for (const kind of SIGNS) removeEventListener(kind, begin);
    idle(next);
  };
  const SIGNS = ["scroll", "pointerdown", "keydown"];
  for (const kind of SIGNS) addEventListener(kind, begin, { passive: true });
}

// Follows a link into a folded box.
function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let box = target && target.closest("details"); box; box = box.parentElement.closest("details")) {
    box.open = true;
  }
}

function fillSearchField() {
  const words = new URLSearchParams(location.search).get("q");
  const field = document.querySelector(".find input");
  if (words && document.getElementById("search-results")) field.value = words;
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, textarea, select, [contenteditable]")) {
      event.preventDefault();
      field.focus();
    }
  });
}

// Pictures that have not been met yet are needed on paper too.
function loadPicturesForPrint() {
  addEventListener("beforeprint", () => {
    document.querySelectorAll('img[loading="lazy"]').forEach((picture) => (picture.loading = "eager"));
  });
}

loadPicturesForPrint();
setUpThemeSwitch();
setUpLanguageSwitch();
setUpDrawer();
setUpScrollBoxes();
setUpCopyButtons();
setUpPlace();
layOutSections();
fillSearchField();
openTarget();
addEventListener("hashchange", openTarget);
