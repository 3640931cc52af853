// The table of layers: sorted by its headings, narrowed by the filter, walked through with the arrow keys.
// Of a long table only the first rows are shown until a button or a filter asks for others (see table.html).

class LayerTable {
  constructor(root, run) {
    Object.assign(this, { root, run });
    this.body = root.querySelector("tbody");
    this.rows = [...this.body.rows];
    this.countAtFirst = this.rows.length;
    this.heads = [...root.querySelectorAll("thead th")];
    this.box = root.querySelector("input[type=search]");
    this.only = root.querySelector("input[type=checkbox]");
    this.more = root.querySelector("[data-all-rows]");
    this.isWhole = this.rows.length === run.layers.length;
    this.more.addEventListener("click", () => {
      this.isWhole = true;
      this.filter();
    });
    this.heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => this.sort(column));
    });
    this.box.addEventListener("input", () => this.filter());
    this.only.addEventListener("change", () => this.filter());
    this.body.addEventListener("click", (event) => {
      if (!event.target.closest("[popovertarget]")) this.open(event.target.closest("tr"));
    });
    this.body.addEventListener("keydown", (event) => this.walk(event));
    this.filter();
  }

  fill() {
    fillTable(this.root.querySelector("table"));
    this.rows = [...this.body.rows];
  }

  open(row) {
    if (!row || !getSelection().isCollapsed) return;
    this.reach(row);
    openPanel(this.run, Number(row.dataset.layer), row.querySelector("button"));
  }

  // The first press sorts the way that is asked for most: names upward, figures with the worst on top.
  sort(column) {
    this.fill();
    const head = this.heads[column];
    const first = head.dataset.first || "ascending";
    const turned = first === "ascending" ? "descending" : "ascending";
    const direction = head.getAttribute("aria-sort") === first ? turned : first;
    for (const other of this.heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const keys = new Map(this.rows.map((row) => [row, this.key(row.cells[column])]));
    this.rows.sort((a, b) => {
      const [x, y] = [keys.get(a), keys.get(b)];
      if (typeof x === "string") return sign * x.localeCompare(y, "en", { numeric: true });
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return x === y ? 0 : sign * (x < y ? -1 : 1);
    });
    this.body.append(...this.rows);
    this.filter();
  }

  key(cell) {
    const value = cell.dataset.value;
    if (value === undefined) return cell.textContent.trim();
    return value in NON_FINITE ? NON_FINITE[value] : Number(value);
  }

  filter() {
    const words = this.box.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.isCut = !this.isWhole && !words.length && !this.only.checked;
    if (!this.isCut) this.fill();
    for (const row of this.rows) {
      const text = row.dataset.text.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word)) || (this.only.checked && !row.dataset.found);
    }
    this.rows.forEach((row, i) => row.classList.toggle("later", this.isCut && i >= this.countAtFirst));
    this.more.parentElement.hidden = !this.isCut;
    const shown = this.shown();
    this.root.querySelector("output").textContent = `${shown.length} of ${this.run.layers.length} layers`;
    this.root.querySelector("[data-none]").hidden = shown.length > 0;
    if (shown.length && !shown.some((row) => row.querySelector("button").tabIndex === 0)) this.reach(shown[0]);
  }

  shown() {
    return this.rows.filter((row, i) => !row.hidden && (!this.isCut || i < this.countAtFirst));
  }

  // One row at a time is in the order of the Tab key; 300 stops would be none.
  reach(row) {
    for (const other of this.rows) other.querySelector("button").tabIndex = -1;
    row.querySelector("button").tabIndex = 0;
  }

  walk(event) {
    const shown = this.shown();
    const at = shown.indexOf(event.target.closest("tr"));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: shown.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    const row = shown[clamp(to, 0, shown.length - 1)];
    this.reach(row);
    row.querySelector("button").focus();
  }
}
