// Arrays as numbers or as heat maps: diverging around 0, each with the range it spans.

const MOST_NUMBERS = 30; // an array of so many elements, in so many columns, is shown as numbers
const MOST_COLUMNS = 6;
const MOST_LINES = 8;
const WRAPPED = 32; // a longer vector is drawn in several lines
const BOX = { width: 168, height: 112, cell: 14 };

const magnitude = (values) => Math.max(0, ...values.filter(Number.isFinite).map(Math.abs));

/** The array as the matrix that is drawn: its rows, columns and values; null where the scene has statistics only. */
function matrix(array) {
  const { shape, values, blocks } = array;
  if (!values) return blocks && { ...blocks, summary: true };
  const columns = shape.at(-1) ?? 1;
  const rows = columns ? values.length / columns : 0;
  const vector = Math.min(rows, columns) === 1 && values.length > WRAPPED;
  return vector ? { rows: Math.ceil(values.length / WRAPPED), columns: WRAPPED, values } : { rows, columns, values };
}

/** The position of the i-th element in an array of this shape, as one writes it in brackets. */
function position(i, shape) {
  const index = [];
  for (const n of [...shape].reverse()) {
    index.unshift(i % n);
    i = Math.floor(i / n);
  }
  return `[${index.join(", ")}]`;
}

/** Towards which colour of the style sheet a value is drawn, and how far. */
function shade(value, largest) {
  if (value === "nan") return ["nan", 1];
  const share = typeof value === "number" ? Math.abs(value) / (largest || 1) : 1;
  return [value === "-inf" || value < 0 ? "negative" : "positive", share];
}

/** A colour of the style sheet as red, green and blue, in the theme of the moment. */
function colour(name) {
  const probe = document.body.appendChild(make("i", { style: `color: var(--${name})` }));
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color
    .match(/[\d.]+/g)
    .slice(0, 3)
    .map(Number);
}

function paint(canvas, { rows, columns, values }) {
  const colours = Object.fromEntries(["zero", "negative", "positive", "nan"].map((name) => [name, colour(name)]));
  const largest = magnitude(values);
  const pixels = new ImageData(columns, rows);
  values.forEach((value, i) => {
    const [end, share] = shade(value, largest);
    const mixed = colours.zero.map((part, j) => part + share * (colours[end][j] - part));
    pixels.data.set([...mixed, 255], 4 * i);
  });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** Numbers in a table, with the numbers of rows and columns where it has both. */
function numbers(array, { rows, columns, values }, label, tell) {
  const largest = magnitude(values);
  const cells = values.map((value, i) => {
    const [end, share] = shade(value, largest);
    const style = `background: color-mix(in srgb, var(--${end}) ${Math.round(share * 100)}%, var(--zero))`;
    const title = `${position(i, array.shape)} ${value}`;
    return make("td", { style, title, "data-at": i, class: share > 0.6 && "strong" }, short(value, 3));
  });
  const two = array.shape.length === 2;
  const heads = (n) => Array.from({ length: n }, (_, i) => make("th", { "aria-hidden": "true" }, String(i)));
  const [above, beside] = [heads(columns), heads(rows)];
  const lines = beside.map((head, row) =>
    make("tr", two && head, cells.slice(row * columns, (row + 1) * columns)),
  );
  const table = make("table.numbers", make("tbody", two && make("tr", make("th"), above), lines));
  return tell ? telling(table, cells, columns, label, tell) : table;
}

/** How the arrow keys move in an array of so many elements: from one place to another; undefined for other keys. */
function moved(key, at, columns, size) {
  const far = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -at, End: size - 1 - at };
  return Object.hasOwn(far, key) ? at + far[key] : undefined;
}

/** A table that tells, on hover and to the arrow keys, what each of its numbers is made of, and lights that up. */
function telling(table, cells, columns, label, tell) {
  let at = 0;
  const light = (on) => {
    const tables = [...(table.closest("ol")?.querySelectorAll("figure") ?? [])].map((one) => one.querySelectorAll("td"));
    for (const lit of tables.flatMap((one) => [...one])) lit.classList.remove("read");
    if (on) tell(at).forEach((places, k) => places.forEach((place) => tables[k][place]?.classList.add("read")));
    if (on) cells[at].classList.add("read");
    else tell(null);
  };
  const read = (i) => {
    if (!(i >= 0 && i < cells.length)) return;
    at = i;
    light(true);
  };
  const move = (event) => {
    const to = moved(event.key, at, columns, cells.length);
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    read(to);
  };
  const hover = ({ target }) => target.dataset?.at && read(Number(target.dataset.at));
  const leave = () => light(false);
  const says = `${label}; arrow keys tell how each number came about`;
  const listeners = { mouseover: hover, mouseleave: leave, focus: () => read(at), blur: leave, keydown: move };
  return fill(table, [{ tabindex: 0, "aria-label": says }, listeners]);
}

