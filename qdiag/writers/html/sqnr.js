// SQNR by layer: local, propagated and expected, in graph order.
const LINES = [
  { key: "expected", mark: null },
  { key: "propagated", mark: "square" },
  { key: "local", mark: "circle" }, // last, so that a point is seen where both are equal
];

// Decibels above the highest that the rounding of an output leaves.
const EXACT_ABOVE = 20;

class SqnrChart {
  constructor(root, run, other) {
    Object.assign(this, { root, run, other, hidden: new Set(), from: 0, to: run.layers.length - 1 });
    this.stage = root.querySelector("[data-stage]");
    this.tip = root.querySelector("[data-tip]");
    this.cursor = 0;
    for (const button of root.querySelectorAll("[data-line]")) {
      button.addEventListener("click", () => this.toggle(button));
    }
    for (const button of root.querySelectorAll("[data-zoom]")) {
      button.addEventListener("click", () => this.zoom(button.dataset.zoom));
    }
    this.otherByName = new Map((other ? other.layers : []).map((layer) => [layer.name, layer]));
  }

  toggle(button) {
    const shown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", shown);
    this.hidden[shown ? "delete" : "add"](button.dataset.line);
    this.draw();
  }

  // "in" and "out" halve and double the number of layers around the cursor; "all" shows every layer.
  zoom(how) {
    const last = this.run.layers.length - 1;
    if (how === "all") return this.span(0, last);
    const half = Math.max(3, ((this.to - this.from) * (how === "in" ? 0.5 : 2)) / 2);
    const centre = clamp(this.cursor, this.from, this.to);
    const from = clamp(Math.round(centre - half), 0, last);
    this.span(from, Math.min(last, Math.round(from + 2 * half)));
  }

  span(from, to) {
    Object.assign(this, { from, to });
    this.draw();
  }

  get layers() {
    return this.run.layers.slice(this.from, this.to + 1);
  }

  draw() {
    const width = this.stage.clientWidth;
    if (!width || !this.run.layers.length) return;
    const focused = this.stage.contains(document.activeElement);
    const narrow = width < 560;
    const box = { left: narrow ? 34 : 46, right: width - 10, top: 14, bottom: narrow ? 220 : page.classList.contains("printing") ? 230 : 290 };
    this.box = box;
    const layers = this.layers;
    const pad = Math.min(18, (box.right - box.left) / layers.length / 2);
    this.x = scale(0, Math.max(1, layers.length - 1), box.left + pad, box.right - pad);
    const [low, high] = this.limits();
    this.y = scale(low, high, box.bottom, box.top);
    const height = box.bottom + 22 + this.labelHeight();
    const view = { class: "sqnr", viewBox: `0 0 ${width} ${height}`, width, height };
    this.picture = svg("svg", view, this.ground(low, high), this.names(), this.marks());
    this.places = new Map(layers.map((layer, i) => [layer.name, i]));
    if (this.other) this.picture.append(this.line({ key: "propagated" }, this.ghost(), "ghost"));
    for (const line of LINES.filter((entry) => !this.hidden.has(entry.key))) {
      this.picture.append(this.line(line, layers.map((layer) => num(layer[line.key])), line.key));
    }
    this.picture.append(this.worst(), (this.focusMark = svg("g", { class: "focus-mark" })));
    this.stage.replaceChildren(this.picture);
    this.tip.hidden = true;
    this.listen();
    if (focused) this.picture.focus({ preventScroll: true });
  }

  ghost() {
    return this.layers.map((layer) => num((this.otherByName.get(layer.name) || {}).propagated));
  }

  // The same for both runs, so that switching between them compares heights.
  limits() {
    const all = [...this.run.layers, ...(this.other ? this.other.layers : [])];
    const figures = all.flatMap((layer) => LINES.map((line) => num(layer[line.key]))).filter(Number.isFinite);
    const expected = all.map((layer) => num(layer.expected)).filter(Number.isFinite);
    // Where rounding is all but exact the decibels say nothing any more, and would press all others together.
    this.exact = expected.length ? Math.max(...expected) + EXACT_ABOVE : Infinity;
    const values = figures.filter((value) => value <= this.exact);
    if (!values.length) return [-5, 50];
    const [low, high] = [Math.min(0, ...values), Math.max(10, ...values)];
    return [low - 0.09 * (high - low), high + 0.05 * (high - low)];
  }

  ground(low, high) {
    const { box, y } = this;
    const group = svg("g", { class: "ground" });
    this.layers.forEach((layer, i) => {
      if (!layer.is_float) return;
      const half = (this.x(1) - this.x(0)) / 2;
      const band = { x: this.x(i) - half, y: box.top, width: 2 * half, height: box.bottom - box.top };
      group.append(svg("rect", { class: "float-band", ...band }));
    });
    for (const tick of ticks(low, high, 6)) {
      const at = y(tick);
      group.append(svg("line", { class: tick === 0 ? "zero" : "grid", x1: box.left, x2: box.right, y1: at, y2: at }));
      group.append(svg("text", { class: "tick", x: box.left - 7, y: at + 3.5, "text-anchor": "end" }, decibel(tick, "").replace(".0", "")));
    }
    group.append(svg("text", { class: "tick", x: 2, y: box.top - 3 }, "dB"));
    return group;
  }

