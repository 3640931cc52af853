// Numbers, elements, scales: what every chart needs. What a name says reaches the page through textContent alone.
const DATA = JSON.parse(document.getElementById("qdiag-data").textContent);
const NON_FINITE = { Infinity: Infinity, "-Infinity": -Infinity, NaN: NaN };
const SVG = "http://www.w3.org/2000/svg";

// JSON has no infinity and no NaN: they come as strings, and what is missing as null.
function num(value) {
  if (value === null || value === undefined) return NaN;
  return typeof value === "string" ? NON_FINITE[value] : value;
}

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  const isCopied = element.matches("button, code");
  for (const child of children.flat()) {
    if (child !== null && child !== undefined) element.append(typeof child === "string" && !isCopied ? held(child) : child);
  }
  return element;
}

// No line ends between a number and its unit.
const BEFORE_UNIT = new RegExp(`(\\d) (?=(?:${DATA.units})(?![\\w%]))`, "g");
const held = (text) => text.replace(BEFORE_UNIT, "$1\u00a0");

const html = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => build(document.createElementNS(SVG, tag), attributes, children);

function infinite(value) {
  return value > 0 ? "∞" : "−∞";
}

function decibel(value, unit = " dB") {
  const x = num(value);
  if (Number.isNaN(x)) return "–";
  return (Number.isFinite(x) ? x.toFixed(1).replace("-", "−") : infinite(x)) + unit;
}

function figure(value) {
  const x = num(value);
  if (Number.isNaN(x)) return "–";
  if (!Number.isFinite(x)) return infinite(x);
  const size = Math.abs(x);
  const text = size !== 0 && (size >= 1e5 || size < 1e-3) ? x.toExponential(1) : String(Number(x.toPrecision(3)));
  return text.replace("-", "−");
}

// Further rows of a table are text in a <noscript> behind it, which no browser has to read until they are asked for.
// The text is markup of the template, in which names are escaped.
function fillTable(table) {
  const rest = table.parentElement.querySelector("noscript");
  if (!rest) return;
  const read = document.createElement("template");
  read.innerHTML = rest.textContent;
  table.tBodies[0].append(...read.content.querySelectorAll("tbody tr"));
  rest.remove();
}

// Steps of 1, 2 or 5 times a power of ten, about `count` of them.
function ticks(low, high, count) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) || 10);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function scale(low, high, from, to) {
  const span = high - low || 1;
  return (value) => from + ((value - low) / span) * (to - from);
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

// Both ends of a long path stay, where layers differ.
function shorten(text, width) {
  if (text.length <= width) return text;
  const tail = Math.floor(((width - 1) * 2) / 3);
  return `${text.slice(0, width - 1 - tail)}…${text.slice(text.length - tail)}`;
}

// A path through the finite points; what is not finite leaves a gap.
function linePath(values, x, y) {
  let path = "";
  let pen = "M";
  values.forEach((value, i) => {
    if (Number.isFinite(value)) {
      path += `${pen}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
    } else pen = "M";
  });
  return path;
}

// A picture that can be read point by point: with the mouse, or focused and with the arrow keys. To a screen reader it
// is a slider whose value is the sentence of the point.
function scrub(picture, options) {
  const { count, at, say, label, show, hide, enter } = options;
  let current = options.start || 0;
  const go = (index, how) => {
    current = clamp(index, 0, count() - 1);
    picture.setAttribute("aria-valuenow", current + 1);
    picture.setAttribute("aria-valuetext", say(current));
    if (how) show(current, how);
  };
  const attributes = { tabindex: 0, role: "slider", "aria-label": label, "aria-valuemin": 1, "aria-valuemax": count() };
  build(picture, { ...attributes, "aria-orientation": "horizontal" }, []);
  go(current);
  picture.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(2, Math.round(count() / 10));
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: page, PageDown: -page }[event.key];
    if (by) go(current + by, "key");
    else if (event.key === "Home") go(0, "key");
    else if (event.key === "End") go(count() - 1, "key");
    else if ((event.key === "Enter" || event.key === " ") && enter) enter(current);
    else return;
    event.preventDefault();
  });
  picture.addEventListener("focus", () => picture.matches(":focus-visible") && show(current, "focus"));
  picture.addEventListener("blur", hide);
  picture.addEventListener("pointermove", (event) => {
    const index = at(event.clientX - picture.getBoundingClientRect().left);
    go(index, "mouse");
  });
  picture.addEventListener("pointerleave", () => picture === document.activeElement || hide());
}
