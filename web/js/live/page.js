// A model that lives in the page, seen from inside: its tokens, what comes next, its layers and
// its attention.

import { Alive, fill, named, percent, rows } from "./alive.js";
import { drawLarge, drawSmall, drawVector } from "./maps.js";

const LISTED = 3; // tokens that the sentence about a head names at most
const SMALL = 0.01;

class LivePage extends Alive {
  // -- what the reader does ----------------------------------------------------------------------

  listen() {
    this.answer = this.stored;
    const [text, begin] = [this.part("text"), this.part("begin")];
    begin.addEventListener("change", () => this.withModel(() => this.type(begin.value)));
    text.addEventListener("input", () => this.withModel(() => this.type(text.value)));
    this.onClick("load", () => this.go(this.answer.tokens));
    this.onClick("write", () => this.write());
    this.onClick("back", () => this.goBack());
    this.part("tokens").addEventListener("change", ({ target }) => this.withModel(() => this.show(Number(target.value))));
    this.part("heads").addEventListener("change", () => this.showHead());
    this.part("next").addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (button) this.withModel(() => this.take(button.value));
    });
    new ResizeObserver(() => this.showHead()).observe(this.part("map"));
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

  draw() {
    return this.teller.draw();
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
    this.part("expected").textContent = fill(said, { token: named(this.chosen), ...numbers });
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
    const taken = [...maps[at]].map((weight, i) => [weight, named(tokens[i])]);
    drawLarge(this.part("map"), maps, tokens.map(named), at);
    this.part("tokens").querySelectorAll("label").forEach((label, i) => label.style.setProperty("--share", taken[i]?.[0] ?? 0));
    const most = taken.filter(([weight]) => weight >= SMALL).sort(([one], [other]) => other - one);
    const list = most.slice(0, LISTED).map(([weight, name]) => fill(this.words.share, { token: name, share: percent(weight) }));
    const place = { block: block + 1, head: head + 1, token: named(this.chosen) };
    this.part("taken").textContent = fill(this.words.taken, { ...place, list: list.join(this.words.comma) });
  }
}

for (const root of document.querySelectorAll('.live[data-kind="inside"]')) new LivePage(root);
