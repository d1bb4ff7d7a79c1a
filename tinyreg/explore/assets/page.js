// The page put together: where the reader is in time and on the tape, and all that moves them.

const state = { step: 0, key: steps.length ? "e0" : "l0", row: 0, now: undefined, hits: new Set() };
let playing = null;
let leaving = false; // for the other form, which is noted

/** Show the moment and the row that the state names. */
function render(scroll = true) {
  const step = steps[state.step];
  state.now = step && rowOf.get(`e${step.entry}`);
  state.row = rowOf.get(state.key);
  if (scroll) scrollToRow(state.row);
  renderRows(state);
  renderPanel(state.key, state.step);
  lightLine(entries[step?.entry], step, state.step);
  byId("sentence").textContent = sentence(state.step);
  byId("sentence").className = step && isForward(state.step) ? "forward" : "backward";
  byId("slider").value = state.step;
  byId("slider").setAttribute("aria-valuetext", sentence(state.step));
  byId("count").textContent = [Math.min(state.step + 1, steps.length), steps.length]
    .map((n) => n.toLocaleString("en"))
    .join(" / ");
  for (const id of ["back", "to-start"]) byId(id).setAttribute("aria-disabled", String(state.step <= 0));
  for (const id of ["next", "to-end"]) byId(id).setAttribute("aria-disabled", String(state.step >= END));
}

function go(at) {
  if (!steps.length) return;
  state.step = Math.max(0, Math.min(END, at));
  state.key = `e${steps[state.step].entry}`;
  render();
}

/** One step on or back; all of a closed layer is one step. */
function advance(direction) {
  let at = state.step + direction;
  if (!steps[at]) return pause();
  const row = rowOf.get(`e${steps[at].entry}`);
  const inside = (next) => steps[next] && isForward(next) === isForward(at) && rowOf.get(`e${steps[next].entry}`) === row;
  if (rows[row].kind === "group") while (inside(at + direction)) at += direction;
  go(at);
}

/** Choose a row: of an entry, its moment in the phase of now; of a leaf or a layer, at this moment. */
function choose(key) {
  if (key[0] === "e") {
    const number = Number(key.slice(1));
    return go(isForward(state.step) ? number : (firstBack.get(number) ?? number));
  }
  state.key = key;
  render();
}

function toggle(key) {
  const shown = rows[rowOf.get(key)];
  if (key[0] === "e") key = shown.kind === "group" ? shown.key : `g${entries[key.slice(1)].group ?? ""}`;
  if (key[0] === "l") key = "leaves";
  if (key === "g") return;
  if (!closed.delete(key)) closed.add(key);
  layOut();
  state.key = key;
  render();
}

function toggleLayers() {
  const keys = groups.map((_, index) => `g${index}`);
  const open = keys.some((key) => !closed.has(key));
  for (const key of keys) open ? closed.add(key) : closed.delete(key);
  layOut();
  render();
}

// ---- playing

function pause() {
  clearInterval(playing);
  playing = null;
  byId("play").setAttribute("aria-label", "Play");
}

function play() {
  if (playing) return pause();
  if (state.step === END) go(0);
  playing = setInterval(() => advance(1), 900 / Number(byId("speed").value));
  byId("play").setAttribute("aria-label", "Pause");
}

// ---- search

function haystack(entry) {
  const layers = ancestors(entry.group).map((index) => groups[index].label);
  return [numbered(entry.number), entry.op, entry.call, ...layers, sourceOf(entry)].join(" ").toLowerCase();
}

const haystacks = new Map([
  ...leaves.map(({ label }, i) => [`l${i}`, label.toLowerCase()]),
  ...entries.map((entry) => [`e${entry.number}`, haystack(entry)]),
]);

/** Mark the rows that have every word of the query. */
function search() {
  const words = byId("query").value.toLowerCase().split(/\s+/).filter(Boolean);
  const having = [...haystacks.keys()].filter((key) => words.every((word) => haystacks.get(key).includes(word)));
  state.hits = new Set(words.length ? having : []);
  showHits();
  renderRows(state);
}

function showHits() {
  const { size } = state.hits;
  const at = [...state.hits].indexOf(state.key);
  const says = at < 0 ? count(size, "hit") : `${at + 1} of ${size}`;
  byId("hits").textContent = byId("query").value.trim() && says;
}

/** Go to the hit after or before the chosen row; after the last comes the first. */
function nextHit(direction) {
  const all = [...haystacks.keys()];
  const here = all.indexOf(state.key);
  const around = [...all.slice(here + 1), ...all.slice(0, here + 1)];
  const hits = around.filter((key) => state.hits.has(key));
  if (!hits.length) return;
  const before = hits.filter((key) => key !== state.key).at(-1) ?? hits[0];
  const key = direction > 0 ? hits[0] : before;
  reveal(key);
  choose(key);
  showHits();
}

// ---- keys and buttons

