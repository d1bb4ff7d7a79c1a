// The whole graph as a picture: what is open on the tape as boxes, each with its value and its gradient, earlier above later.

const NODE = { width: 196, height: 56, across: 24, down: 34 };
const MOST_NODES = 400; // that one can see something in

/** A value in few words: its numbers where they are few, otherwise its mean. */
function brief(array) {
  if (!array) return "–";
  const { values, shape, mean } = array;
  if (!shape.length) return short(values?.[0] ?? mean, 4);
  if (values && values.length <= 3) return `[${values.map((value) => short(value, 3)).join(", ")}]`;
  return mean === null ? tuple(shape) : `${tuple(shape)} mean ${short(mean, 3)}`;
}

function described({ kind, index }) {
  if (kind === "leaf") return { title: leaves[index].label, of: leaves[index] };
  if (kind === "entry") return { title: `${numbered(index)} ${entries[index].op}`, of: entries[index].results[0] };
  if (kind === "leaves") return { title: count(leaves.length, "leaf", "leaves") };
  const { label, first, last } = groups[index];
  return { title: label, note: count(last - first + 1, "entry", "entries") };
}

/** The rows that are nodes: all but the heads of layers that are open. */
const isNode = ({ kind, key }) => kind === "leaf" || kind === "entry" || closed.has(key);

/** Where each node is: in a rank below all that it takes, leaves next to what takes them; in a rank near its neighbours. */
function placedNodes(nodes) {
  const rank = new Map();
  for (const row of nodes) rank.set(row, 1 + Math.max(-1, ...[...links[row]].map((from) => rank.get(from) ?? -1)));
  for (const row of nodes)
    if (!links[row].size && linked[row].size) rank.set(row, Math.min(...[...linked[row]].map((to) => rank.get(to))) - 1);
  const least = Math.min(0, ...rank.values());
  const ranks = new Map();
  for (const row of nodes) push(ranks, rank.get(row) - least, row);
  const x = new Map();
  const spread = (line) => line.forEach((row, i) => x.set(row, i - (line.length - 1) / 2));
  const ordered = [...ranks.keys()].sort((a, b) => a - b);
  for (const line of ranks.values()) spread(line);
  for (let sweep = 0; sweep < 4; sweep++)
    for (const at of sweep % 2 ? [...ordered].reverse() : ordered) {
      const middle = (row) => {
        const near = [...links[row], ...linked[row]].map((other) => x.get(other));
        return near.length ? total(near) / near.length : x.get(row);
      };
      const line = ranks.get(at);
      const wish = new Map(line.map((row) => [row, middle(row)]));
      line.sort((a, b) => wish.get(a) - wish.get(b));
      spread(line);
    }
  return { x, y: new Map(nodes.map((row) => [row, rank.get(row) - least])) };
}

function drawText(x, y, text, style) {
  const element = draw("text", { x, y, ...style });
  element.textContent = text;
  return element;
}

/** The picture, with its colours in it, so that it is the same in a file of its own. */
function graphPicture() {
  const nodes = rows.flatMap((row, at) => (isNode(row) ? [at] : []));
  if (nodes.length > MOST_NODES) return null;
  const hex = (name) => `rgb(${colour(name).join(", ")})`;
  const paint = Object.fromEntries(["ink", "dim", "sheet", "faint", "forward", "backward"].map((name) => [name, hex(name)]));
  const { x, y } = placedNodes(nodes);
  const left = Math.min(...x.values());
  const at = (row) => ({
    x: (x.get(row) - left) * (NODE.width + NODE.across) + NODE.across,
    y: y.get(row) * (NODE.height + NODE.down) + NODE.down,
  });
  const width = (Math.max(...x.values()) - left + 1) * (NODE.width + NODE.across) + NODE.across;
  const height = (Math.max(...y.values()) + 1) * (NODE.height + NODE.down) + NODE.down;
  const svg = draw("svg", { xmlns: SVG, viewBox: `0 0 ${width} ${height}`, width, height, role: "img" });
  svg.setAttribute("aria-label", `The graph: ${count(nodes.length, "node")}; the tape has the same as rows`);
  svg.append(draw("rect", { width, height, fill: paint.sheet }));
  for (const row of nodes)
    for (const from of links[row]) {
      const [a, b] = [at(from), at(row)];
      const [x1, y1, x2, y2] = [a.x + NODE.width / 2, a.y + NODE.height, b.x + NODE.width / 2, b.y];
      const bend = Math.max(14, (y2 - y1) / 2);
      const d = `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
      svg.append(draw("path", { d, fill: "none", stroke: paint.faint, "stroke-width": 1.2 }));
    }
  for (const row of nodes) svg.append(nodePicture(row, at(row), paint));
  return svg;
}

function nodePicture(row, { x, y }, paint) {
  const { title, of, note: says } = described(rows[row]);
  const lit = row === state.now;
  const font = { "font-family": "monospace", "font-size": 11 };
  const group = draw("g", { "data-key": rows[row].key, style: "cursor: pointer" });
  const corner = rows[row].kind === "leaf" ? NODE.height / 2 : 6;
  const edge = lit ? paint.forward : paint.dim;
  group.append(
    draw("rect", { x, y, width: NODE.width, height: NODE.height, rx: corner, fill: paint.sheet, stroke: edge, "stroke-width": lit ? 2.5 : 1 }),
  );
  const hover = draw("title", {});
  hover.textContent = title;
  group.append(hover);
  const line = (text, i, fill, more) =>
    group.append(
      drawText(x + NODE.width / 2, y + 17 + 15 * i, text.length > 28 ? `${text.slice(0, 27)}…` : text, {
        ...font, fill, "text-anchor": "middle", ...more,
      }),
    );
  line(title, 0, paint.ink, { "font-weight": 700 });
  if (says) line(says, 1, paint.dim);
  if (of) {
    line(`value ${brief(of.value)}`, 1, paint.forward);
    line(`grad ${brief(of.gradient)}`, 2, paint.backward);
  }
  return group;
}

function showGraph() {
  const picture = graphPicture();
  const none = `More than ${MOST_NODES} nodes: close layers first, and what is closed is one node.`;
  byId("picture").replaceChildren(picture ?? make("p", none));
  byId("save-graph").hidden = !picture;
  byId("graph-dialog").showModal();
  byId("picture").querySelector(`[data-key="${rows[state.now]?.key}"]`)?.scrollIntoView({ block: "center", inline: "center" });
}

function saveGraph() {
  const text = new XMLSerializer().serializeToString(byId("picture").firstElementChild);
  const url = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  make("a", { href: url, download: "tape.svg" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