  labelHeight() {
    const longest = Math.max(...this.layers.map((layer) => layer.short.length));
    return 6.5 * Math.min(longest, this.labelLength());
  }

  labelLength() {
    return this.box.left < 40 ? 12 : 16;
  }

  names() {
    const group = svg("g", { class: "names" });
    const every = Math.ceil(14 / Math.max(0.1, this.x(1) - this.x(0)));
    this.layers.forEach((layer, i) => {
      if (i % every) return;
      const at = `translate(${this.x(i) + 3.5} ${this.box.bottom + 15}) rotate(-90)`;
      group.append(svg("text", { transform: at, "text-anchor": "end" }, shorten(layer.short, this.labelLength())));
    });
    return group;
  }

  // Under the axis: a filled mark where a cause was proved, a hollow one where something was found.
  marks() {
    const group = svg("g", { class: "finding-marks" });
    const size = clamp((this.x(1) - this.x(0)) / 3, 2.6, 3.5);
    this.layers.forEach((layer, i) => {
      if (!layer.findings.length) return;
      const proved = layer.findings.some((finding) => finding.verdict === "cause");
      group.append(svg("circle", { class: proved ? "proved" : "seen", cx: this.x(i), cy: this.box.bottom + 7, r: size }));
    });
    return group;
  }

  line(line, values, name) {
    const { x, y, box } = this;
    // Layers are categories: what each loses alone is a point of its own, and no line leads from one to the next.
    // What arrives comes from the layers that feed one, which in a network with branches are not its neighbours.
    const points = name === "local", drawn = values.map((value) => (value > this.exact ? Infinity : value));
    const path = name === "expected" ? linePath(drawn, x, y) : this.edges(drawn);
    const group = svg("g", { class: `line ${name}` }, ...(points ? [] : [svg("path", { d: path })]));
    const roomy = x(1) - x(0) >= 7;
    drawn.forEach((value, i) => {
      if (Number.isFinite(value)) {
        if (points) group.append(svg("circle", { cx: x(i), cy: y(value), r: roomy ? 3 : 1.8 }));
        if (roomy && line.mark === "square") group.append(svg("rect", { x: x(i) - 2.4, y: y(value) - 2.4, width: 4.8, height: 4.8 }));
      } else if (!Number.isNaN(value) && line.mark) {
        const at = value > 0 ? `translate(${x(i)} ${box.top})` : `translate(${x(i)} ${box.bottom}) scale(1 -1)`;
        group.append(svg("path", { class: "infinite", d: "M0-5L4 3H-4Z", transform: at }));
      }
    });
    return group;
  }

  // A line from each layer that feeds one to it.
  edges(values) {
    const place = (i) => `${this.x(i).toFixed(1)} ${this.y(values[i]).toFixed(1)}`;
    let path = "";
    this.layers.forEach((layer, i) => {
      for (const name of Number.isFinite(values[i]) ? layer.inputs : []) {
        const from = this.places.get(name);
        if (from !== undefined && Number.isFinite(values[from])) path += `M${place(from)}L${place(i)}`;
      }
    });
    return path;
  }

  worst() {
    const i = this.layers.findIndex((layer) => layer.name === this.run.weakest);
    const group = svg("g", { class: "worst" });
    if (i < 0 || this.hidden.has("local")) return group;
    const value = num(this.layers[i].local);
    const at = Number.isFinite(value) ? this.y(value) : this.box.bottom;
    const left = i < this.layers.length / 2;
    const words = `${shorten(this.layers[i].short, 28)} ${decibel(value)}`;
    const text = { x: this.x(i) + (left ? 11 : -11), y: this.box.bottom - 5, "text-anchor": left ? "start" : "end" };
    group.append(svg("path", { d: "M0-8.5L8.5 0L0 8.5L-8.5 0Z", transform: `translate(${this.x(i)} ${at})` }), svg("text", text, words));
    return group;
  }

  listen() {
    scrub(this.picture, {
      label: "SQNR by layer; arrow keys move, Enter opens a layer, plus and minus zoom",
      start: clamp(this.cursor - this.from, 0, this.layers.length - 1),
      count: () => this.layers.length,
      at: (pixel) => Math.round(clamp((pixel - this.x(0)) / (this.x(1) - this.x(0)), 0, this.layers.length - 1)),
      say: (i) => this.sentence(this.layers[i]),
      show: (i, how) => this.show(i, how),
      hide: () => this.hide(),
      enter: (i) => openPanel(this.run, this.from + i, this.picture),
    });
    this.picture.addEventListener("keydown", (event) => {
      const how = { "+": "in", "=": "in", "-": "out", 0: "all" }[event.key];
      if (how && !event.ctrlKey && !event.metaKey) this.zoom(how);
    });
    zoomByDrag(this);
  }

  sentence(layer) {
    const values = `local ${decibel(layer.local)}, propagated ${decibel(layer.propagated)}, expected ${decibel(layer.expected)}`;
    return `${layer.name}: ${values}`;
  }
}
