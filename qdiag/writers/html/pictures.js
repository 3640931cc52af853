// The small pictures of the layer panel.
const HEIGHT = 132;

function frame(stage, low, high, options) {
  const width = stage.clientWidth;
  const box = { left: 40, right: width - 4, top: 8, bottom: HEIGHT - 20 };
  const y = scale(low, high, box.bottom, box.top);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT });
  for (const tick of options.ticks || ticks(low, high, 3)) {
    picture.append(svg("line", { class: tick === 0 ? "zero" : "grid", x1: box.left, x2: box.right, y1: y(tick), y2: y(tick) }));
    const text = options.say ? options.say(tick) : figure(tick);
    picture.append(svg("text", { class: "tick", x: box.left - 5, y: y(tick) + 3.5, "text-anchor": "end" }, text));
  }
  return { picture, box, y };
}

// Adds the cursor, puts the picture into the page, and lets it be read point by point.
function finish(stage, picture, box, count, x, label, say) {
  const mark = svg("line", { class: "cursor", y1: box.top, y2: box.bottom, visibility: "hidden" });
  const readout = stage.parentElement.querySelector("[data-readout]");
  const resting = readout.dataset.resting || (readout.dataset.resting = readout.textContent);
  picture.append(mark);
  stage.replaceChildren(picture);
  const step = count > 1 ? x(1) - x(0) : 1;
  scrub(picture, {
    label,
    count: () => count,
    at: (pixel) => Math.round(clamp((pixel - x(0)) / step, 0, count - 1)),
    say,
    show: (i) => {
      build(mark, { x1: x(i), x2: x(i), visibility: "visible" }, []);
      readout.textContent = held(say(i));
    },
    hide: () => {
      mark.setAttribute("visibility", "hidden");
      readout.textContent = resting;
    },
  });
}

function histogramNote(layer) {
  const grid = layer.grid;
  if (!grid) return "Counts on a log scale; in float.";
  const steps = grid.step === null ? `on ${grid.levels} levels at uneven distances` : `in steps of ${figure(grid.step)}`;
  return `Counts on a log scale; the quantizer holds ${figure(grid.low)} to ${figure(grid.high)} ${steps}.`;
}

function drawHistogram(stage, layer) {
  const { start, width: bin, counts } = layer.histogram;
  const total = counts.reduce((a, b) => a + b, 0);
  const top = Math.log10(Math.max(...counts) + 1);
  const powers = Array.from({ length: Math.floor(top) + 1 }, (_, i) => i).filter((p) => p % Math.ceil((top + 1) / 4) === 0);
  const { picture, box, y } = frame(stage, 0, top * 1.04 || 1, { ticks: powers, say: (p) => (p ? `10${superscript(p)}` : "1") });
  const grid = layer.grid && Number.isFinite(num(layer.grid.low)) && Number.isFinite(num(layer.grid.high)) ? layer.grid : null;
  // The outer bins reach beyond the values in them.
  const within = (value, edge) => (Math.abs(num(value) - edge) <= bin ? num(value) : edge);
  const first = within(layer.histogram.min, start);
  const end = Math.max(within(layer.histogram.max, start + bin * counts.length), first + bin / 8);
  const low = grid ? Math.min(first, Math.max(grid.low, first - (end - first))) : first;
  const high = grid ? Math.max(end, Math.min(grid.high, end + (end - first))) : end;
  const x = scale(low, high, box.left + 2, box.right - 2);
  if (grid) {
    const outside = (from, to) => to > from && picture.append(svg("rect", { class: "outside", x: x(from), y: box.top, width: x(to) - x(from), height: box.bottom - box.top }));
    if (grid.clips) {
      outside(low, Math.min(grid.low, high));
      outside(Math.max(grid.high, low), high);
    }
    if (grid.levels <= 64) {
      for (const value of grid.step === null ? grid.values : Array.from({ length: grid.levels }, (_, i) => grid.low + i * grid.step)) {
        const at = x(value);
        if (at >= box.left && at <= box.right) picture.append(svg("line", { class: "level", x1: at, x2: at, y1: box.bottom, y2: box.bottom + 4 }));
      }
    }
  }
  counts.forEach((count, i) => {
    if (!count) return;
    const left = x(Math.max(low, start + i * bin));
    const right = x(Math.min(high, start + (i + 1) * bin));
    const height = box.bottom - y(Math.log10(count + 1));
    picture.append(svg("rect", { class: "bin", x: left, y: box.bottom - height, width: Math.max(1.2, right - left - 0.5), height }));
  });
  for (const at of grid && grid.clips ? [grid.low, grid.high] : []) {
    if (at >= low && at <= high) picture.append(svg("line", { class: "limit", x1: x(at), x2: x(at), y1: box.top - 4, y2: box.bottom + 4 }));
  }
  axisBelow(picture, box, x, ticks(low, high, 5));
  const middle = (i) => clamp(x(start + (i + 0.5) * bin), box.left, box.right);
  const say = (i) => `${figure(start + i * bin)} to ${figure(start + (i + 1) * bin)}: ${counts[i]} values, ${figure((100 * counts[i]) / total)} %`;
  finish(stage, picture, box, counts.length, middle, "Histogram of the output; arrow keys move from bin to bin", say);
}

function superscript(power) {
  return String(power).replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);
}

