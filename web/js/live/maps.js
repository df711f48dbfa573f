// Pictures of numbers: attention maps, small ones to choose from and a large one with its tokens,
// and the vectors of the residual stream.

// The page's style turns these round where the ground is dark.
const [BLUE, OCHRE] = [[28, 93, 143], [125, 83, 0]];
const CELL = { least: 16, most: 30 };
const LETTER = 7; // pixels, about
const SVG = "http://www.w3.org/2000/svg";

// Draws a map one pixel a weight; the page's style makes it as large as it should be.
export function drawSmall(canvas, rows) {
  canvas.width = canvas.height = rows.length;
  const picture = new ImageData(rows.length, rows.length);
  rows.forEach((row, query) => {
    row.forEach((weight, key) => picture.data.set([...BLUE, 255 * weight], 4 * (query * rows.length + key)));
  });
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

// Draws a vector one pixel a number: blue above 0, ochre below, the largest one strongest.
export function drawVector(canvas, vector) {
  [canvas.width, canvas.height] = [vector.length, 1];
  const picture = new ImageData(vector.length, 1);
  const largest = Math.max(...vector.map(Math.abs));
  vector.forEach((value, i) => picture.data.set([...(value > 0 ? BLUE : OCHRE), (255 * Math.abs(value)) / largest], 4 * i));
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

// Draws as much of a map as can be read in a box: as many tokens as fit, the chosen one among
// them. What goes to earlier ones is summed up in a first column.
export function drawLarge(box, rows, names, at) {
  if (!box.clientWidth) return; // nobody sees it
  const label = roomFor(names);
  const room = box.clientWidth - label - 2;
  const { start, end } = shown(names.length, at, Math.floor(room / CELL.least));
  const columns = end - start + (start ? 1 : 0);
  const cell = Math.min(CELL.most, Math.floor(room / columns));
  const headings = [...(start ? ["…"] : []), ...names.slice(start, end)];
  const top = roomFor(headings);
  const svg = make("svg", { width: label + cell * columns + 1, height: top + cell * (end - start) + 1 });
  headings.forEach((name, i) => svg.append(above(name, label + cell * (i + 0.5), top)));
  for (let query = start; query < end; query++) {
    const row = inWindow(rows[query], start);
    const y = top + cell * (query - start);
    svg.append(beside(names[query], label, y + cell / 2, query === at));
    row.forEach((weight, i) => svg.append(square(label + cell * i, y, cell, weight)));
    if (query === at) svg.append(frame(label, y, cell, row.length));
  }
  box.replaceChildren(svg);
}

// From where to where tokens are shown where so many columns fit; one of them holds the sums.
function shown(length, at, fit) {
  if (at < fit) return { start: 0, end: Math.min(length, fit) };
  return { start: at + 2 - fit, end: at + 1 };
}

// Pixels that the longest name takes; a Chinese character is as wide as two letters.
const roomFor = (names) =>
  12 + LETTER * Math.max(...names.map((name) => name.replace(/[^\x00-\xff]/g, "xx").length));

const inWindow = (row, start) =>
  start ? [row.slice(0, start).reduce((a, b) => a + b, 0), ...row.slice(start)] : [...row];

const square = (x, y, size, weight) =>
  make("rect", { class: "weight", x: x + 0.5, y: y + 0.5, width: size - 1, height: size - 1, "fill-opacity": weight.toFixed(3) });

const frame = (x, y, size, columns) =>
  make("rect", { class: "chosen-row", x, y, width: size * columns, height: size });

function beside(name, x, y, chosen) {
  const label = make("text", { x: x - 6, y, "text-anchor": "end", "dominant-baseline": "central", class: chosen ? "chosen-name" : "" });
  label.textContent = name;
  return label;
}

// A single letter stands upright.
function above(name, x, y) {
  const turned = name.length > 1 ? { transform: `translate(${x} ${y - 6}) rotate(-90)` } : { x, y: y - 10, "text-anchor": "middle" };
  const label = make("text", { ...turned, "dominant-baseline": "central" });
  label.textContent = name;
  return label;
}

function make(kind, attributes) {
  const node = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}
