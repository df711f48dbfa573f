// A model that lives in the page. First a stored answer is shown. What is asked of it after that
// needs the model itself, which is loaded then, once; from there on no network is needed.

import { drawLarge, drawSmall, drawVector } from "./maps.js";
import { isChinese } from "./words.js";

const PAUSE = 90; // milliseconds between two tokens while it writes
const LISTED = 3; // tokens that the sentence about a head names at most
const SMALL = 0.01;

class LivePage {
  constructor(root) {
    this.root = root;
    this.words = JSON.parse(root.dataset.words);
    this.part = (name) => root.querySelector(`[data-part="${name}"]`);
    this.answer = JSON.parse(this.part("stored").textContent);
    this.teller = null;
    this.timer = null; // while it writes
    this.listen();
    this.show();
  }

  // -- what the reader does ----------------------------------------------------------------------

  listen() {
    const [text, begin] = [this.part("text"), this.part("begin")];
    this.part("story").addEventListener("submit", (event) => event.preventDefault());
    this.part("load").addEventListener("click", () => this.withModel(() => this.go(this.answer.tokens)));
    begin.addEventListener("change", () => this.withModel(() => this.type(begin.value)));
    text.addEventListener("input", () => this.withModel(() => this.type(text.value)));
    this.part("write").addEventListener("click", () => this.withModel(() => this.write()));
    this.part("back").addEventListener("click", () => this.withModel(() => this.goBack()));
    this.part("tokens").addEventListener("change", ({ target }) => this.withModel(() => this.show(Number(target.value))));
    this.part("heads").addEventListener("change", () => this.showHead());
    this.part("next").addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (button) this.withModel(() => this.take(button.value));
    });
    new ResizeObserver(() => this.showHead()).observe(this.part("map"));
  }

  // Does something that needs the model, which is loaded first if it is not there yet.
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
    this.teller.read(this.answer.tokens);
    if (document.activeElement === this.part("load")) this.part("write").focus();
    this.part("load").hidden = true;
    this.root.dataset.state = "alive";
    this.say(this.words.alive);
  }

  // Reads what was typed, as far as the model knows its words.
  type(text) {
    this.stop();
    const { tokens, unknown } = this.teller.cut(text);
    this.say(unknown === undefined ? "" : fill(this.words.unknown, { word: unknown }));
    if (tokens) this.go(tokens, text);
  }

  // Puts a token after the chosen one; what stood there before is left out.
  take(token) {
    this.stop();
    this.add(this.answer.tokens.slice(0, this.answer.at + 1), token);
  }

  // Goes on with a token; the end of the story is said, and not written.
  add(tokens, token) {
    const ends = token === this.teller.end;
    if (ends) this.say(this.words.ended);
    else this.go([...tokens, token]);
    return !ends;
  }

  goBack() {
    this.stop();
    this.go(this.answer.tokens.slice(0, -1));
  }

  go(tokens, text = null) {
    this.teller.read(tokens.length ? tokens : [this.teller.begin]);
    this.show(this.teller.story.length - 1);
    const field = this.part("text");
    field.value = text ?? this.teller.story.slice(1).join("");
    if (text === null) field.scrollLeft = field.scrollWidth;
    if (this.teller.isFull) this.say(this.words.full);
  }

  // Writes on until the story ends, there is no more room, or somebody stops it.
  write() {
    if (this.timer) return this.stop();
    this.say("");
    this.part("write").textContent = this.words.stop;
    const step = () => {
      const goesOn = !this.teller.isFull && this.add(this.teller.story, this.teller.draw());
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

  // -- what the reader sees ----------------------------------------------------------------------

  show(at = this.answer.at) {
    if (this.teller) this.answer = this.teller.answer(at);
    this.showTokens();
    this.showNext();
    this.showLayers();
    this.drawHeads();
    this.showHead();
  }

  get chosen() {
    return this.answer.tokens[this.answer.at];
  }

  showTokens() {
    const { tokens, at } = this.answer;
    rows(this.part("tokens"), tokens, (row, token, i) => {
      const [input, name] = row.firstElementChild.children;
      Object.assign(input, { value: i, checked: i === at });
      this.name(name, token);
    });
  }

  showNext() {
    const { next, loss, floor } = this.answer;
    const largest = Math.max(...next.flatMap(([, p, q]) => [p, q]));
    rows(this.part("next"), next, (row, [token, p, q]) => {
      const [name, bars, model, grammar] = row.children;
      name.firstElementChild.value = token;
      this.name(name.firstElementChild, token);
      bars.firstElementChild.style.setProperty("--share", p / largest);
      bars.lastElementChild.style.setProperty("--share", q / largest);
      model.textContent = percent(p);
      grammar.textContent = floor === null ? "–" : percent(q);
    });
    const said = floor === null ? this.words.no_truth : this.words.expected;
    const numbers = { loss: loss?.toFixed(3), floor: floor?.toFixed(3) };
    this.part("expected").textContent = fill(said, { token: this.named(this.chosen), ...numbers });
  }

  showLayers() {
    rows(this.part("layers"), this.answer.layers, (row, [token, p, above, vector], layer) => {
      const [name, says, nats, stream, length] = row.children;
      name.textContent = layer ? fill(this.words.block, { block: layer }) : this.words.embedding;
      this.name(says.firstElementChild, token);
      says.lastElementChild.textContent = percent(p, 0);
      nats.textContent = above === null ? "–" : above.toFixed(2);
      drawVector(stream.firstElementChild, vector);
      length.textContent = Math.hypot(...vector).toFixed(1);
    });
  }

  drawHeads() {
    const heads = this.answer.attention.flat();
    this.part("heads").querySelectorAll("canvas").forEach((canvas, i) => drawSmall(canvas, heads[i]));
  }

  // The head that is chosen: its map, the marks below the tokens, and a sentence about the token.
  showHead() {
    const { tokens, at, attention } = this.answer;
    const [block, head] = this.part("heads").querySelector(":checked").value.split(" ").map(Number);
    const maps = attention[block][head];
    const taken = [...maps[at]].map((weight, i) => [weight, this.named(tokens[i])]);
    drawLarge(this.part("map"), maps, tokens.map((token) => this.named(token)), at);
    this.part("tokens").querySelectorAll("label").forEach((label, i) => label.style.setProperty("--share", taken[i]?.[0] ?? 0));
    const most = taken.filter(([weight]) => weight >= SMALL).sort(([one], [other]) => other - one);
    const list = most.slice(0, LISTED).map(([weight, name]) => fill(this.words.share, { token: name, share: percent(weight) }));
    const place = { block: block + 1, head: head + 1, token: this.named(this.chosen) };
    this.part("taken").textContent = fill(this.words.taken, { ...place, list: list.join(this.words.comma) });
  }

  // Writes a token into an element: a sign stands for the blank that it begins with.
  name(element, token) {
    element.textContent = this.named(token);
    element.classList.toggle("after-blank", token.startsWith(" "));
    element.lang = isChinese(token) ? "zh-CN" : "en";
  }

  named(token) {
    return token.trim() || "␣";
  }
}

// -- small things --------------------------------------------------------------------------------

const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}%`;

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

// Gives a list as many rows as there are items, each a copy of its first, and fills them. Rows that
// are there stay, so that whoever stands on one of them does not lose the place.
function rows(list, items, fillRow) {
  while (list.children.length > items.length && list.children.length > 1) list.lastElementChild.remove();
  while (list.children.length < items.length) list.append(list.firstElementChild.cloneNode(true));
  items.forEach((item, i) => fillRow(list.children[i], item, i));
}

for (const root of document.querySelectorAll(".live")) new LivePage(root);
