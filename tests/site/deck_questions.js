// What the tests ask of a deck of slides.
"use strict";

window.deck = (() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const sections = () => all(".slides > section");
  const start = (part) => part.textContent.slice(0, 60);

  // What holds for the deck as a whole.
  const about = () => ({
    language: document.documentElement.lang,
    count: Reveal.getTotalSlides(),
    titles: all(".slides h1, .slides h2").map((heading) => heading.textContent.trim()),
    points: sections().map((section) => section.querySelectorAll("li:not(.notes li)").length),
    notes: all("aside.notes").map((notes) => notes.textContent.length),
  });

  async function pictures() {
    await Promise.allSettled([...document.images].map((image) => image.decode()));
    return all(".picture img").map(({ alt, naturalWidth }) => ({ alt, loaded: naturalWidth > 0 }));
  }

  // What of a slide lies outside of its frame; the drawn parts of math are clipped by their boxes.
  function outside(slide) {
    const frame = document.querySelector(".slides").getBoundingClientRect();
    const parts = [...slide.querySelectorAll("header *, .body *, footer *")];
    return parts.filter((part) => {
      const box = part.getBoundingClientRect();
      const seen = box.width && box.height && !part.closest(".katex-mathml, svg");
      const out = box.right > frame.right + 1 || box.bottom > frame.bottom + 1;
      return seen && (out || box.left < frame.left - 1 || box.top < frame.top - 1);
    }).map((part) => `${part.tagName}: ${start(part)}`);
  }

  // What stands in the middle and runs into the headline or into the line below.
  function colliding(slide) {
    const foot = slide.querySelector("footer").getBoundingClientRect().top;
    const head = slide.querySelector("header").getBoundingClientRect().bottom;
    return [...slide.querySelectorAll(".body > *, .body li, .body pre")].filter((part) => {
      const box = part.getBoundingClientRect();
      return box.height && (box.bottom > foot + 3 || box.top < head - 3);
    }).map(start);
  }

  const sizes = (slide) =>
    [...slide.querySelectorAll(".body :is(li, pre)")].map((part) => parseFloat(getComputedStyle(part).fontSize));

  const show = (number) => Reveal.slide(number, 0, 99);

  // Goes through the deck, everything on each slide revealed.
  function eachSlide() {
    all(".fragment").forEach((fragment) => fragment.classList.add("visible"));
    return sections().map((_, number) => {
      show(number);
      const slide = Reveal.getCurrentSlide();
      return { outside: outside(slide), colliding: colliding(slide), sizes: sizes(slide) };
    });
  }

  // Leaves the first slide of each look in the deck; returns its look and its number.
  function keepOneOfEachLook() {
    const looks = sections().map((section) => section.classList[0]);
    sections().filter((_, i) => looks.indexOf(looks[i]) < i).forEach((section) => section.remove());
    Reveal.sync();
    return [...new Set(looks)].map((look) => `${look}, slide ${looks.indexOf(look) + 1}`);
  }

  return { about, pictures, eachSlide, keepOneOfEachLook, show };
})();
