// The reader's source, with the line of the current entry lit.

const made = new Map(); // from "source:line" to the entries that the line made
for (const { line, number } of entries) if (line) push(made, `${line.source}:${line.number}`, number);

let openFile = null;
let cursor = null; // the line that the arrow keys have reached in the list

const sourceOf = ({ line }) => (line && sources[line.source].lines[line.number - sources[line.source].first]) ?? "";

const placeOf = ({ line }) => `${sources[line.source].path}:${line.number}`;

const PROGRAM = sources.length; // its place among the files
const programSource = { path: "as a program", first: 1, lines: program.map(({ text }) => text) };

const lineElement = (number) => byId("lines").querySelector(`[data-line="${number}"]`);

function openSource(index) {
  if (openFile === index) return;
  openFile = index;
  cursor = null;
  byId("file").value = index;
  const { first, lines } = sources[index] ?? programSource;
  byId("lines").replaceChildren(...highlighted(lines.join("\n")).map((line, i) => sourceLine(line, index, first + i)));
}

function programRow(line, number) {
  const { step } = program[number - 1];
  const attributes = { role: "option", id: `line-${number}`, "data-line": number, "aria-selected": "false" };
  const kind = step === null ? { "aria-disabled": "true" } : { class: isForward(step) ? "made" : "made back" };
  return make("div", attributes, kind, make("span.at", number), make("code", line));
}

function sourceLine(line, source, number) {
  if (source === PROGRAM) return programRow(line, number);
  const numbers = made.get(`${source}:${number}`);
  const title = numbers && `${count(numbers.length, ...UNIT)}, from ${numbered(numbers[0])}`;
  const attributes = { role: "option", id: `line-${number}`, "data-line": number, title, "aria-selected": "false" };
  const badge = numbers && make("small", { "aria-label": title }, numbers.length);
  const kind = numbers ? { class: "made" } : { "aria-disabled": "true" };
  return make("div", attributes, kind, make("span.at", number), make("code", line), badge);
}

/** Light the line of an entry, and scroll it into view within its own list. */
function lightLine(entry, step, at) {
  const list = byId("lines");
  list.querySelector(".lit")?.setAttribute("aria-selected", "false");
  list.querySelector(".lit")?.classList.remove("lit", "backward");
  if (!entry?.line) return;
  if (openFile !== PROGRAM) openSource(entry.line.source);
  const number = openFile === PROGRAM ? programLine(at) : entry.line.number;
  const line = lineElement(number);
  if (!line) return;
  line.classList.add("lit");
  line.classList.toggle("backward", step.kind !== "forward");
  line.setAttribute("aria-selected", "true");
  moveCursor(number);
}

function moveCursor(number) {
  if (number === undefined) return;
  cursor = number;
  const list = byId("lines");
  const line = lineElement(number);
  list.setAttribute("aria-activedescendant", line.id);
  list.querySelector(".cursor")?.classList.remove("cursor");
  line.classList.add("cursor");
  const top = line.offsetTop - list.offsetTop;
  if (top < list.scrollTop + 20 || top > list.scrollTop + list.clientHeight - 40)
    list.scrollTop = top - list.clientHeight / 2.5;
}

/** The next line, up or down, that made entries. */
function neighbour(direction) {
  const numbers = [...byId("lines").querySelectorAll(".made")].map((line) => Number(line.dataset.line));
  if (direction > 0) return numbers.find((number) => number > (cursor ?? -1));
  return numbers.findLast((number) => number < (cursor ?? Infinity));
}

const HOW = `with tr.explain():
    loss = ...
    tape = tr.tape(loss)
tape.save_html("tape.html")`;

/** In place of the source, where there is none. */
function note() {
  if (scene.explained) return make("div.note", make("p", "No source lines are known."));
  const why = "Values, gradients and source lines were not recorded. To see them, compute the loss and take its tape ";
  return make("div.note", make("p", why, "inside tr.explain():"), make("pre", HOW));
}

function beginSource() {
  if (!sources.length) {
    byId("lines").hidden = true;
    byId("source").append(note());
    return;
  }
  const files = program.length ? [...sources, programSource] : sources;
  byId("file").append(...files.map(({ path }, i) => make("option", { value: i }, path)));
  byId("file").hidden = files.length < 2;
  if (sources.length === 1) byId("source-title").textContent = sources[0].path;
  openSource(0);
}
