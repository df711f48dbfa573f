// The true distribution over the next token: the rules of Tiny World (companion/tinyworld) once
// more. Each sentence can be read in one way only. So the sentences that are whole settle what has
// happened, and the tokens of the one that has begun are compared with all that may stand there.

import { cut, isChinese } from "./words.js";

const LAST = /[.。]/;
const MANY = 500;
const BEGIN = { hero: null, thing: null, friend: null, mood: 0, last: "", events: 0, ended: false };

const sum = (values) => values.reduce((a, b) => a + b, 0);

export class Grammar {
  constructor(rules, end) {
    this.rules = rules;
    this.end = end; // the token after a story
    this.tokens = new Map(); // of each sentence that was cut so far
    this.possible = new Map(); // after each state that was met so far: the sentences
    this.begin = [0, 1].map((language) => ({ ...BEGIN, language }));
  }

  // Returns a Map from each token that may follow to its probability. It is empty where these
  // rules write no such beginning.
  next(tokens) {
    if (tokens.length === 0) return added(this.begin.map((state) => this.after([], state)), [0.5, 0.5]);
    let [state, start] = [this.begin[Number(isChinese(tokens.join("")))], 0];
    for (const end of tokens.flatMap((token, i) => (LAST.test(token) ? [i + 1] : []))) {
      const text = tokens.slice(start, end).join("");
      state = this.sentences(state).find((sentence) => sentence.text === text)?.after;
      if (!state) return new Map();
      start = end;
    }
    return this.after(tokens.slice(start), state);
  }

  // The tokens that follow on the beginning of a sentence.
  after(begun, state) {
    if (state.ended) return new Map(begun.length ? [] : [[this.end, 1]]);
    const found = new Map();
    for (const { text, p } of this.sentences(state)) {
      const tokens = this.cut(text);
      if (begun.some((token, i) => token !== tokens[i])) continue;
      const token = tokens[begun.length];
      found.set(token, (found.get(token) ?? 0) + p);
    }
    return added([found], [1 / sum([...found.values()])]);
  }

  cut(text) {
    if (!this.tokens.has(text)) this.tokens.set(text, cut(text));
    return this.tokens.get(text);
  }

  // -- sentences, each with its probability and the state after it -------------------------------

  sentences(state) {
    if (this.possible.size > MANY) this.possible.clear();
    if (!this.possible.has(state)) this.possible.set(state, [...this.written(state)]);
    return this.possible.get(state);
  }

  *written(state) {
    const blank = state.hero ? this.rules.blank[state.language] : "";
    for (const { template, fields, p, after } of state.hero ? this.goingOn(state) : this.opening(state)) {
      const text = template[state.language].replace(/\{(\w+)\}/g, (_, name) => fields[name][state.language]);
      yield { text: blank + text, p, after };
    }
  }

  *goingOn(state) {
    const stop = this.stopsAfter(state.events);
    if (stop < 1) for (const each of this.events(state)) yield { ...each, p: each.p * (1 - stop) };
    if (stop > 0) for (const each of this.endings(state)) yield { ...each, p: each.p * stop };
  }

  *opening(state) {
    const draw = (slot) => this.rules.words[slot];
    for (const [[time, hero, place], p] of fillings(["time", "hero", "place"], draw)) {
      yield { template: this.rules.opening, fields: { time, hero, place }, p, after: { ...state, hero } };
    }
  }

  // How probable it is that a story with so many events has no more.
  stopsAfter(events) {
    const from = (least) => sum(this.rules.n_events.filter(([n]) => n >= least).map(([, p]) => p));
    return events === 0 ? 0 : 1 - from(events + 1) / from(events);
  }

  *endings(state) {
    const good = new Map(this.rules.p_good).get(state.mood);
    for (const [slot, share] of [["good", good], ["bad", 1 - good]]) {
      for (const feeling of this.rules.words[slot]) {
        const fields = { hero: state.hero, feeling };
        yield { template: this.rules.ending, fields, p: share * feeling[3], after: { ...state, ended: true } };
      }
    }
  }

  *events(state) {
    const holds = (need) => (state[need.replace("no ", "")] !== null) !== need.startsWith("no ");
    const kinds = Object.entries(this.rules.kinds)
      .filter(([name, kind]) => name !== state.last && kind.needs.every(holds));
    const total = sum(kinds.map(([, kind]) => kind.weight));
    for (const [name, kind] of kinds) {
      for (const [words, p] of fillings(kind.slots, (slot) => this.draw(slot, state.hero))) {
        const drawn = Object.fromEntries(kind.slots.map((slot, i) => [slot, words[i]]));
        const fields = { ...state, ...drawn, ...this.small(state.hero, words) };
        yield { template: kind.text, fields, p: (p * kind.weight) / total, after: happened(state, name, kind, drawn) };
      }
    }
  }

  // A friend is anybody but the hero.
  draw(slot, hero) {
    const others = this.rules.words.hero.filter((word) => word !== hero);
    const rest = ([en, zh, extra, p]) => [en, zh, extra, p / (1 - hero[3])];
    return slot === "friend" ? others.map(rest) : this.rules.words[slot];
  }

  // The pronoun, the article and the measure word of a sentence.
  small(hero, words) {
    const article = /^[aeiou]/.test(words[0]?.[0]) ? "an" : "a";
    const measure = words.at(-1)?.[2];
    return { P: this.rules.pronouns[hero[2]], a: [article, article], m: [measure, measure] };
  }
}

// The state after an event.
function happened(state, name, kind, drawn) {
  const { thing, friend } = { ...state, ...drawn };
  const now = { ...state, thing, friend, last: name, events: state.events + 1 };
  if (kind.ends) now[kind.ends] = null;
  now.mood = Math.max(-3, Math.min(3, state.mood + kind.mood));
  return now;
}

// Every way to fill slots, with its probability.
function* fillings([slot, ...others], draw) {
  if (slot === undefined) return yield [[], 1];
  for (const word of draw(slot)) {
    for (const [words, p] of fillings(others, draw)) yield [[word, ...words], word[3] * p];
  }
}

// The sum of distributions, each multiplied by its share.
function added(distributions, shares) {
  const total = new Map();
  distributions.forEach((distribution, i) => {
    for (const [token, p] of distribution) total.set(token, (total.get(token) ?? 0) + shares[i] * p);
  });
  return total;
}
