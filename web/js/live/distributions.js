// Probabilities of tokens, and which token a random number draws.

export function softmax(scores) {
  const largest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

// The token in whose share of the line from 0 to 1 a number lies.
export function inverseCdf(shares, u) {
  const place = u * shares.reduce((a, b) => a + b, 0);
  let end = 0;
  const id = shares.findIndex((share) => (end += share) > place);
  return id < 0 ? shares.findLastIndex((share) => share > 0) : id;
}
