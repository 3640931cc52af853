// The panel of one layer: everything that is known about it, beside the page.
const panel = { root: document.getElementById("panel"), run: null, index: 0, opener: null };

function openPanel(run, index, opener) {
  if (opener) panel.opener = opener;
  const wasHidden = panel.root.hidden;
  Object.assign(panel, { run, index });
  panel.root.hidden = false;
  document.documentElement.classList.add("with-panel");
  fillPanel();
  if (wasHidden) window.dispatchEvent(new Event("resize"));
  panel.root.querySelector("h2").focus({ preventScroll: true });
}

// Arrow keys in the chart take an open panel with them.
function followPanel(run, index) {
  if (panel.root.hidden || (panel.run === run && panel.index === index)) return;
  Object.assign(panel, { run, index });
  fillPanel();
}

function closePanel() {
  if (panel.root.hidden) return;
  panel.root.hidden = true;
  document.documentElement.classList.remove("with-panel");
  markRows();
  window.dispatchEvent(new Event("resize"));
  const opener = panel.opener;
  panel.opener = null;
  if (opener && opener.isConnected) opener.focus({ preventScroll: true });
  else if (panel.run) document.querySelector(`[data-run="${panel.run.key}"] .sqnr`)?.focus({ preventScroll: true });
}

function stepPanel(by) {
  const next = panel.index + by;
  if (next < 0 || next >= panel.run.layers.length) return;
  panel.index = next;
  fillPanel();
}

function openByName(run, name, opener) {
  const index = run.layers.findIndex((layer) => layer.name === name);
  if (index >= 0) openPanel(run, index, opener);
}

function markRows() {
  for (const row of document.querySelectorAll("tr[aria-selected=true]")) row.removeAttribute("aria-selected");
  if (panel.root.hidden) return;
  const row = document.querySelector(`[data-run="${panel.run.key}"] tr[data-layer="${panel.index}"]`);
  if (row) row.setAttribute("aria-selected", "true");
}

function fillPanel() {
  const { run, index } = panel;
  const layer = run.layers[index];
  panel.root.querySelector("h2").textContent = layer.name;
  panel.root.querySelector("[data-op]").textContent = layer.op;
  panel.root.querySelector("[data-place]").textContent = `Layer ${index + 1} of ${run.layers.length}`;
  panel.root.querySelector("[data-step='-1']").disabled = index === 0;
  panel.root.querySelector("[data-step='1']").disabled = index === run.layers.length - 1;
  const body = panel.root.querySelector("[data-body]");
  body.replaceChildren(...[
    layer.source ? html("p", { class: "source", title: "The line that calls this layer" }, html("code", {}, layer.source)) : null,
    numbers(layer),
    findings(layer),
    ...pictures(layer),
    neighbours("Reads", layer.inputs),
    neighbours("Read by", layer.readers),
    facts(layer.facts),
    ...(layer.after && layer.after.facts.length ? [html("h3", {}, "What the repairs change here"), facts(layer.after.facts)] : []),
    layer.after ? html("p", { class: "quiet" }, run.repaired) : null,
  ].filter(Boolean));
  drawPanel();
  markRows();
}

// Pictures know their width only once they are in the page.
function drawPanel() {
  if (panel.root.hidden) return;
  const layer = panel.run.layers[panel.index];
  for (const stage of panel.root.querySelectorAll("[data-picture]")) {
    PICTURES[stage.dataset.picture](stage, layer);
  }
}

function numbers(layer) {
  const tile = (key, value, words) =>
    html("div", { class: `number ${key}` }, html("b", {}, decibel(value)), html("span", {}, words),
      layer.after && key in layer.after ? html("span", { class: "after" }, `repaired: ${decibel(layer.after[key])}`) : null);
  return html("div", { class: "numbers" },
    tile("local", layer.local, "local SQNR"),
    tile("propagated", layer.propagated, "propagated"),
    tile("expected", layer.expected, "expected from the range"),
    tile("drop", layer.drop, "drop against its inputs"));
}

function facts(rows) {
  return html("dl", { class: "facts" }, rows.flatMap(([label, text]) => [html("dt", {}, label), html("dd", {}, text)]));
}

function findings(layer) {
  if (!layer.findings.length) return html("p", { class: "quiet" }, "Nothing was found at this layer.");
  return html("ul", { class: "findings" }, layer.findings.map((finding) =>
    html("li", { class: finding.verdict || "seen" },
      html("button", { type: "button", class: "code", popovertarget: `means-${finding.code}` }, finding.code), " ", html("b", {}, finding.title), " ",
      html("span", { class: `pill ${finding.verdict || "seen"}` }, finding.words),
      html("div", { class: "quiet" }, finding.details.join(" · ")))));
}

function pictures(layer) {
  const part = (name, title, note) => html("section", { class: "picture" },
    html("h3", {}, title), html("div", { class: "stage", "data-picture": name }),
    html("p", { class: "readout", "aria-live": "off", "data-readout": true }, note || ""));
  const shown = [];
  if (layer.histogram) shown.push(part("histogram", "Output values", histogramNote(layer)));
  if (layer.weights) shown.push(part("weights", "Weight range by output channel", whiskerNote(layer, layer.weights)));
  if (layer.channels) shown.push(part("channels", "Output range by channel", whiskerNote(layer, layer.channels)));
  if (layer.losses) shown.push(part("losses", "The five losses, each alone", `Share of their noise power, and SQNR${layer.losses_on}.`));
  if (layer.norm) shown.push(part("gains", "BatchNorm gain by channel", layer.norm.sentence || layer.norm.name));
  return shown;
}

function neighbours(title, names) {
  if (!names.length) return null;
  const known = new Set(panel.run.layers.map((layer) => layer.name));
  const one = (name) => (known.has(name)
    ? html("button", { type: "button", class: "layer-link", onclick: () => openByName(panel.run, name) }, name)
    : html("code", {}, name));
  return html("p", { class: "neighbours" }, html("span", {}, title), names.map(one));
}

panel.root.addEventListener("click", (event) => {
  if (event.target.closest("[data-close]")) closePanel();
  const step = event.target.closest("[data-step]");
  if (step) stepPanel(Number(step.dataset.step));
});
document.addEventListener("keydown", (event) => {
  const isExplaining = document.querySelector(".explanation:popover-open"); // Escape closes that alone
  if (event.key === "Escape" && !panel.root.hidden && !isExplaining) {
    event.preventDefault();
    closePanel();
  }
});
panel.root.addEventListener("keydown", (event) => {
  if (event.target.closest("[role=slider]") || event.ctrlKey || event.metaKey || event.altKey) return;
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by) return;
  event.preventDefault();
  stepPanel(by);
});
