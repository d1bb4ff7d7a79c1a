// Builders and formats. What comes from the scene enters the page as text, never as markup.

const byId = (id) => document.getElementById(id);

/** Put attributes, listeners (functions) and children on an element; what is false or missing is left out. */
function fill(element, parts) {
  for (const part of parts.flat(Infinity)) {
    if (part === undefined || part === null || part === false || part === "") continue;
    if (part.constructor !== Object) element.append(part);
    else for (const [name, value] of Object.entries(part)) set(element, name, value);
  }
  return element;
}

function set(element, name, value) {
  if (typeof value === "function") element.addEventListener(name, value);
  else if (value !== false && value !== undefined && value !== null)
    element.setAttribute(name, value === true ? "" : value);
}

/** An element from "tag.class", with attributes as plain objects and children among its parts. */
function make(tag, ...parts) {
  const [name, kind] = tag.split(".");
  return fill(document.createElement(name), [kind && { class: kind }, ...parts]);
}

const SVG = "http://www.w3.org/2000/svg";
const draw = (tag, attributes) => fill(document.createElementNS(SVG, tag), [attributes]);

/** A number in a few digits; NaN and infinities are strings in the scene. */
function short(value, digits = 4) {
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  if (size && (size < 1e-3 || size >= 1e6)) return value.toExponential(digits - 2).replace("e+", "e");
  return String(Number(value.toPrecision(digits)));
}

/** A shape as Python writes it: (), (3,), (2, 3). */
const tuple = (shape) => `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;

const typed = ({ dtype, shape }) => `${dtype} ${tuple(shape)}`;

function bytes(n) {
  if (n < 1024) return `${n} B`;
  const power = Math.min(3, Math.floor(Math.log2(n) / 10));
  const size = n / 1024 ** power;
  return `${size < 10 ? size.toFixed(1) : Math.round(size)} ${["", "KiB", "MiB", "GiB"][power]}`;
}

const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

const KEYWORDS =
  "and as assert break class continue def del elif else except finally for from if import in is lambda not or pass raise " +
  "return try while with yield None True False";
const TOKENS = new RegExp(
  [
    /(?<comment>#.*)/.source,
    /(?<string>[rbf]*(?:"""[\s\S]*?"""|'''[\s\S]*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))/.source,
    /(?<decorator>@[A-Za-z_][\w.]*)/.source,
    `\\b(?<keyword>${KEYWORDS.replaceAll(" ", "|")})\\b`,
    /\b(?<number>\d[\d_]*\.?\d*(?:e[+-]?\d+)?)\b/.source,
  ].join("|"),
  "g",
);

/** Python lightly highlighted: for each line its pieces, as text nodes and spans. */
function highlighted(text) {
  const lines = [[]];
  const add = (piece, kind) =>
    piece.split("\n").forEach((part, i) => {
      if (i) lines.push([]);
      if (part) lines.at(-1).push(kind ? make(`span.${kind}`, part) : part);
    });
  let end = 0;
  for (const match of text.matchAll(TOKENS)) {
    add(text.slice(end, match.index));
    add(
      match[0],
      Object.keys(match.groups).find((kind) => match.groups[kind] !== undefined),
    );
    end = match.index + match[0].length;
  }
  add(text.slice(end));
  return lines;
}
