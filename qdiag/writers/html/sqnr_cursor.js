// What moves over the SQNR chart: the cursor with its numbers, and a range of layers drawn with the mouse.
Object.assign(SqnrChart.prototype, {
  show(i, how) {
    this.cursor = this.from + i;
    const layer = this.layers[i];
    const { x, y, box } = this;
    this.focusMark.replaceChildren(svg("line", { x1: x(i), x2: x(i), y1: box.top, y2: box.bottom }));
    for (const { key } of LINES) {
      const value = num(layer[key]);
      if (Number.isFinite(value) && !this.hidden.has(key)) {
        this.focusMark.append(svg("circle", { class: key, cx: x(i), cy: y(value), r: 4.5 }));
      }
    }
    const rows = LINES.map(({ key }) =>
      html("div", { class: `key ${key}` }, html("span", {}, key), html("b", {}, decibel(layer[key])))).reverse();
    const found = layer.findings.map((finding) => finding.code);
    this.tip.replaceChildren(
      html("strong", {}, layer.name),
      html("span", { class: "quiet" }, layer.op),
      ...rows,
      ...(found.length ? [html("span", { class: "codes" }, [...new Set(found)].join(" "))] : []),
    );
    this.tip.hidden = false;
    const width = this.tip.offsetWidth;
    const right = x(i) + 14 + width < this.stage.clientWidth;
    this.tip.style.left = `${clamp(right ? x(i) + 14 : x(i) - 14 - width, 0, Math.max(0, this.stage.clientWidth - width))}px`;
    if (how === "key") followPanel(this.run, this.cursor);
  },

  hide() {
    this.focusMark.replaceChildren();
    this.tip.hidden = true;
  },
});

// A press that moves selects layers to zoom to; one that does not is a click, which opens the layer.
function zoomByDrag(chart) {
  const picture = chart.picture;
  const index = (event) => {
    const at = event.clientX - picture.getBoundingClientRect().left;
    return Math.round(clamp((at - chart.x(0)) / (chart.x(1) - chart.x(0)), 0, chart.layers.length - 1));
  };
  let start = null;
  let band = null;
  picture.addEventListener("pointerdown", (event) => {
    if (event.button === 0) start = { pixel: event.clientX, index: index(event) };
  });
  picture.addEventListener("pointermove", (event) => {
    if (!start || event.pointerType === "touch" || Math.abs(event.clientX - start.pixel) < 8) return;
    band = band || picture.appendChild(svg("rect", { class: "band" }));
    const [from, to] = [start.index, index(event)].sort((a, b) => a - b);
    const { box } = chart;
    build(band, { x: chart.x(from), y: box.top, width: chart.x(to) - chart.x(from), height: box.bottom - box.top }, []);
  });
  picture.addEventListener("pointerup", (event) => {
    if (!start) return;
    const [from, to] = [start.index, index(event)].sort((a, b) => a - b);
    const dragged = band !== null;
    if (band) band.remove();
    start = band = null;
    if (!dragged) openPanel(chart.run, chart.from + index(event), picture);
    else if (to - from >= 2) chart.span(chart.from + from, chart.from + to);
  });
  picture.addEventListener("pointerleave", () => {
    if (band) band.remove();
    start = band = null;
  });
}