/** A heat map whose numbers are read with the pointer, or with the arrow keys once it has the focus. */
function heatMap(array, { rows, columns, values, summary }, label, readout, tell) {
  const cursor = make("i.cursor", { hidden: true });
  let at = 0;
  const read = (i) => {
    if (i < 0 || i >= values.length) return;
    at = i;
    const place = summary
      ? `block ${position(i, [rows, columns])} of ${rows} × ${columns}, mean`
      : position(i, array.shape);
    readout.textContent = `${place} ${values[i]}`;
    tell?.(i);
    cursor.hidden = false;
    cursor.style.left = `${((i % columns) / columns) * 100}%`;
    cursor.style.top = `${(Math.floor(i / columns) / rows) * 100}%`;
  };
  const leave = () => {
    readout.textContent = "";
    cursor.hidden = true;
    tell?.(null);
  };
  const point = ({ target, offsetX, offsetY }) => {
    const [row, column] = [(offsetY / target.offsetHeight) * rows, (offsetX / target.offsetWidth) * columns].map(
      Math.floor,
    );
    read(Math.min(rows - 1, row) * columns + Math.min(columns - 1, column));
  };
  const move = (event) => {
    const to = moved(event.key, at, columns, values.length);
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    read(to);
  };
  const range = `from ${short(array.min)} to ${short(array.max)}, mean ${short(array.mean)}`;
  const says = `${label}, ${typed(array)}, ${range}; arrow keys read single numbers`;
  const listeners = { mousemove: point, mouseleave: leave, focus: () => read(at), blur: leave, keydown: move };
  const canvas = make("canvas", { width: columns, height: rows, tabindex: 0, role: "img", "aria-label": says }, listeners);
  paint(canvas, { rows, columns, values });
  const map = make("div.map", canvas, cursor);
  map.style.width = `${Math.min(BOX.width, columns * BOX.cell)}px`;
  map.style.height = `${Math.min(BOX.height, rows * BOX.cell)}px`;
  cursor.style.width = `${100 / columns}%`;
  cursor.style.height = `${100 / rows}%`;
  return map;
}

function legend(largest) {
  const [low, high] = [-largest, largest].map((end) => make("span", short(end, 3)));
  return make("div.legend", { "aria-hidden": "true" }, low, make("i"), high);
}

function statistics({ min, mean, max, nan, inf }) {
  const odd = [nan && `${nan} NaN`, inf && `${inf} inf`].filter(Boolean).join(", ");
  const item = ([name, value]) => make("div", make("dt", name), make("dd", { title: value }, short(value, 3)));
  return [min !== null && make("dl.statistics", Object.entries({ min, mean, max }).map(item)), odd && make("p.odd", odd)];
}

/** What is drawn of an array: a number, numbers, or a heat map, with the range of its colours. */
function drawing(array, label, tell) {
  const drawn = matrix(array);
  if (!drawn?.values.length) return make("p.dim", drawn ? "empty" : "not shown: the tape is long");
  const { rows, columns, values, summary } = drawn;
  if (!array.shape.length) {
    tell?.(0);
    return make("p.scalar", { title: values[0] }, short(values[0], 6));
  }
  const small = !summary && values.length <= MOST_NUMBERS && columns <= MOST_COLUMNS && rows <= MOST_LINES;
  const readout = make("output");
  return [
    small ? numbers(array, drawn, label, tell) : heatMap(array, drawn, label, readout, tell),
    make("div.under", legend(magnitude(values)), readout),
    summary && make("small", `means of ${rows} × ${columns} blocks`),
  ];
}

/** An array with its label and its minimum, mean and maximum; `tell` says how its i-th element came about. */
function figure(label, array, missing = "not recorded", tell = undefined) {
  const caption = make("figcaption", label);
  if (!array) return make("figure.missing", caption, make("p", missing));
  return make("figure", caption, drawing(array, label, tell), array.shape.length > 0 && statistics(array));
}
