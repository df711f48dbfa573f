// Starts the deck. Each slide is fitted to its frame once, before reveal.js takes over.
"use strict";
(() => {
  const WIDTH = 1280;
  const HEIGHT = 720;
  const SMALLEST = 0.62; // of the full size of text: below this a slide must be cut in two
  const html = document.documentElement;

  const tooWide = (element) =>
    element.clientWidth && element.scrollWidth > element.clientWidth + 2 && getComputedStyle(element).display !== "inline";

  // Tells whether a part of a slide stands above or below the room between headline and last line.
  function overflows(section) {
    const body = section.querySelector(".body");
    const room = body.getBoundingClientRect();
    const parts = [...body.children].map((part) => part.getBoundingClientRect());
    const outside = parts.some((part) => part.top < room.top - 1 || part.bottom > room.bottom + 1);
    return outside || [...body.querySelectorAll("*:not(.katex *)")].some(tooWide);
  }

  // Makes the text of a slide smaller until all of it is seen.
  function fit(section) {
    let scale = 1;
    while (overflows(section) && scale > SMALLEST) {
      scale -= 0.02;
      section.style.setProperty("--fit", scale.toFixed(2));
    }
  }

  // Puts a picture that is about as high as wide beside the points of its slide.
  function placePicture(section) {
    const picture = section.querySelector(".picture img");
    const side = (name) => Number(picture.getAttribute(name));
    const beside = picture && section.querySelector(".points") && side("width") < 1.4 * side("height");
    section.querySelector(".body").classList.toggle("beside", Boolean(beside));
  }

  function fitAll() {
    document.querySelectorAll(".slides > section").forEach(placePicture);
    html.classList.add("measuring");
    document.querySelectorAll(".slides > section").forEach(fit);
    html.classList.remove("measuring");
  }

  function switchTheme() {
    html.dataset.theme = html.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("theme", html.dataset.theme);
    } catch {
      // Without storage the choice lasts as long as the deck is open.
    }
  }

  async function start() {
    await document.fonts.ready;
    fitAll();
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    window.Reveal.initialize({
      width: WIDTH,
      height: HEIGHT,
      margin: 0,
      maxScale: 4,
      center: false,
      display: "flex",
      hash: true,
      slideNumber: "c/t",
      transition: still ? "none" : "fade",
      transitionSpeed: "fast",
      backgroundTransition: "none",
      autoAnimate: false,
      pdfSeparateFragments: false,
      pdfMaxPagesPerSlide: 1,
      plugins: [window.RevealNotes],
      keyboard: { 84: switchTheme }, // T
    });
    document.querySelector("button.theme").addEventListener("click", switchTheme);
  }

  start();
})();
