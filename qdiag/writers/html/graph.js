// The network as a graph. Boxes and lines stand where Python put them; here they are drawn, coloured, moved and chosen.
// What is looked at (colours, zoom, place, chosen layer) is shared by all runs of the page, so that they stay in step.
const looking = { state: "quantized", mode: "local", zoom: 1, x: 0, y: 0, name: null, isPlaced: false, isWhole: false };
const GRAPH_ZOOM = { least: 0.04, most: 2.5 };
const OVERVIEW_WIDTH = 46;

class NetworkGraph {
  constructor(part, run) {
    Object.assign(this, { part, run, graph: run.graph, current: 0, places: new GraphPlaces(run.graph), seen: new Map() });
    this.stage = part.querySelector("[data-stage]");
    this.overview = part.querySelector("[data-overview]");
    this.states = part.querySelector("[data-states]");
    this.modes = part.querySelector("[data-modes]");
    this.note = part.querySelector("[data-graph-note]");
    this.legend = part.querySelector("[data-legend]");
    this.readout = part.querySelector("[data-graph-readout]");
    this.neighbours();
    this.drawWhenNear();
    part.addEventListener("click", (event) => {
      const button = event.target.closest("[data-graph-zoom]");
      if (!button) return;
      if (!this.boxes) this.draw();
      this.button(button.dataset.graphZoom);
    });
  }

  neighbours() {
    this.above = this.graph.boxes.map(() => []);
    this.below = this.graph.boxes.map(() => []);
    for (const [from, to] of this.graph.edges) {
      this.below[from].push(to);
      this.above[to].push(from);
    }
  }

  build() {
    const { boxes, lines, boxHeight } = this.graph;
    this.boxes = boxes.map(([x, y, width, label], i) => {
      const name = this.run.layers[i].name;
      const rect = svg("rect", { x: -width / 2, y: -boxHeight / 2, width, height: boxHeight, rx: 6 });
      const words = svg("text", { y: 12, class: "words" });
      const title = svg("title", {});
      const box = svg("g", { class: "box", transform: `translate(${x} ${y})`, "data-box": i },
        title, rect, svg("text", { y: -3 }, label), words);
      return { box, rect, words, title, name };
    });
    this.paths = lines.map((line) => svg("path", { d: line }));
    this.moved = svg("g", {}, svg("g", { class: "lines" }, this.paths), this.boxes.map((one) => one.box));
    this.picture = svg("svg", {
      class: "network", tabindex: 0, role: "slider", "aria-orientation": "vertical", "aria-valuemin": 1,
      "aria-valuemax": boxes.length, "aria-label": "The network as a graph: arrow keys follow the lines, Enter opens the layer",
    }, this.moved);
    this.marks = this.boxes.map(() => svg("rect", { rx: 1 }));
    this.frame = svg("rect", { class: "frame" });
    this.small = svg("svg", { class: "overview", "aria-hidden": "true", width: OVERVIEW_WIDTH }, this.marks, this.frame);
    this.stage.replaceChildren(this.picture);
    this.overview.replaceChildren(this.small);
    this.stage.style.minHeight = "";
    this.fillStates();
    this.listen();
  }

