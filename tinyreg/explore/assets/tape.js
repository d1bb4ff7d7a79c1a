// The tape as rows, of which only those in sight are in the document, and the arcs beside them.

const HEIGHT = 26; // of a row, in pixels, as in the style sheet
const AROUND = 8; // rows drawn beyond what is in sight
const GUTTER = 58;
const MANY_LEAVES = 24; // more than these are folded at first
const MANY_USERS = 12;

const closed = new Set(leaves.length > MANY_LEAVES ? ["leaves"] : []);
groups.forEach((group, index) => group.closed && closed.add(`g${index}`));
const spans = new Map(); // from an entry to the layers that begin with it, outermost first
groups.forEach((group, index) => push(spans, group.first, index));
for (const starting of spans.values()) starting.sort((a, b) => groups[b].last - groups[a].last || a - b);

let rows = []; // what can be scrolled to: {key, kind, depth, ...}
let rowOf = new Map(); // from the key of a leaf, entry or layer to the index of the row that shows it
let links = []; // for each row, the rows that its inputs come from
let linked = []; // and those that it goes to

function ancestors(index) {
  return index == null ? [] : [...ancestors(groups[index].parent), index];
}

/** Lay out the rows: leaves first, then the entries under the layers that are open. */
function layOut() {
  rows = [];
  rowOf = new Map();
  const add = (key, kind, index, depth, shown = true) => {
    if (shown) rows.push({ key, kind, index, depth });
    rowOf.set(key, rows.length - 1);
  };
  if (leaves.length) add("leaves", "leaves", null, 1);
  leaves.forEach((_, i) => add(`l${i}`, "leaf", i, 2, !closed.has("leaves")));
  let hiddenTo = -1;
  for (const { number, group } of entries) {
    for (const index of spans.get(number) ?? []) {
      add(`g${index}`, "group", index, ancestors(index).length, number > hiddenTo);
      if (closed.has(`g${index}`)) hiddenTo = Math.max(hiddenTo, groups[index].last);
    }
    add(`e${number}`, "entry", number, ancestors(group).length + 1, number > hiddenTo);
  }
  linkRows();
  byId("layers").textContent = groups.some((_, i) => !closed.has(`g${i}`)) ? "Close layers" : "Open layers";
}

function linkRows() {
  links = rows.map(() => new Set());
  linked = rows.map(() => new Set());
  for (const entry of entries) {
    const to = rowOf.get(`e${entry.number}`);
    for (const key of entry.inputs.map(slot)) {
      const from = key && rowOf.get(rowKey(key));
      if (key && from !== to) (links[to].add(from), linked[from].add(to));
    }
  }
}

/** Open what hides a row. */
function reveal(key) {
  const hiding = key[0] === "l" ? ["leaves"] : ancestors(entries[key.slice(1)]?.group).map((index) => `g${index}`);
  if (hiding.filter((group) => closed.delete(group)).length) layOut();
}

/** The share of its gradient that a row has by now, with words for it. */
function ring(key, at) {
  const { got, of } = gathered(key, at);
  if (isForward(at) || !of) return null;
  const words = got === of ? "gradient complete" : `${got} of ${of} contributions`;
  const icon = make("i.ring", { style: `--part: ${got / of}`, role: "img", "aria-label": words });
  return make("span", { title: words }, of > 1 && make("small", { "aria-hidden": "true" }, `${got}/${of}`), icon);
}

function called({ op, call }) {
  return call.startsWith(op) ? [make("b", op), call.slice(op.length)] : call;
}

const size = (n) => (n ? bytes(n) : "");

const typedCell = ({ dtype, shape }, i) => [i ? ", " : "", tuple(shape), make("small", ` ${dtype}`)];

/** The cells of a row: number, call, result, bytes saved, and the part of its gradient. */
function cells({ kind, index, key }, at) {
  if (kind === "entry") {
    const entry = entries[index];
    return [numbered(index), called(entry), entry.results.map(typedCell), size(bytesSaved(entry)), ring(key, at)];
  }
  if (kind === "leaf") return ["", make("b", leaves[index].label), typedCell(leaves[index]), "", ring(key, at)];
  const twisty = make("i.twisty", { "aria-hidden": "true" });
  if (kind === "leaves") return ["", [twisty, "Leaves"], count(leaves.length, "leaf", "leaves"), "", ""];
  const { label, first, last } = groups[index];
  const saved = total(entries.slice(first, last + 1).map(bytesSaved));
  return ["", [twisty, label], count(last - first + 1, "entry", "entries"), size(saved), ""];
}

const COLUMNS = ["number", "call", "result", "saved", "mark"];

