// Tic-tac-toe in the page. The replies of a trained player to all positions are loaded with the
// first move; `tools.models.board` writes them.

const LINES = ["012", "345", "678", "036", "147", "258", "048", "246"].map((line) => [...line]);
const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -3, ArrowDown: 3 };

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

class Board {
  constructor(root) {
    this.words = JSON.parse(root.dataset.words);
    this.address = root.dataset.replies;
    this.status = root.querySelector("[role=status]");
    this.fields = [...root.querySelectorAll("[data-field]")];
    this.fields.forEach((field, i) => {
      field.addEventListener("click", () => this.play(i));
      field.addEventListener("keydown", (event) => this.move(event, i));
    });
    for (const button of root.querySelectorAll("[data-begin]")) {
      button.addEventListener("click", () => this.begin(button.dataset.begin === "reader"));
    }
    this.clear("X");
  }

  clear(own) {
    this.own = own;
    this.stones = Array(9).fill("");
    this.busy = false;
    this.show();
  }

  async begin(reader) {
    this.clear(reader ? "X" : "O");
    if (!reader) await this.answer();
  }

  // Whose turn it is, and how the game has ended: the sign that won, "draw", or nothing.
  get turn() {
    return this.stones.filter(Boolean).length % 2 ? "O" : "X";
  }

  get end() {
    const row = LINES.find(([a, b, c]) => this.stones[a] && this.stones[a] === this.stones[b] && this.stones[a] === this.stones[c]);
    if (row) return this.stones[row[0]];
    return this.stones.every(Boolean) ? "draw" : "";
  }

  // As `tools.models.board.place`: own stones count 1, those of the other player 2, in base three.
  get place() {
    return this.stones.reduce((sum, stone, i) => sum + 3 ** i * (stone ? (stone === this.turn ? 1 : 2) : 0), 0);
  }

  async play(field) {
    if (this.busy || this.end || this.stones[field] || this.turn !== this.own) return;
    this.stones[field] = this.own;
    this.show();
    if (!this.end) await this.answer(() => (this.stones[field] = ""));
  }

  // The network's move. If it cannot be loaded, the reader's is taken back.
  async answer(undo = () => this.clear("X")) {
    const { stones } = this; // of this game: another one may begin meanwhile
    this.busy = true;
    try {
      this.loading ??= fetch(this.address).then((found) => found.json());
      const { replies } = await this.loading;
      if (stones !== this.stones) return;
      stones[Number(replies[this.place])] = this.turn;
      this.busy = false;
      this.show();
    } catch {
      this.loading = null;
      if (stones !== this.stones) return;
      undo();
      this.busy = false;
      this.show();
      this.status.textContent = this.words.failed;
    }
  }

  move(event, field) {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const sideways = Math.abs(step) === 1;
    const to = field + step;
    if (this.fields[to] && (!sideways || Math.floor(to / 3) === Math.floor(field / 3))) this.fields[to].focus();
  }

  show() {
    this.fields.forEach((field, i) => {
      const stone = this.stones[i];
      field.textContent = stone;
      const values = { row: Math.floor(i / 3) + 1, column: (i % 3) + 1, stone: stone || this.words.free };
      field.setAttribute("aria-label", fill(this.words.field, values));
    });
    const said = { X: this.own === "X" ? "won" : "lost", O: this.own === "O" ? "won" : "lost", draw: "draw" };
    this.status.textContent = fill(this.words[said[this.end] ?? "turn"], { sign: this.own });
  }
}

for (const root of document.querySelectorAll(".board")) new Board(root);