const actions = {
  back: () => advance(-1),
  next: () => advance(1),
  play,
  "to-start": () => go(0),
  "to-loss": () => go(LOSS),
  "to-backward": () => go(BACKWARD),
  "to-end": () => go(END),
  "previous-hit": () => nextHit(-1),
  layers: toggleLayers,
  forms: changeForm,
  theme: changeTheme,
  help: () => byId("keys").showModal(),
  words: () => byId("glossary").showModal(),
  graph: showGraph,
  "save-graph": saveGraph,
  "tour-next": () => tour(1),
  "tour-end": () => tour(TOUR.length),
  "begin-tour": () => (byId("keys").close(), beginTour()),
};
const keys = {
  ArrowRight: actions.next,
  l: actions.next,
  n: actions.next,
  ArrowLeft: actions.back,
  h: actions.back,
  p: actions.back,
  " ": play,
  Home: actions["to-start"],
  End: actions["to-end"],
  b: actions["to-backward"],
  "?": actions.help,
  "/": () => byId("query").focus(),
  ArrowUp: () => moveRow(-1),
  ArrowDown: () => moveRow(1),
  Enter: () => toggle(state.key),
  Escape: () => byId("rows").focus(),
};

/** Show the definitions in place of the fast forms, or these again: the page, loaded anew. */
function changeForm() {
  leaving = noteDown(placed(state, form === "scene" ? "definitions" : "scene"));
  if (leaving) location.reload();
}

function moveRow(direction) {
  const row = rows[state.row + direction];
  if (row) choose(row.key);
}

function goToLine(number) {
  if (openFile === PROGRAM && program[number - 1]?.step != null) return go(program[number - 1].step);
  const first = made.get(`${openFile}:${number}`)?.[0];
  if (first === undefined) return;
  reveal(`e${first}`);
  choose(`e${first}`);
}

function listen() {
  for (const [id, act] of Object.entries(actions)) byId(id).addEventListener("click", act);
  byId("search").addEventListener("submit", (event) => (event.preventDefault(), nextHit(1)));
  byId("query").addEventListener("input", search);
  byId("query").addEventListener("keydown", (event) => {
    if (event.key === "Escape") byId("rows").focus();
    if (event.key === "Enter" && event.shiftKey) (event.preventDefault(), nextHit(-1));
  });
  byId("slider").addEventListener("input", (event) => go(Number(event.target.value)));
  byId("speed").addEventListener("change", () => playing && (pause(), play()));
  byId("file").addEventListener("change", (event) => {
    openSource(Number(event.target.value));
    if (openFile === PROGRAM) render(false);
  });
  byId("lines").addEventListener("keydown", onSourceKey);
  byId("lines").addEventListener("click", (event) => goToLine(event.target.closest("[data-line]")?.dataset.line));
  byId("window").addEventListener("click", (event) => {
    const key = event.target.closest("[data-key]")?.dataset.key;
    if (key) key[0] === "g" || key === "leaves" ? toggle(key) : choose(key);
  });
  byId("entry").addEventListener("click", (event) => {
    const key = event.target.dataset.go;
    if (key) (reveal(key), choose(key));
  });
  byId("picture").addEventListener("click", (event) => {
    const key = event.target.closest("[data-key]")?.dataset.key;
    if (key) (byId("graph-dialog").close(), choose(key));
  });
  byId("rows").addEventListener("scroll", () => renderRows(state), { passive: true });
  new ResizeObserver(() => render()).observe(byId("rows"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => render(false));
  document.addEventListener("keydown", onKey);
  addEventListener("pagehide", () => leaving || noteDown(placed(state)));
}

function begin() {
  const { entries: n, leaves: m, bytes: size } = scene.totals;
  const dtypes = new Set([...leaves, ...entries.flatMap(({ results }) => results)].map(({ dtype }) => dtype));
  byId("totals").textContent =
    `${count(n, "entry", "entries")} · ${count(m, "leaf", "leaves")} · ${count(size, "byte")} saved for backward` +
    (dtypes.size === 1 ? ` · all ${[...dtypes][0]}` : "") +
    (scene.first ? ` · the last ${entries.length.toLocaleString("en")} are shown, the tape is too long for more` : "");
  byId("slider").max = Math.max(0, END);
  document.documentElement.style.setProperty("--split", steps.length ? entries.length / steps.length : 1);
  document.documentElement.classList.toggle("no-backward", !backward.length);
  document.documentElement.classList.toggle("one-dtype", dtypes.size === 1);
  byId("layers").hidden = !groups.length;
  byId("theme").setAttribute("aria-pressed", String(matchMedia("(prefers-color-scheme: dark)").matches));
  beginSource();
  byId("forms").hidden = !byId("definitions").textContent || !noteDown(placed(state));
  byId("forms").textContent = form === "scene" ? "Definitions" : "Fast forms";
  layOut();
  listen();
  render();
  if (before) goBack(before);
  else if (firstVisit()) beginTour();
}

begin();