function axisBelow(picture, box, x, at) {
  for (const tick of at) {
    picture.append(svg("text", { class: "tick", x: x(tick), y: box.bottom + 15, "text-anchor": "middle" }, figure(tick)));
  }
}

function groupWords(part, i) {
  if (part.per === 1) return `channel ${i}`;
  return `channels ${i * part.per} to ${Math.min(part.count, (i + 1) * part.per) - 1}`;
}

// Of several findings the first is the most specific: together they may name every channel.
function namedBy(layer) {
  return layer.findings.find((finding) => finding.channels.length) || { code: "", channels: [] };
}

function whiskerNote(layer, part) {
  const shared = part.per > 1 ? `, ${part.per} to a line` : "";
  const { code } = namedBy(layer);
  return `${part.count} channels${shared}${code && `; marked: those of ${code}`}.`;
}

function drawWhiskers(stage, layer, part, label, grid) {
  const lows = part.low.map(num);
  const highs = part.high.map(num);
  const finite = [...lows, ...highs].filter(Number.isFinite);
  const low = Math.min(0, ...finite);
  const high = Math.max(0, ...finite);
  const { picture, box, y } = frame(stage, low, high > low ? high : low + 1, {});
  const step = (box.right - box.left) / lows.length;
  const x = (i) => box.left + (i + 0.5) * step;
  const marked = new Set(namedBy(layer).channels.map((channel) => Math.floor(channel / part.per)));
  lows.forEach((value, i) => {
    if (!Number.isFinite(value) || !Number.isFinite(highs[i])) return;
    const line = { x: x(i) - Math.min(3, step * 0.35), width: Math.min(6, step * 0.7), y: y(highs[i]), height: Math.max(1, y(value) - y(highs[i])) };
    picture.append(svg("rect", { class: marked.has(i) ? "whisker marked" : "whisker", rx: Math.min(1.5, step / 4), ...line }));
  });
  for (const at of grid && grid.clips ? [num(grid.low), num(grid.high)] : []) {
    if (at >= low && at <= high) picture.append(svg("line", { class: "limit", x1: box.left, x2: box.right, y1: y(at), y2: y(at) }));
  }
  axisBelow(picture, box, (channel) => x(channel / part.per), ticks(0, part.count - 1, 5).filter(Number.isInteger));
  const say = (i) => `${groupWords(part, i)}: ${figure(part.low[i])} to ${figure(part.high[i])}`;
  finish(stage, picture, box, lows.length, x, `${label}; arrow keys move from channel to channel`, say);
}

function drawLosses(stage, layer) {
  const powers = layer.losses.map((loss) => num(loss.power));
  const total = powers.filter(Number.isFinite).reduce((a, b) => a + b, 0);
  const rows = layer.losses.map((loss, i) => {
    const share = total > 0 && Number.isFinite(powers[i]) ? (100 * powers[i]) / total : 0;
    return html("tr", {}, html("th", { scope: "row" }, loss.name),
      html("td", { class: "bar" }, html("i", { style: `width:${share.toFixed(1)}%` })),
      html("td", {}, `${share >= 0.1 || !share ? share.toFixed(share < 10 && share ? 1 : 0) : "< 0.1"} %`),
      html("td", {}, decibel(loss.sqnr)));
  });
  stage.replaceChildren(html("table", { class: "losses" }, html("tbody", {}, rows)));
}

function drawGains(stage, layer) {
  const part = layer.norm;
  const gains = part.gain.map(num);
  const positive = gains.filter((gain) => gain > 0 && Number.isFinite(gain)).map(Math.log10);
  const low = positive.length ? Math.floor(Math.min(...positive)) : -1;
  const high = positive.length ? Math.max(low + 1, Math.ceil(Math.max(...positive))) : 1;
  const powers = Array.from({ length: high - low + 1 }, (_, i) => low + i);
  const { picture, box, y } = frame(stage, low, high, { ticks: powers, say: (power) => figure(10 ** power) });
  const step = (box.right - box.left) / gains.length;
  const x = (i) => box.left + (i + 0.5) * step;
  const [dead, outliers] = [new Set(part.dead), new Set(part.outliers)];
  gains.forEach((gain, i) => {
    if (Number.isNaN(gain)) return;
    const at = y(clamp(Math.log10(Math.max(gain, 1e-30)), low, high));
    if (dead.has(i)) picture.append(svg("path", { class: "dead", d: "M-3.5-3.5L3.5 3.5M3.5-3.5L-3.5 3.5", transform: `translate(${x(i)} ${at})` }));
    else picture.append(svg("circle", { class: outliers.has(i) ? "gain marked" : "gain", cx: x(i), cy: at, r: clamp(step / 3, 1.2, 3) }));
  });
  axisBelow(picture, box, (channel) => x(channel / part.per), ticks(0, part.count - 1, 5).filter(Number.isInteger));
  const kind = (i) => (dead.has(i) ? ", dead" : outliers.has(i) ? ", outlier" : "");
  const say = (i) => `${groupWords(part, i)}: gain ${figure(gains[i])}${kind(i)}`;
  finish(stage, picture, box, gains.length, x, "BatchNorm gain; arrow keys move from channel to channel", say);
}

const PICTURES = {
  histogram: drawHistogram,
  weights: (stage, layer) => drawWhiskers(stage, layer, layer.weights, "Weight ranges", null),
  channels: (stage, layer) => drawWhiskers(stage, layer, layer.channels, "Output ranges", layer.grid),
  losses: drawLosses,
  gains: drawGains,
};
