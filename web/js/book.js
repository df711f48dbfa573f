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

function setUpDrawer() {
  const button = document.querySelector(".menu");
  const drawer = document.getElementById("contents");
  const set = (open) => {
    button.setAttribute("aria-expanded", String(open));
    root.classList.toggle("drawer-open", open);
    if (open) drawer.querySelector("a")?.focus();
  };
  button.addEventListener("click", () => set(button.getAttribute("aria-expanded") !== "true"));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && root.classList.contains("drawer-open")) {
      set(false);
      button.focus();
    }
  });
  document.querySelector(".frame").addEventListener("click", (event) => {
    if (root.classList.contains("drawer-open") && !drawer.contains(event.target)) set(false);
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

// Marks the section being read in the list "On this page". What is not laid out is far from the
// window, and measuring it would lay it out.
function setUpPlace() {
  if (!matchMedia("(min-width: 84rem)").matches) return; // the list is not shown
  const near = (section) => section.checkVisibility?.({ contentVisibilityAuto: true }) ?? true;
  const links = new Map();
  for (const link of document.querySelectorAll(".on-this-page.wide a")) {
    const target = document.getElementById(decodeURIComponent(link.hash.slice(1)));
    if (target) links.set(target, link);
  }
  let current;
  const observer = new IntersectionObserver(
    () => {
      const passed = [...links.keys()].filter((s) => near(s) && s.getBoundingClientRect().top < innerHeight / 3);
      const link = links.get(passed.at(-1));
      if (link === current) return;
      current?.removeAttribute("aria-current");
      link?.setAttribute("aria-current", "location");
      current = link;
    },
    { rootMargin: "0px 0px -66% 0px", threshold: [0, 1] },
  );
  for (const section of links.keys()) {
    observer.observe(section.querySelector("h1, h2, h3") ?? section);
  }
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
fillSearchField();
openTarget();
addEventListener("hashchange", openTarget);
