// The page of a program put together: rows, chart and source show what is chosen, and keys and clicks choose.

const state = { row: 0, hits: new Set() };

const cell = (kind, ...content) => make(`span.${kind}`, { role: "gridcell" }, ...content);

function cells({ group, call }) {
  if (group) {
    const parts = unique(callsOf({ group }).map(ofTape)).filter(Boolean).join(", ");
    const stored = callsOf({ group }).reduce((sum, each) => sum + (each.stands ? each.bytes : 0), 0);
    return [cell("number"), cell("call", group.label, make("small", parts)), cell("saved", stored ? bytes(stored) : "")];
  }
  const size = call.stands && call.bytes ? bytes(call.bytes) : "";
  return [
    cell("number", numbered(call.number)),
    cell("call", make("b", call.name)),
    cell("of", ofTape(call)),
    cell("result", call.result),
    cell("memory", call.memory),
    cell("saved", size),
  ];
}

function rowElement(row) {
  const { key, group, call } = row;
  const kinds = group ? ["loop"] : [call.group !== null && "inside", !call.stands && "passed"];
  const names = ["row", phaseOf(call), ...kinds].filter(Boolean).join(" ");
  const attributes = { role: "row", id: `row-${key}`, class: names, "data-key": key, title: sentence(row) };
  return make("div", attributes, cells(row));
}

const elements = rows.map(rowElement);

/** The facts of a row, as terms and what they are. */
function facts(row) {
  const { call } = row;
  const { values: read, texts } = readBy(row);
  const made = madeBy(row);
  const lines = unique(callsOf(row).filter(({ line }) => line).map(placeOf));
  return [
    ["line", lines.join(", ")],
    ["part of", unique(callsOf(row).map(ofTape)).filter(Boolean).join(", ")],
    ["loop", call.group !== null && groups[call.group].label],
    ["result", !row.group && call.result],
    ["reads", [...read.map(placed), ...texts].join("; ")],
    ["writes", made.map((value) => `${placed(value)}, ${bytes(values[value].bytes)}`).join("; ")],
  ].filter(([, text]) => text);
}

function render(scroll = true) {
  const row = rows[state.row];
  if (!row) return;
  const key = `row-${row.key}`;
  const { call } = row;
  elements.forEach((element, at) => {
    const here = at === state.row;
    element.classList.toggle("now", here);
    element.classList.toggle("chosen", here);
    element.classList.toggle("same", !here && !rows[at].group && sameLine(rows[at].call, call));
    element.classList.toggle("hit", state.hits.has(rows[at].key));
    element.setAttribute("aria-selected", String(here));
  });
  byId("rows").setAttribute("aria-activedescendant", key);
  if (scroll) scrollTo(elements[state.row]);
  byId("sentence").textContent = sentence(row);
  byId("sentence").className = phaseOf(call);
  lightLine(call, { kind: "forward" });
  for (const phase of ["forward", "backward", "other"])
    byId("lines").querySelector(".lit")?.classList.toggle(phase, phase === phaseOf(call));
  byId("used").textContent = `${bytes(usedAt(call.step))} in use at step ${call.step + 1} of ${scene.steps}`;
  byId("about").replaceChildren(...facts(row).flatMap(([term, text]) => [make("dt", term), make("dd", text)]));
  drawChart(row);
}

const sameLine = (a, b) => a.line && b.line && a.line.source === b.line.source && a.line.number === b.line.number;

function scrollTo(element) {
  const view = byId("rows");
  const top = element.offsetTop - view.querySelector(".head").offsetHeight;
  if (top < view.scrollTop || top > view.scrollTop + view.clientHeight - 4 * element.offsetHeight)
    view.scrollTop = top - view.clientHeight / 2.5;
}

function go(at) {
  state.row = Math.max(0, Math.min(rows.length - 1, at));
  render();
}

/** The next step, or the one before: all of a loop is one. */
function advance(direction) {
  const step = rows[state.row]?.call.step + direction;
  const next = rows.findIndex(({ call }) => call.step === step);
  if (next >= 0) go(next);
}

