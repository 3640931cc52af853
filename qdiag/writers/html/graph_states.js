// When the graph is drawn, which network it shows, and what colours it. Boxes, place, zoom and the chosen layer stay where they are.
const GRAPH_NEAR_PX = 300;

Object.assign(NetworkGraph.prototype, {
  // Its place is kept free until then, so that nothing below it moves.
  drawWhenNear() {
    this.stage.style.minHeight = `max(220px, min(640px, 68vh, ${this.graph.height + 24}px))`;
    const watch = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watch.disconnect();
      if (!this.boxes) this.draw();
    }, { rootMargin: `${GRAPH_NEAR_PX}px` });
    watch.observe(this.part);
  },

  fillStates() {
    this.states.append(...this.graph.states.map((state) => this.choice("state", state.key, state.title, state.note)));
    this.fillModes();
  },

  fillModes() {
    const legend = this.modes.querySelector("legend");
    this.modes.replaceChildren(legend, ...this.state().modes.map((mode) =>
      this.choice("mode", mode.key, mode.title.split(":")[0], mode.title)));
    this.modes.hidden = this.state().modes.length < 2;
    this.note.textContent = held(this.state().note);
  },

  choice(what, key, words, title) {
    return html("label", {},
      html("input", {
        type: "radio", name: `graph-${what}-${this.run.key}`, value: key, autocomplete: "off",
        onchange: () => this.choose(what, key),
      }),
      html("span", { title }, words));
  },

  choose(what, key) {
    looking[what] = key;
    if (what === "state") this.fillModes();
    this.paint();
  },

  // Of what is looked at, as far as this run has it: another run may have no repaired network.
  state() {
    const { states } = this.graph;
    return states.find((state) => state.key === looking.state) || states.find((state) => state.key === "quantized");
  },

  mode() {
    const { modes } = this.state();
    return modes.find((mode) => mode.key === looking.mode) || modes[0];
  },

  markChoices(mode) {
    if (!this.modes.querySelector(`input[value="${mode.key}"]`)) this.fillModes(); // chosen in another run
    for (const input of this.states.querySelectorAll("input")) input.checked = input.value === this.state().key;
    for (const input of this.modes.querySelectorAll("input")) input.checked = input.value === mode.key;
  },
});
