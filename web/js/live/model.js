// GPT-2's architecture in plain JavaScript, one token at a time: what companion/models/gpt.py does.
// What was computed for a token is kept. So the next one costs no more than itself (the keys and
// values are the KV cache), and the page can show every step.

import { softmax } from "./distributions.js";

const EPS = 1e-5;

// Returns the tensors of a file by their names: first all float32 (vectors, and for each row of a
// matrix its scale), then the matrices' int8. A matrix is kept as float32, row by row.
export function unpack(buffer, shapes) {
  const lengths = shapes.map(([, [rows]]) => rows);
  const floats = new Float32Array(buffer, 0, lengths.reduce((a, b) => a + b));
  const bytes = new Int8Array(buffer, floats.byteLength);
  let [f, b] = [0, 0];
  const read = ([name, [rows, columns]]) => {
    const vector = floats.subarray(f, (f += rows));
    if (columns === undefined) return [name, vector];
    return [name, scaled(bytes.subarray(b, (b += rows * columns)), vector, columns)];
  };
  return Object.fromEntries(shapes.map(read));
}

const scaled = (bytes, scales, columns) =>
  new Float32Array(bytes).map((value, i) => value * scales[Math.floor(i / columns)]);

// -- layers --------------------------------------------------------------------------------------

// W x + b, for a matrix with as many rows as there are results.
function linear(matrix, bias, x) {
  const y = new Float32Array(bias);
  for (let row = 0, at = 0; row < y.length; row++) {
    let sum = y[row];
    for (let i = 0; i < x.length; i++, at++) sum += matrix[at] * x[i];
    y[row] = sum;
  }
  return y;
}

function layerNorm(weight, bias, x) {
  const mean = x.reduce((a, b) => a + b, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  const scale = 1 / Math.sqrt(variance + EPS);
  return x.map((value, i) => (value - mean) * scale * weight[i] + bias[i]);
}

// GPT-2's approximation of GELU.
const gelu = (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

const add = (x, change) => x.map((value, i) => value + change[i]);

// -- the model -----------------------------------------------------------------------------------

export class Model {
  constructor(config, tensors) {
    this.config = config;
    this.tensors = tensors;
    this.read = []; // for each token: the residual stream, keys, values and attention of each block
    this.noBias = new Float32Array(config.vocab_size);
  }

  // Reads one more token.
  next(id) {
    const { d_model, n_layers } = this.config;
    const row = (table, i) => this.tensors[table].subarray(i * d_model, (i + 1) * d_model);
    let x = add(row("tokens.weight", id), row("positions.weight", this.read.length));
    const token = { stream: [x], keys: [], values: [], attention: [] };
    this.read.push(token);
    for (let block = 0; block < n_layers; block++) {
      x = add(x, this.attend(`blocks.${block}.attention`, block, x));
      x = add(x, this.feedForward(`blocks.${block}.feed_forward`, x));
      token.stream.push(x);
    }
  }

  // Forgets all tokens but the first ones.
  crop(length) {
    this.read.length = Math.min(length, this.read.length);
  }

  // What the residual stream says comes next, if it is at its end: logits. Halfway through the
  // blocks this is the logit lens.
  logits(x) {
    return linear(this.tensors["tokens.weight"], this.noBias, this.norm("norm", x));
  }

  // What attention adds to the stream of the last token.
  attend(name, block, x) {
    const normed = this.norm(`${name}.norm`, x);
    const [query, key, value] = ["w_q", "w_k", "w_v"].map((w) => this.map(`${name}.layer.${w}`, normed));
    const token = this.read.at(-1);
    token.keys.push(key);
    token.values.push(value);
    const mixed = new Float32Array(x.length);
    const heads = Array.from({ length: this.config.n_heads }, (_, head) => this.head(head, block, query, mixed));
    token.attention.push(heads);
    return this.map(`${name}.layer.w_o`, mixed);
  }

  // One head, which has a part of each vector: puts what it takes into `mixed`, and returns how
  // much it takes from each token so far.
  head(head, block, query, mixed) {
    const width = query.length / this.config.n_heads;
    const [start, end] = [head * width, (head + 1) * width];
    const weights = softmax(this.read.map(({ keys }) => {
      let score = 0;
      for (let i = start; i < end; i++) score += query[i] * keys[block][i];
      return score / Math.sqrt(width);
    }));
    this.read.forEach(({ values }, at) => {
      for (let i = start; i < end; i++) mixed[i] += weights[at] * values[block][i];
    });
    return weights;
  }

  feedForward(name, x) {
    const hidden = this.map(`${name}.layer.expand`, this.norm(`${name}.norm`, x)).map(gelu);
    return this.map(`${name}.layer.contract`, hidden);
  }

  map(name, x) {
    return linear(this.tensors[`${name}.weight`], this.tensors[`${name}.bias`], x);
  }

  norm(name, x) {
    return layerNorm(this.tensors[`${name}.weight`], this.tensors[`${name}.bias`], x);
  }
}