function rowElement(at, state) {
  const { key, kind, index, depth } = rows[at];
  const signs = {
    chosen: at === state.row,
    now: at === state.now,
    hit: state.hits.has(key),
    same: kind === "entry" && sameLine(entries[index], entries[steps[state.step]?.entry]),
  };
  const attributes = {
    role: "row",
    id: `row-${key}`,
    class: ["row", kind, ...Object.keys(signs).filter((sign) => signs[sign])].join(" "),
    style: `top: ${at * HEIGHT}px; --depth: ${depth - 1}`,
    title: { entry: entries, leaf: leaves, group: groups }[kind]?.[index][kind === "entry" ? "call" : "label"],
    "data-key": key,
    "aria-rowindex": at + 2,
    "aria-level": depth,
    "aria-selected": String(signs.chosen),
    "aria-expanded": (kind === "group" || kind === "leaves") && String(!closed.has(key)),
  };
  const cell = (content, i) => make(`span.${COLUMNS[i]}`, { role: "gridcell" }, content);
  return make("div", attributes, cells(rows[at], state.step).map(cell));
}

const sameLine = (a, b) => a?.line && b?.line && a.line.source === b.line.source && a.line.number === b.line.number;

/** Put the rows in sight, and their arcs, into the document. */
function renderRows(state) {
  const view = byId("rows");
  const top = view.scrollTop;
  const first = Math.max(0, Math.floor(top / HEIGHT) - AROUND);
  const last = Math.min(rows.length, Math.ceil((top + view.clientHeight) / HEIGHT) + AROUND);
  const shown = byId("window");
  shown.style.height = `${rows.length * HEIGHT}px`;
  const arcs = byId("arcs");
  shown.replaceChildren(arcs, ...Array.from({ length: last - first }, (_, i) => rowElement(first + i, state)));
  arcs.replaceChildren(...arcElements(first, last, state));
  view.setAttribute("aria-rowcount", rows.length + 1);
  const inSight = state.row >= first && state.row < last;
  if (inSight) view.setAttribute("aria-activedescendant", `row-${rows[state.row].key}`);
  else view.removeAttribute("aria-activedescendant");
}

function scrollToRow(index) {
  const view = byId("rows");
  const room = view.clientHeight - HEIGHT; // below the head
  const top = index * HEIGHT;
  if (top < view.scrollTop + HEIGHT || top > view.scrollTop + room - 2 * HEIGHT)
    view.scrollTop = Math.round(top - room / 2.5);
}

// ---- arcs

const middle = (index) => index * HEIGHT + HEIGHT / 2;

function arc(from, to, kind) {
  const right = GUTTER - 7;
  const left = right - Math.min(GUTTER - 14, 3 + 7 * Math.sqrt(Math.abs(from - to)));
  const [start, end] = [middle(from), middle(to)];
  const turn = Math.sign(end - start) * Math.min(Math.abs(end - start) / 2, 3 * HEIGHT);
  return draw("path", {
    class: kind,
    d: `M${right} ${start}Q${left} ${start} ${left} ${start + turn}V${end - turn}Q${left} ${end} ${right} ${end}`,
  });
}

const tip = (index, kind) => draw("path", { class: `${kind} tip`, d: `M${GUTTER - 3} ${middle(index)}l-7 -3.5v7z` });

/** Dots for the rows in sight, and the arcs that begin or end there; of those that begin, as many as one can tell apart. */
function arcElements(first, last, { step, now }) {
  const drawn = [];
  for (let row = first; row < last; row++) {
    const { kind } = rows[row];
    drawn.push(draw("circle", { cx: GUTTER - 7, cy: middle(row), r: kind === "leaf" ? 2.5 : 1.5 }));
    const sources = [...links[row]].filter((from) => from >= first || /entry|group/.test(rows[from].kind));
    drawn.push(...sources.map((from) => arc(from, row, "faint")));
    const users = kind === "entry" ? [...linked[row]].filter((to) => to >= last) : [];
    drawn.push(...users.slice(0, MANY_USERS).map((to) => arc(row, to, "faint")));
  }
  return now === undefined ? drawn : [...drawn, ...lit(steps[step], now)];
}

/** The arcs of the current step: from the inputs, from where the gradient came, or to where a contribution goes. */
function lit(step, now) {
  const kind = step.kind === "forward" ? "lit forward" : "lit backward";
  if (step.kind === "forward")
    return [...[...links[now]].map((from) => arc(from, now, kind)), ...(links[now].size ? [tip(now, kind)] : [])];
  if (step.kind === "begins") return [...[...linked[now]].map((to) => arc(to, now, kind)), tip(now, kind)];
  const target = rowOf.get(rowKey(slot(step.given.to)));
  return target === now ? [] : [arc(now, target, kind), tip(target, kind)];
}
