// The form of a poem: marks end its lines, and with some of them a couplet ends.

const LINE = /[，。？！；]/;
const COUPLET = /[。？！]/;

// How many characters each line has; the last one may have only begun.
export function lineLengths(tokens) {
  const lengths = [0];
  for (const token of tokens) {
    if (LINE.test(token)) lengths.push(0);
    else lengths[lengths.length - 1] += 1;
  }
  return lengths.filter((length) => length > 0);
}

// The elements of a poem's tokens, with a new line after each couplet.
export const couplets = (pieces) =>
  pieces.flatMap((piece, i) => (COUPLET.test(piece.textContent) && i < pieces.length - 1 ? [piece, "\n"] : [piece]));
