// Theme, the switch between two runs, copying of commands, and drawing again when the width changes.
const page = document.documentElement;
const runs = new Map(DATA.runs.map((run) => [run.key, run]));
const views = new Map();

function remembered(value) {
  try {
    if (value === undefined) return localStorage.getItem("qdiag-theme");
    localStorage.setItem("qdiag-theme", value);
  } catch {
    // Some browsers keep no storage for files on disk: the choice then lasts as long as the page.
  }
  return value;
}

function setTheme(theme) {
  if (theme === "auto") delete page.dataset.theme;
  else page.dataset.theme = theme;
  const button = document.querySelector("[data-theme-button]");
  button.dataset.state = theme;
  button.querySelector("span").textContent = theme;
}

function showRun(key) {
  page.dataset.show = key;
  for (const part of document.querySelectorAll("[data-run]")) part.hidden = part.dataset.run !== key;
  views.get(key)?.chart.draw();
  views.get(key)?.graph.draw([...views.values()].some((view) => view.graph.boxes));
  if (panel.root.hidden || !panel.run) return;
  const name = panel.run.layers[panel.index].name;
  const index = runs.get(key).layers.findIndex((layer) => layer.name === name);
  if (index < 0) return closePanel();
  Object.assign(panel, { run: runs.get(key), index, opener: null });
  fillPanel();
}

async function copy(button) {
  const text = button.parentElement.querySelector("code").textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const range = document.createRange();
    range.selectNodeContents(button.parentElement.querySelector("code"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    document.execCommand("copy");
  }
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 1600);
}

// On a narrow screen a row of these is a block, where each figure needs the name of its column.
function nameCells() {
  for (const table of document.querySelectorAll("table.stacked")) {
    const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
    for (const row of table.tBodies[0].rows) {
      let column = 0;
      for (const cell of row.cells) {
        if (column) cell.dataset.label = names[column];
        column += cell.colSpan;
      }
    }
  }
}

function redraw() {
  views.get(page.dataset.show)?.chart.draw();
  views.get(page.dataset.show)?.graph.draw(page.classList.contains("printing"));
  drawPanel();
}

// What arrives in the repaired network, as a run of the chart; nothing where none was measured.
function repairedLayers(run) {
  const layers = run.layers.filter((layer) => layer.after).map((layer) => ({ name: layer.name, propagated: layer.after.propagated }));
  return layers.length ? { layers } : undefined;
}

for (const part of document.querySelectorAll(".run[data-run]")) {
  const run = runs.get(part.dataset.run);
  const other = DATA.runs.find((one) => one !== run) || repairedLayers(run);
  views.set(run.key, {
    chart: new SqnrChart(part.querySelector("[data-chart]"), run, other),
    graph: new NetworkGraph(part.querySelector("[data-graph]"), run),
    table: new LayerTable(part.querySelector("[data-table]"), run),
  });
}

function showAll(more) {
  fillTable(more.previousElementSibling.querySelector("table"));
  nameCells();
  more.remove();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-open]");
  if (link) openByName(runs.get(page.dataset.show), link.dataset.open, link);
  const unfold = event.target.closest("[data-unfold]");
  if (unfold) document.querySelector(unfold.hash).open = true;
  const copier = event.target.closest("[data-copy]");
  if (copier) copy(copier);
  const more = event.target.closest("[data-more]");
  if (more) showAll(more);
});
for (const choice of document.querySelectorAll("input[name=run]")) {
  choice.addEventListener("change", () => showRun(choice.value));
}
document.querySelector("[data-theme-button]").addEventListener("click", () => {
  const order = ["auto", "dark", "light"];
  const next = order[(order.indexOf(page.dataset.theme || "auto") + 1) % 3];
  setTheme(next);
  remembered(next);
});

// Paper has every row of every table.
function fillTables() {
  document.querySelectorAll("[data-more]").forEach(showAll);
  for (const { table } of views.values()) {
    table.fill();
    table.filter();
  }
}

// A print has its own width: charts are drawn for it, and once more for the screen.
addEventListener("beforeprint", () => {
  page.classList.add("printing");
  for (const folded of document.querySelectorAll(".terms")) folded.open = true;
  fillTables();
  redraw();
});
addEventListener("afterprint", () => {
  page.classList.remove("printing");
  redraw();
});
matchMedia("print").addEventListener("change", (media) => media.matches && fillTables());
let waiting = 0;
addEventListener("resize", () => {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(redraw);
});

nameCells();
setTheme(["dark", "light"].includes(remembered()) ? remembered() : "auto");
showRun(page.dataset.show);
page.classList.add("ready");
