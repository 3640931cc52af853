// Which network the graph shows, and what colours it. Boxes, place, zoom and the chosen layer stay where they are.
Object.assign(NetworkGraph.prototype, {
  fillStates() {
    this.states.append(...this.graph.states.map((state) => this.choice("state", state.key, state.title, state.note)));
    this.fillModes();
  },

  fillModes() {
    const legend = this.modes.querySelector("legend");
    this.modes.replaceChildren(legend, ...this.state().modes.map((mode) =>
      this.choice("mode", mode.key, mode.title.split(":")[0], mode.title)));
    this.modes.hidden = this.state().modes.length < 2;
    this.note.textContent = this.state().note;
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
