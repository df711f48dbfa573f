// Samplers: functions from logits to logits, as companion/generation has them. A token that must
// not be drawn gets minus infinity.

import { softmax } from "./distributions.js";

// Lowers the logits of the tokens that occurred.
function penalised(logits, past, theta) {
  const occurred = new Set(past);
  return logits.map((z, id) => (!occurred.has(id) ? z : z < 0 ? z * theta : z / theta));
}

const keep = (logits, isKept) => logits.map((z, id) => (isKept(z, id) ? z : -Infinity));

// Where several are as large as the last one kept, all of them stay.
function topK(logits, k) {
  const last = [...logits].sort((a, b) => b - a)[k - 1];
  return keep(logits, (z) => z >= last);
}

// Drops the least probable tokens as long as together they have no more than 1 - p.
function topP(logits, p) {
  const shares = softmax(logits);
  const ascending = logits.map((_, id) => id).sort((a, b) => logits[a] - logits[b]);
  let sum = 0;
  const first = ascending.findIndex((id) => (sum += shares[id]) > 1 - p);
  const kept = new Set(ascending.slice(first < 0 ? -1 : first));
  return keep(logits, (_, id) => kept.has(id));
}

function minP(logits, p) {
  const shares = softmax(logits);
  const least = p * Math.max(...shares);
  return keep(logits, (_, id) => shares[id] >= least);
}

// What is drawn from, in the order in which transformers applies its samplers. No top-k is null.
// Temperature 0 is greedy decoding: all of the probability is on the first of the largest logits.
export function sampled(logits, past, { penalty, temperature, k, p, least }) {
  const lowered = penalised(Array.from(logits), past, penalty);
  if (temperature === 0) return lowered.map((_, id) => Number(id === lowered.indexOf(Math.max(...lowered))));
  const warm = lowered.map((z) => z / temperature);
  const few = topP(k === null ? warm : topK(warm, k), p);
  return softmax(minP(few, least));
}

// The random number of a place in a text, from 0 to below 1: always the same for one seed. So a
// token that is taken back and written again is the same one, unless a sampler was moved.
export const uniform = (seed, place) => mixed(mixed(seed) + place) / 2 ** 32;

// An integer hash of 32 bits, in which each bit of x changes about half of the bits.
function mixed(x) {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}
