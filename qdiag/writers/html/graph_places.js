// Where the boxes and lines of a graph stand: as Python put them, or, where the whole of a tall network is looked at,
// cut into columns that stand side by side and are read from left to right.
const COLUMN_GAP = 28;

class GraphPlaces {
  constructor(graph) {
    this.graph = graph;
    this.arrange(1);
  }

  // As many columns as show the whole network largest in a picture of that size.
  fold(width, height) {
    const zoom = (count) => Math.min(width / this.across(count), height / this.down(count));
    let count = 1;
    while (count < this.graph.boxes.length && zoom(count + 1) > zoom(count)) count += 1;
    this.arrange(count);
  }

  across(count) {
    return count * (this.graph.width + COLUMN_GAP) - COLUMN_GAP;
  }

  down(count) {
    return this.graph.height / count + (count > 1 ? this.graph.boxHeight : 0);
  }

  arrange(count) {
    const { boxes, edges, boxHeight } = this.graph;
    const part = this.graph.height / count;
    this.count = count;
    this.width = this.across(count);
    this.height = this.down(count);
    this.columns = boxes.map(([, y]) => clamp(Math.floor((y - boxHeight / 2) / part), 0, count - 1));
    const tops = Array(count).fill(Infinity); // every column begins at the same height
    boxes.forEach(([, y], i) => (tops[this.columns[i]] = Math.min(tops[this.columns[i]], y)));
    this.moves = this.columns.map((column) => [column * (this.graph.width + COLUMN_GAP), tops[0] - tops[column]]);
    this.boxes = boxes.map(([x, y], i) => [x + this.moves[i][0], y + this.moves[i][1]]);
    // A line between two columns is not drawn: its ends are the last box of one and the first of the next.
    this.lines = edges.map(([from, to]) => (this.columns[from] === this.columns[to] ? this.moves[from] : null));
  }

  // Which boxes and lines reach into a part of the picture, from one height to another.
  within(top, bottom) {
    const reaches = (from, to) => Math.max(from, to) >= top && Math.min(from, to) <= bottom;
    return {
      boxes: this.boxes.map(([, y]) => reaches(y, y)),
      lines: this.graph.edges.map(([from, to], i) => this.lines[i] && reaches(this.boxes[from][1], this.boxes[to][1])),
    };
  }
}

// The whole network, and which of its boxes and lines are laid out.
Object.assign(NetworkGraph.prototype, {
  whole() {
    looking.isWhole = true;
    this.fit();
  },

  // All of it; of a tall network in columns side by side, since it would be a thin line otherwise.
  fit(isKept = true) {
    const before = { ...looking };
    this.stand(null);
    const { width, height } = this.places;
    looking.zoom = clamp(Math.min(this.width / (width + 16), this.height / (height + 16)), GRAPH_ZOOM.least, 1);
    this.move((width - this.width / looking.zoom) / 2, (height - this.height / looking.zoom) / 2);
    if (!isKept) Object.assign(looking, before);
  },

  // As many columns as the width has room for, so that a page holds the network and more.
  heightOnPaper(most) {
    const columns = Math.floor((this.width - 16 + COLUMN_GAP) / (this.graph.width + COLUMN_GAP));
    return Math.min(most, this.places.down(clamp(columns, 1, this.graph.boxes.length)) + 16);
  },

  // From the whole network in columns back to one column, at the chosen layer.
  unfold() {
    if (!looking.isWhole) return;
    looking.isWhole = false;
    if (this.places.count === 1) return;
    this.stand(1);
    looking.zoom = 0.55;
    const [x, y] = this.graph.boxes[this.current];
    this.move(x - this.width / looking.zoom / 2, y - this.height / looking.zoom / 2);
  },

  // In so many columns; null: as many as show the whole network best.
  stand(count) {
    const before = this.places.count;
    if (count === null) this.places.fold(this.width - 16, this.height - 16);
    else if (before !== count) this.places.arrange(count);
    if (before === this.places.count) return;
    this.boxes.forEach(({ box }, i) => box.setAttribute("transform", `translate(${this.places.boxes[i].join(" ")})`));
    this.paths.forEach((path, i) => path.setAttribute("transform", `translate(${(this.places.lines[i] || [0, 0]).join(" ")})`));
  },

  // What is far out of sight is not laid out.
  show() {
    const room = this.height / looking.zoom;
    const { boxes, lines } = this.places.within(looking.y - room, looking.y + 2 * room);
    const set = (element, isSeen) => {
      if (this.seen.get(element) === isSeen) return;
      this.seen.set(element, isSeen);
      element.style.display = isSeen ? "" : "none";
    };
    this.boxes.forEach((one, i) => set(one.box, boxes[i]));
    this.paths.forEach((path, i) => set(path, Boolean(lines[i])));
  },
});
