// Lets the controls of each widget choose among its pictures, which are all prepared.
"use strict";

(() => {
  // The pictures are numbered, and the value of each slider or button is its share of the number.
  function chosen(widget) {
    const inputs = [...widget.querySelectorAll("input")];
    const set = inputs.filter((input) => input.type === "range" || input.checked);
    return set.reduce((sum, input) => sum + Number(input.value), 0);
  }

  function addresses(widget) {
    const alts = JSON.parse(widget.dataset.alts);
    return alts.map((_, number) => `${widget.dataset.pictures}-${number}.webp`);
  }

  function show(widget, number) {
    const picture = widget.querySelector("img");
    picture.src = addresses(widget)[number];
    picture.alt = JSON.parse(widget.dataset.alts)[number];
  }

  // What a slider stands at, for those who see it and for those who listen.
  function say(slider) {
    const label = JSON.parse(slider.dataset.labels)[slider.value / slider.step];
    slider.setAttribute("aria-valuetext", label);
    slider.nextElementSibling.textContent = label;
  }

  const widgets = [...document.querySelectorAll(".widget")];
  for (const widget of widgets) {
    widget.addEventListener("input", ({ target }) => {
      if (target.type === "range") say(target);
      show(widget, chosen(widget));
    });
  }

  // Once the page itself is there, the pictures of each widget near the window are loaded ahead.
  const ahead = [];
  function load(address) {
    const picture = new Image();
    picture.fetchPriority = "low";
    picture.src = address;
    ahead.push(picture);
  }
  const near = new IntersectionObserver(
    (entries) => {
      for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
        near.unobserve(target);
        addresses(target).forEach(load);
      }
    },
    { rootMargin: "600px 0px" },
  );
  addEventListener("load", () => widgets.forEach((widget) => near.observe(widget)));
})();
