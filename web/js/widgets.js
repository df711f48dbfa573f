// Wakes the widgets of a page when a reader comes near one of them.
"use strict";

(() => {
  const { state, manager } = document.currentScript.dataset;
  const CONTROLS = ["slider", "dropdown", "checkbox", "toggle-buttons", "radio", "select"].map((kind) => `.widget-${kind}`).join();
  const widgets = [...document.querySelectorAll(".widget")];

  function load(address) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = address;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${address} could not be loaded`));
      document.head.append(script);
    });
  }

  function placeState() {
    const script = document.createElement("script");
    script.type = "application/vnd.jupyter.widget-state+json";
    script.textContent = JSON.stringify(window.bookWidgetState);
    document.body.append(script);
    delete window.bookWidgetState;
  }

  // The manager waits for the window's load event, which has long passed.
  async function start() {
    const scripts = [load(state), load(manager)];
    await scripts[0];
    placeState();
    await scripts[1];
    if (document.readyState === "complete") dispatchEvent(new Event("load"));
  }

  // A slider's handle gets the name that stands beside it and says what its readout says.
  function nameSlider(handle) {
    const box = handle.closest(".widget-slider");
    const label = box?.querySelector(".widget-label");
    const readout = box?.querySelector(".widget-readout");
    const tell = () => handle.setAttribute("aria-valuetext", readout?.textContent.trim() ?? "");
    handle.setAttribute("aria-label", label?.textContent.trim() ?? "");
    tell();
    if (readout) new MutationObserver(tell).observe(readout, { childList: true, characterData: true, subtree: true });
  }

  function wake(widget) {
    widget.querySelectorAll('[role="slider"]').forEach(nameSlider);
    widget.querySelectorAll('.widget-readout[contenteditable="true"]').forEach((readout) => {
      readout.contentEditable = "false";
    });
    widget.classList.add("awake");
  }

  function wakeWhenDrawn(widget) {
    const live = widget.querySelector(".widget-live");
    const controls = Number(widget.style.getPropertyValue("--controls"));
    // The manager draws children one promise at a time, and on a slow machine with pauses.
    const drawn = () => live.querySelectorAll(CONTROLS).length >= controls && live.querySelector("img");
    const observer = new MutationObserver(() => {
      if (!drawn()) return;
      observer.disconnect();
      requestAnimationFrame(() => setTimeout(() => wake(widget), 0));
    });
    observer.observe(live, { childList: true, subtree: true });
  }

  // A widget in the first screen waits until somebody is there: the page itself comes first.
  const signs = ["pointermove", "pointerdown", "touchstart", "keydown", "wheel", "scroll"];
  const somebody = new Promise((resolve) => {
    signs.forEach((sign) => addEventListener(sign, resolve, { once: true, passive: true, capture: true }));
  });

  const near = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      near.disconnect();
      widgets.forEach(wakeWhenDrawn);
      somebody.then(start).catch((error) => console.error(error));
    },
    { rootMargin: "600px 0px" },
  );
  widgets.forEach((widget) => near.observe(widget));
})();