  listen() {
    let from = null;
    this.picture.addEventListener("pointerdown", (event) => {
      from = { x: event.clientX, y: event.clientY, left: looking.x, top: looking.y, isDrag: false };
    });
    this.picture.addEventListener("pointermove", (event) => {
      if (!from || !event.buttons) return;
      const isTouch = event.pointerType === "touch"; // moves across alone: down and up scroll the page
      const [dx, dy] = [event.clientX - from.x, isTouch ? 0 : event.clientY - from.y];
      if (!from.isDrag && Math.hypot(dx, dy) < 4) return;
      if (!from.isDrag) this.picture.setPointerCapture(event.pointerId);
      from.isDrag = true;
      this.move(from.left - dx / looking.zoom, from.top - dy / looking.zoom);
    });
    this.picture.addEventListener("pointercancel", () => (from = null));
    this.picture.addEventListener("pointerup", (event) => {
      const box = from && !from.isDrag && event.target.closest("[data-box]");
      from = null;
      if (!box) return;
      this.select(Number(box.dataset.box), false);
      openPanel(this.run, this.current, this.picture);
    });
    this.picture.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
      event.preventDefault();
      const at = this.picture.getBoundingClientRect();
      this.zoomBy(Math.exp(-event.deltaY / 300), event.clientX - at.left, event.clientY - at.top);
    }, { passive: false });
    this.picture.addEventListener("keydown", (event) => this.key(event));
    const jump = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      const at = this.small.getBoundingClientRect();
      const y = ((event.clientY - at.top) / at.height) * this.graph.height;
      this.unfold();
      this.move(looking.x, y - this.height / looking.zoom / 2);
    };
    this.small.addEventListener("pointerdown", jump);
    this.small.addEventListener("pointermove", jump);
  }

  key(event) {
    if (event.altKey) return;
    if (event.key === "+" || event.key === "=") return this.zoomBy(1.25);
    if (event.key === "-") return this.zoomBy(0.8);
    if (event.ctrlKey || event.metaKey) return;
    const [x, y] = this.graph.boxes[this.current];
    const row = this.graph.boxes.map((box, i) => [box[0], i]).filter(([, i]) => this.graph.boxes[i][1] === y);
    const beside = (side) => row.filter(([other]) => (other - x) * side > 0).sort((a, b) => (a[0] - b[0]) * side)[0]?.[1];
    const next = {
      ArrowDown: this.below[this.current][0], ArrowUp: this.above[this.current][0],
      ArrowLeft: beside(-1), ArrowRight: beside(1), Home: 0, End: this.boxes.length - 1,
    };
    if (event.key in next) this.select(next[event.key] ?? this.current, true);
    else if (event.key === "Enter" || event.key === " ") openPanel(this.run, this.current, this.picture);
    else return;
    event.preventDefault();
    followPanel(this.run, this.current);
  }

  button(what) {
    if (what === "in") this.zoomBy(1.4);
    else if (what === "out") this.zoomBy(1 / 1.4);
    else if (what === "all") this.whole();
    else this.select(this.nextFinding(), true);
  }

  // The next layer that is at fault, or, where none is, that something was found at.
  nextFinding() {
    const { layers } = this.run;
    const isFault = (layer) => layer.findings.some((finding) => finding.verdict === "cause");
    const wanted = layers.some(isFault) ? isFault : (layer) => layer.findings.length > 0;
    for (let step = 1; step <= layers.length; step += 1) {
      const index = (this.current + step) % layers.length;
      if (wanted(layers[index])) return index;
    }
    return this.current;
  }

  select(index, isShown) {
    this.current = index;
    looking.name = this.run.layers[index].name;
    this.say();
    if (isShown) this.reveal(index);
  }

  say() {
    const layer = this.run.layers[this.current];
    const mode = this.mode();
    const words = mode.words[this.current] || mode.legend[mode.shades[this.current]][1];
    this.readout.textContent = `${layer.name} · ${layer.op} · ${held(`${this.state().title.toLowerCase()}: ${words}`)}`;
    this.picture.setAttribute("aria-valuenow", this.current + 1);
    this.picture.setAttribute("aria-valuetext", `${layer.name}, ${layer.op}, ${this.state().title}, ${mode.title} ${words}`);
    const joined = (edge) => edge.includes(this.current);
    this.boxes.forEach((one, i) => one.box.classList.toggle("chosen", i === this.current));
    this.graph.edges.forEach((edge, i) => this.paths[i].classList.toggle("chosen", joined(edge)));
  }

  reveal(index) {
    this.unfold();
    const [x, y] = this.graph.boxes[index];
    if (looking.zoom < 0.55) looking.zoom = 1;
    this.move(x - this.width / looking.zoom / 2, y - this.height / looking.zoom / 2);
  }

  paint() {
    const mode = this.mode();
    this.markChoices(mode);
    this.boxes.forEach(({ rect, words, title, name }, i) => {
      const [fill, label] = mode.legend[mode.shades[i]];
      rect.setAttribute("fill", fill);
      this.marks[i].setAttribute("fill", fill);
      words.textContent = mode.words[i];
      title.textContent = `${name}\n${this.state().title}, ${mode.title}: ${mode.words[i] || label}`;
    });
    this.legend.replaceChildren(html("span", {}, `${mode.title[0].toUpperCase()}${mode.title.slice(1)}:`), ...mode.legend.map(([fill, label]) =>
      html("span", { class: "swatch" }, svg("svg", { width: 14, height: 14, "aria-hidden": "true" },
        svg("rect", { width: 14, height: 14, rx: 3, fill })), label)));
    this.say();
  }

  // Not before it is needed: a page with hundreds of boxes would open later.
  draw(isNeeded = true) {
    if (!this.boxes && !isNeeded) return;
    if (!this.stage.clientWidth) return;
    if (!this.boxes) this.build();
    this.width = this.stage.clientWidth;
    const isPrint = document.documentElement.classList.contains("printing");
    const most = isPrint ? this.heightOnPaper(850) : Math.min(640, 0.68 * innerHeight);
    this.height = Math.max(220, Math.min(most, this.graph.height + 24));
    this.picture.setAttribute("width", this.width);
    this.picture.setAttribute("height", this.height);
    const down = this.height / this.graph.height;
    const across = OVERVIEW_WIDTH / this.graph.width;
    this.small.setAttribute("height", this.height);
    this.marks.forEach((mark, i) => {
      const [x, y, width] = this.graph.boxes[i];
      build(mark, {
        x: (x - width / 2) * across, y: (y - this.graph.boxHeight / 2) * down,
        width: Math.max(2, width * across), height: Math.max(1.5, this.graph.boxHeight * down - 1),
      }, []);
    });
    const index = this.run.layers.findIndex((layer) => layer.name === looking.name);
    this.current = Math.max(0, index);
    this.paint();
    if (isPrint) return this.fit(false);
    if (looking.isWhole) return this.fit();
    this.stand(1);
    if (!looking.isPlaced) this.begin();
    else this.move(looking.x, looking.y);
  }

  // At first the graph shows what matters: the first layer at fault, else the one where the signal is weakest.
  begin() {
    looking.isPlaced = true;
    looking.zoom = clamp(Math.min(1, this.width / (this.graph.width + 20)), 0.45, 1);
    const { layers, weakest } = this.run;
    const fault = layers.findIndex((layer) => layer.findings.some((finding) => finding.verdict === "cause"));
    const worst = layers.findIndex((layer) => layer.name === weakest);
    this.select(Math.max(0, fault >= 0 ? fault : worst), true);
  }

  zoomBy(factor, x = this.width / 2, y = this.height / 2) {
    this.unfold();
    const zoom = clamp(looking.zoom * factor, GRAPH_ZOOM.least, GRAPH_ZOOM.most);
    const [left, top] = [looking.x + x / looking.zoom - x / zoom, looking.y + y / looking.zoom - y / zoom];
    looking.zoom = zoom;
    this.move(left, top);
  }

  // The graph cannot be moved out of sight; what fits is in the middle.
  move(x, y) {
    const within = (at, room, size) => (room >= size ? (size - room) / 2 : clamp(at, -12, size - room + 12));
    looking.x = within(x, this.width / looking.zoom, this.places.width);
    looking.y = within(y, this.height / looking.zoom, this.places.height);
    this.show();
    this.moved.setAttribute("transform", `scale(${looking.zoom}) translate(${-looking.x} ${-looking.y})`);
    const down = this.height / this.places.height;
    const across = OVERVIEW_WIDTH / this.places.width;
    build(this.frame, {
      x: Math.max(0.5, looking.x * across), y: Math.max(0.5, looking.y * down),
      width: Math.min(OVERVIEW_WIDTH - 1, (this.width / looking.zoom) * across),
      height: Math.min(this.height - 1, (this.height / looking.zoom) * down),
    }, []);
  }
}
