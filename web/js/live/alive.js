// What the parts of a page in which a model lives have in common. First a stored answer is shown.
// What is asked of the model after that needs the model itself, which is loaded then, once; from
// there on no network is needed.

import { isChinese } from "./words.js";

const PAUSE = 90; // milliseconds between two tokens while it writes

export class Alive {
  constructor(root) {
    this.root = root;
    this.words = JSON.parse(root.dataset.words);
    this.part = (name) => root.querySelector(`[data-part="${name}"]`);
    this.stored = JSON.parse(this.part("stored").textContent);
    this.teller = null;
    this.timer = null; // while it writes
    this.part("story").addEventListener("submit", (event) => event.preventDefault());
    this.listen();
    this.show();
  }

  // What a click on a part does; what needs the model loads it first.
  onClick(name, act) {
    this.part(name).addEventListener("click", () => this.withModel(act));
  }

  async withModel(act) {
    try {
      this.loading ??= this.load();
      await this.loading;
    } catch {
      this.loading = null;
      this.show();
      return this.say(this.words.failed);
    }
    act();
  }

  async load() {
    this.say(this.words.loading);
    const { load } = await import("./storyteller.js");
    this.teller = await load(this.root.dataset.model, this.root.dataset.weights);
    this.teller.read(this.stored.tokens);
    if (document.activeElement === this.part("load")) this.part("write").focus();
    this.part("load").hidden = true;
    this.root.dataset.state = "alive";
    this.say(this.words.alive);
  }

  // Goes on with a token; the end of the story is said, and not written.
  add(tokens, token) {
    const ends = token === this.teller.end;
    if (ends) this.say(this.words.ended);
    else this.go([...tokens, token]);
    return !ends;
  }

  // Writes on until the story ends, there is no more room, or somebody stops it.
  write() {
    if (this.timer) return this.stop();
    this.say("");
    this.part("write").textContent = this.words.stop;
    const step = () => {
      const goesOn = !this.teller.isFull && this.add(this.teller.story, this.draw());
      if (goesOn) this.timer = setTimeout(step, PAUSE);
      else this.rest();
    };
    step();
  }

  stop() {
    this.say("");
    this.rest();
  }

  rest() {
    clearTimeout(this.timer);
    this.timer = null;
    this.part("write").textContent = this.words.write;
  }

  say(message) {
    this.part("status").textContent = message;
  }

  // Writes a token into an element: a sign stands for the blank that it begins with.
  name(element, token) {
    element.textContent = named(token);
    element.classList.toggle("after-blank", token.startsWith(" "));
    element.lang = languageOf(token);
  }
}

// -- small things --------------------------------------------------------------------------------

export const named = (token) => token.trim() || "␣";

export const languageOf = (text) => (isChinese(text) ? "zh-CN" : "en");

export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}%`;

export const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

// Gives a list as many rows as there are items, each a copy of its first, and fills them. Rows that
// are there stay, so that whoever stands on one of them does not lose the place.
export function rows(list, items, fillRow) {
  while (list.children.length > items.length && list.children.length > 1) list.lastElementChild.remove();
  while (list.children.length < items.length) list.append(list.firstElementChild.cloneNode(true));
  items.forEach((item, i) => fillRow(list.children[i], item, i));
}