function choose(key) {
  if (rowOf.has(key)) go(rowOf.get(key));
}

function goToLine(number) {
  const first = made.get(`${openFile}:${number}`)?.[0];
  if (first !== undefined) choose(`c${first}`);
}

// ---- search

function haystack({ group, call }) {
  const { number, name, result, memory } = call;
  const words = [numbered(number), name, ofTape(call), result, memory, sourceOf(call), groups[call.group]?.label];
  return (group ? group.label : words.join(" ")).toLowerCase();
}

function search() {
  const words = byId("query").value.toLowerCase().split(/\s+/).filter(Boolean);
  const having = rows.filter((row) => words.every((word) => haystack(row).includes(word)));
  state.hits = new Set(words.length ? having.map(({ key }) => key) : []);
  showHits();
  render(false);
}

function showHits() {
  const at = [...state.hits].indexOf(rows[state.row]?.key);
  const says = at < 0 ? count(state.hits.size, "hit") : `${at + 1} of ${state.hits.size}`;
  byId("hits").textContent = byId("query").value.trim() && says;
}

/** Go to the hit after or before the chosen row; after the last comes the first. */
function nextHit(direction) {
  const hits = [...state.hits].map((key) => rowOf.get(key));
  if (!hits.length) return;
  const ahead = direction > 0 ? hits.find((at) => at > state.row) : hits.findLast((at) => at < state.row);
  go(ahead ?? (direction > 0 ? hits[0] : hits.at(-1)));
  showHits();
}

// ---- keys and buttons

const keys = {
  ArrowUp: () => go(state.row - 1),
  ArrowDown: () => go(state.row + 1),
  ArrowLeft: () => advance(-1),
  ArrowRight: () => advance(1),
  Home: () => go(0),
  End: () => go(rows.length - 1),
  "?": () => byId("keys").showModal(),
  "/": () => byId("query").focus(),
  Escape: () => byId("rows").focus(),
};

function listen() {
  byId("theme").addEventListener("click", changeTheme);
  byId("help").addEventListener("click", keys["?"]);
  byId("previous-hit").addEventListener("click", () => nextHit(-1));
  byId("search").addEventListener("submit", (event) => (event.preventDefault(), nextHit(1)));
  byId("query").addEventListener("input", search);
  byId("query").addEventListener("keydown", (event) => {
    if (event.key === "Escape") byId("rows").focus();
    if (event.key === "Enter" && event.shiftKey) (event.preventDefault(), nextHit(-1));
  });
  byId("file").addEventListener("change", (event) => openSource(Number(event.target.value)));
  byId("lines").addEventListener("keydown", onSourceKey);
  byId("lines").addEventListener("click", (event) => goToLine(event.target.closest("[data-line]")?.dataset.line));
  byId("window").addEventListener("click", (event) => choose(event.target.closest("[data-key]")?.dataset.key));
  byId("blocks").addEventListener("click", (event) => {
    const value = values[event.target.closest("[data-value]")?.dataset.value];
    if (value) choose(`c${value.call}`);
  });
  new ResizeObserver(() => render(false)).observe(byId("chart"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => render(false));
  document.addEventListener("keydown", onKey);
}

function begin() {
  const { counted, recorded, blocks, out, never, spared } = scene.totals;
  const handed = never ? [`${count(never, "result")}, ${bytes(spared)}, never in memory`] : [];
  byId("totals").textContent = [
    counted,
    `${count(buffers.filter(({ label }) => label !== "out").length, "block")} of ${bytes(blocks)}`,
    `${bytes(out)} go out`,
    ...handed,
  ].join(" · ");
  byId("totals").title = `${byId("totals").textContent}; ${count(recorded, "call")} recorded`;
  byId("theme").setAttribute("aria-pressed", String(matchMedia("(prefers-color-scheme: dark)").matches));
  beginSource();
  byId("window").append(...elements);
  if (!rows.length) byId("sentence").textContent = "The program makes no call.";
  listen();
  render();
}

begin();
