// A model that lives in the page, seen from outside: what it says comes next, what samplers leave
// of that, and the text that comes of it.

import { Alive, fill, languageOf, named, percent, rows } from "./alive.js";
import { inverseCdf, softmax } from "./distributions.js";
import { sampled, uniform } from "./samplers.js";
import { couplets, lineLengths } from "./verse.js";

const SHOWN = 10; // tokens of which each has a row
const LETTER = 9; // pixels, about
const NARROWEST = 3; // pixels, of the shares that are drawn on the line

class SamplerPage extends Alive {
  // -- what the reader does ----------------------------------------------------------------------

  listen() {
    const { tokens, names, logits, truth, written } = this.stored;
    this.names = names;
    this.isVerse = written !== undefined; // then nobody knows what is right
    this.read({ tokens, logits, truth: new Map(truth) });
    this.begun = tokens.length; // tokens that the reader has given
    const [text, begin] = [this.part("text"), this.part("begin")];
    begin.addEventListener("change", () => this.withModel(() => this.type((text.value = begin.value))));
    text.addEventListener("input", () => this.withModel(() => this.type(text.value)));
    this.onClick("load", () => this.go(this.place.tokens));
    this.onClick("one", () => this.writeOne());
    this.onClick("write", () => this.write());
    this.onClick("back", () => this.goBack(this.place.tokens.length - 1));
    this.onClick("restart", () => this.goBack(this.begun));
    this.part("samplers").addEventListener("input", () => this.show(true));
    this.part("neutral").addEventListener("click", () => this.setAll());
    this.part("seed").addEventListener("input", () => this.show(true));
    this.part("next").addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (button) this.withModel(() => this.take(button.value));
    });
  }

  type(text) {
    this.stop();
    const { tokens, unknown } = this.teller.cut(text);
    this.say(unknown === undefined ? "" : fill(this.words.unknown, { word: unknown }));
    if (!tokens) return;
    this.begun = tokens.length;
    this.go(tokens);
  }

  take(token) {
    this.stop();
    this.add(this.teller.story, token);
  }

  // One token is said as well: for those who listen, the story itself is silent.
  writeOne() {
    this.stop();
    if (this.teller.isFull) return this.say(this.words.full);
    const token = this.draw();
    if (this.add(this.teller.story, token)) this.say(fill(this.words.written, { token: named(token) }));
  }

  // Only what was written is taken back.
  goBack(length) {
    this.stop();
    this.go(this.teller.story.slice(0, Math.max(this.begun, length)));
  }

  go(tokens) {
    this.teller.read(tokens);
    const { story, logits } = this.teller;
    this.read({ tokens: story, logits, truth: this.teller.truth() });
    this.show();
    if (this.teller.isFull) this.say(this.words.full);
  }

  draw() {
    return this.names[this.place.drawn];
  }

  // -- samplers ----------------------------------------------------------------------------------

  // Where the text has come to, and what may follow.
  read({ tokens, logits, truth }) {
    const before = softmax(Array.from(logits));
    const ids = tokens.map((token) => this.names.indexOf(token));
    const order = before.map((_, id) => id).sort((a, b) => before[b] - before[a]);
    this.place = { tokens, logits, ids, truth, before, order: order.slice(0, SHOWN) };
  }

  get sliders() {
    return [...this.part("samplers").querySelectorAll("input")];
  }

  get settings() {
    return Object.fromEntries(this.sliders.map((slider) => [slider.name, valueOf(slider)]));
  }

  setAll() {
    for (const slider of this.sliders) slider.value = slider.dataset.neutral;
    this.show(true);
  }

  // -- what the reader sees ----------------------------------------------------------------------

  // What follows from a setting is said to those who listen; what the text comes to is not.
  show(isSet = false) {
    this.isMoved ||= isSet;
    this.part("left").setAttribute("aria-live", isSet ? "polite" : "off");
    for (const slider of this.sliders) showValue(slider);
    this.place.after = sampled(this.place.logits, this.place.ids, this.settings);
    this.place.u = uniform(Number(this.part("seed").value), this.place.tokens.length);
    this.place.drawn = inverseCdf(this.place.after, this.place.u);
    this.showNext();
    this.showLeft();
    this.showLine();
    this.showStory();
  }

  showNext() {
    const { order, before, after, truth, drawn } = this.place;
    const q = this.names.map((token) => truth.get(token) ?? 0);
    const each = order.map((id) => [before[id], after[id], q[id]]);
    const rest = [before, after, q].map((shares) => sum(shares.filter((_, id) => !order.includes(id))));
    // Of a poem all others are thousands, so that beside bars for them all would be short: they have none.
    const largest = Math.max(...each.flat(), ...(this.isVerse ? [] : rest));
    rows(this.part("next"), order, (row, id, i) => {
      const button = row.firstElementChild.firstElementChild;
      button.value = this.names[id];
      this.name(button, this.names[id]);
      this.showRow(row, each[i], largest, id === drawn);
    });
    this.showRow(this.part("others"), rest, largest, !order.includes(drawn));
    this.part("others").firstElementChild.textContent = fill(this.words.others, { count: before.length - order.length });
  }

  showRow(row, shares, largest, isDrawn) {
    const [, bars, model, after, grammar] = row.children; // no grammar where nobody knows
    const [p, left, q] = shares;
    shares.forEach((share, i) => bars.children[i].style.setProperty("--share", share / largest));
    row.classList.toggle("cut", left === 0);
    row.classList.toggle("never", q === 0 && this.place.truth.size > 0);
    bars.lastElementChild.hidden = q === 0;
    row.classList.toggle("drawn", isDrawn);
    model.textContent = percent(p);
    after.textContent = left === 0 ? this.words.cut : percent(left);
    if (grammar) grammar.textContent = this.place.truth.size ? percent(q) : "–";
  }

  // How many tokens are left, how much of what is right is among them, and how much of what is not.
  showLeft() {
    const { after, truth } = this.place;
    const leftTo = ([token]) => after[this.names.indexOf(token)];
    const kept = [...truth].filter((each) => leftTo(each) > 0);
    const numbers = {
      left: after.filter((share) => share > 0).length,
      all: after.length,
      right: truth.size,
      kept: kept.length,
      share: percent(sum(kept.map(([, q]) => q))),
      wrong: percent(Math.max(0, 1 - sum(kept.map(leftTo)))),
    };
    const said = [this.words.left];
    if (!this.isVerse) said.push(truth.size ? this.words.right : this.words.no_truth);
    if (this.settings.temperature === 0) said.unshift(this.words.greedy);
    this.part("left").textContent = fill(said.join("\n"), numbers);
  }

  // The line from 0 to 1 on which each token has its share, and the number that falls on it.
  showLine() {
    const { after, u, drawn } = this.place;
    const parts = [];
    const width = this.part("line").clientWidth;
    let start = 0;
    after.forEach((share, id) => {
      if (share * width >= NARROWEST || id === drawn) parts.push(part(this.fitting(id, share), start, share, id === drawn));
      start += share;
    });
    this.part("line").replaceChildren(...parts, this.part("mark"));
    this.part("mark").style.setProperty("--start", u);
    const numbers = { u: u.toFixed(3), token: named(this.names[drawn]) };
    this.part("drawn").textContent = fill(this.words.drawn, numbers);
  }

  // The name of a token, if there is room for it in its share of the line.
  fitting(id, share) {
    const name = named(this.names[id]);
    return LETTER * (name.length + 1) < share * this.part("line").clientWidth ? name : "";
  }

  showStory() {
    const tokens = [...this.place.tokens, ...this.storedEnd];
    const wrong = this.firstWrong();
    const pieces = tokens.slice(1).map((token, i) => piece(token, i + 1 === wrong ? "wrong" : i + 1 < this.begun ? "begun" : "written"));
    this.part("tokens").replaceChildren(...(this.isVerse ? couplets(pieces) : pieces));
    this.part("tokens").lang = languageOf(tokens.join(""));
    if (this.isVerse) this.part("verdict").textContent = fill(this.words.lines, { lengths: lineLengths(tokens.slice(1)).join(this.words.comma) });
    else this.showVerdict(tokens, wrong);
  }

  // How a stored poem goes on, as long as nothing was moved that would make another one of it.
  get storedEnd() {
    return this.teller || this.isMoved ? [] : this.stored.written ?? [];
  }

  showVerdict(tokens, wrong) {
    const { truth } = this.place;
    const said = wrong ? "wrong" : truth.has(this.teller?.end) ? "whole" : "possible";
    this.part("verdict").textContent = fill(this.words[said], { token: named(tokens[wrong] ?? "") });
    this.part("verdict").classList.toggle("is-wrong", wrong > 0);
  }

  // The place of the first token that no story has there, or 0. After it there is no next token,
  // so only where there is none it has to be looked for.
  firstWrong() {
    const { tokens, truth } = this.place;
    if (truth.size || this.isVerse) return 0;
    return tokens.findIndex((token, i) => i > 0 && !this.teller.truth(i).has(token));
  }
}

// -- small things --------------------------------------------------------------------------------

const sum = (shares) => shares.reduce((a, b) => a + b, 0);

// A slider that stands for a list has the place in it as its value.
function valueOf(slider) {
  return JSON.parse(slider.dataset.values)[slider.value];
}

function showValue(slider) {
  const label = JSON.parse(slider.dataset.labels)[slider.value];
  slider.setAttribute("aria-valuetext", label);
  slider.nextElementSibling.textContent = label;
}

function piece(token, kind) {
  const element = document.createElement("span");
  [element.textContent, element.className] = [token, kind];
  return element;
}

function part(name, start, share, isDrawn) {
  const element = piece(name, isDrawn ? "drawn" : "");
  element.style.setProperty("--start", start);
  element.style.setProperty("--share", share);
  return element;
}

for (const root of document.querySelectorAll('.live[data-kind="sampler"]')) new SamplerPage(root);
