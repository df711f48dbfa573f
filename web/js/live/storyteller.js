// A model, its tokenizer and, where its language has one, the grammar together: they read the
// beginning of a text and answer what the page shows of it.

import { inverseCdf, softmax } from "./distributions.js";
import { Grammar } from "./grammar.js";
import { Model, unpack } from "./model.js";
import { cut } from "./words.js";

const SHOWN = 8; // candidates for the next token
const NEVER = -1e9; // the logit of a token that is not written

export async function load(modelAddress, weightsAddress) {
  const answers = await Promise.all([modelAddress, weightsAddress].map((address) => fetch(address)));
  const bad = answers.find((answer) => !answer.ok);
  if (bad) throw new Error(`${bad.url}: ${bad.status}`);
  return new Storyteller(await answers[0].json(), await answers[1].arrayBuffer());
}

export class Storyteller {
  constructor({ config, tokens, begin, end, tensors, rules, unknown, unwritten = [], alike = {} }, weights) {
    this.model = new Model(config, unpack(weights, tensors));
    this.grammar = rules && new Grammar(rules, end);
    this.tokens = tokens;
    this.ids = new Map(tokens.map((token, id) => [token, id]));
    [this.begin, this.end] = [begin, end]; // the tokens before a story and after it
    this.unknown = unknown; // the token that is read for all that are not known, if there is one
    this.unwritten = unwritten.map((token) => this.ids.get(token));
    this.alike = new Map(Object.entries(alike)); // which tokens are read for others
    this.story = [];
  }

  // Returns the tokens of a text, and the words in it that the model does not know. Without a token
  // for these it cannot read the text, and there are no tokens.
  cut(text) {
    const words = cut(text.trim());
    const unknown = [...new Set(words.filter((word) => !this.ids.has(word) && !this.alike.has(word)))];
    if (unknown.length && this.unknown === undefined) return { unknown: unknown[0].trim() };
    const known = words.map((word) => (this.ids.has(word) ? word : this.alike.get(word) ?? this.unknown));
    return { tokens: [this.begin, ...known], unknown: unknown.length ? unknown.join("") : undefined };
  }

  get isFull() {
    return this.story.length >= this.model.config.max_length;
  }

  // Reads a story; what it has read of it before is kept.
  read(tokens) {
    const story = tokens.slice(0, this.model.config.max_length);
    const same = story.findIndex((token, i) => token !== this.story[i]);
    this.model.crop(same < 0 ? story.length : same);
    for (const token of story.slice(this.model.read.length)) this.model.next(this.ids.get(token));
    this.story = story;
  }

  // What the model says comes after the story.
  get logits() {
    const logits = this.model.logits(this.model.read.at(-1).stream.at(-1));
    for (const id of this.unwritten) logits[id] = NEVER;
    return logits;
  }

  // What comes after the first tokens of the story if nobody but the grammar writes: a Map, which is
  // empty where nobody knows.
  truth(length) {
    return this.grammar?.next(this.story.slice(1, length)) ?? new Map();
  }

  // Draws the next token by the model's probabilities.
  draw(random = Math.random()) {
    return this.tokens[inverseCdf(softmax(this.logits), random)];
  }

  // What there is to see at one token of the story.
  answer(at) {
    const { stream } = this.model.read[at];
    const truth = this.truth(at + 1);
    const floor = truth.size ? entropy(truth) : null;
    const p = softmax(this.model.logits(stream.at(-1)));
    return {
      tokens: this.story,
      at,
      next: this.candidates(p, truth),
      loss: truth.size ? this.loss(p, truth) : null,
      floor,
      layers: stream.map((x) => this.lens(x, truth, floor)),
      attention: this.attention(),
    };
  }

  // The tokens that the model or the grammar holds most probable: each with both probabilities.
  candidates(p, truth) {
    const both = Array.from(p, (share, id) => [this.tokens[id], share, truth.get(this.tokens[id]) ?? 0]);
    return both.sort((one, other) => other[1] + other[2] - one[1] - one[2]).slice(0, SHOWN);
  }

  // What the model would say after this layer, how sure it is, how many nats this is above the
  // floor, and the vector itself.
  lens(x, truth, floor) {
    const p = softmax(this.model.logits(x));
    const best = p.indexOf(Math.max(...p));
    const above = truth.size ? this.loss(p, truth) - floor : null;
    return [this.tokens[best], p[best], above, [...x]];
  }

  // The loss to expect here, in nats: the cross-entropy between the truth and the model.
  loss(p, truth) {
    return -sum([...truth].map(([token, q]) => q * Math.log(p[this.ids.get(token)])));
  }

  // By block, head and token: how much that token takes from itself and each token before it.
  attention() {
    const { n_layers, n_heads } = this.model.config;
    const rows = (block, head) => this.model.read.map((token) => token.attention[block][head]);
    return range(n_layers).map((block) => range(n_heads).map((head) => rows(block, head)));
  }
}

const sum = (values) => values.reduce((a, b) => a + b, 0);
const range = (length) => Array.from({ length }, (_, i) => i);
const entropy = (truth) => -sum([...truth.values()].map((q) => q * Math.log(q)));
