// What is chosen: an entry, a leaf or a layer, as it is at this moment.

const section = (title, ...children) => make("section", title && make("h3", title), children);

const link = (key, text) => make("button.link", { type: "button", "data-go": key }, text);

const usersOf = (key) => (users.get(key) ?? []).map((number) => link(`e${number}`, numbered(number)));

/** The head of the panel: a title, a line below it, the formula, and facts as pairs of a term and what it is. */
function heading(title, line, doc, facts) {
  const pairs = facts.filter(Boolean).map(([term, ...definition]) => [make("dt", term), make("dd", definition)]);
  return make("header", make("h2", title), make("p.call", line), doc && make("p.doc", doc), make("dl", pairs));
}

function listed(items, none = "nothing") {
  if (!items.length) return none;
  const shown = items.slice(0, 8);
  const more = items.length > shown.length && ` and ${items.length - shown.length} more`;
  return [shown.map((item, i) => [i ? ", " : "", item]), more];
}

/** Value and gradient side by side; in the backward the gradient is what has arrived so far. */
function pair({ value, gradient }, key, at) {
  if (!scene.explained) return make("p.dim", "no values: record inside tr.explain()");
  const { got, of, sum } = gathered(key, at);
  const none = "no gradient reaches it";
  if (isForward(at))
    return make("div.pair", figure("value", value), figure("gradient, after the backward", gradient, none));
  const label = of && got === of ? "gradient, complete" : `gradient so far, ${got} of ${of}`;
  return make("div.pair", figure("value", value), figure(label, sum, of ? "none yet" : none));
}

/** An argument that is not on the tape, such as data, labels or a mask; that of a number is its label. */
function constantSection({ label, value }, times) {
  const says = `${value ? `${typed(value)}, ` : ""}no gradient wanted`;
  return section(null, make("h4", label, times, make("small", says)), value && make("div.pair", figure("value", value)));
}

function inputSections(entry, at) {
  const uses = new Map();
  for (const input of entry.inputs) push(uses, slot(input) ?? input.value ?? input.label, input);
  return [...uses].map(([key, [input, ...again]]) => {
    const times = again.length > 0 && ` (${again.length + 1} times)`;
    const from = input.leaf !== null ? leaves[input.leaf] : entries[input.entry]?.results[input.result];
    if (!from) return constantSection(input, times);
    return section(
      null,
      make("h4", link(rowKey(key), input.label), times, make("small", typed(from))),
      pair(from, key, at),
    );
  });
}

/** The step of the backward as a chain: the gradient that came in, the contribution, broadcasting undone, the sum. */
function chain(at) {
  const { walk, given, kind, arrives } = steps[at];
  const { incoming } = backward[walk];
  const title = (i) => (incoming.length > 1 ? `g, of result ${i}` : "g, the incoming gradient");
  const links = [["comes in", incoming.map((g, i) => figure(title(i), g, "zero: nobody used it"))]];
  const told = make("output.told", { "aria-live": "polite" });
  if (given) {
    const name = nameOf(given.to);
    const { got, of } = gathered(slot(given.to), at);
    const complete = arrives && got === of && `gradient of ${name}, complete`;
    const how = factors(entries[steps[at].entry], given, incoming[0]);
    if (how) links.splice(0, 1, ...how.map(({ says, label, array }) => [says, figure(label, array)]));
    const first = (kind === "gives" && complete) || `contribution to ${name}`;
    links.push([`VJP for ${given.argument}`, figure(first, given.raw, undefined, how && terms(how, given.raw, told))]);
    if (kind !== "gives" && given.fitted && undone(given))
      links.push([undone(given), figure((kind === "fits" && complete) || `fitted to ${name}`, given.fitted)]);
    if (kind === "sums") links.push([`arrives, ${got} of ${of}`, figure(complete || `sum so far at ${name}`, given.sum)]);
  }
  const items = links.map(([says, figures]) => make("li", make("p", says), figures));
  const formula = given && entries[steps[at].entry].vjp.find(({ argument }) => argument === given.argument)?.formula;
  return section("In the backward", formula && make("p.formula", formula), make("ol.chain", items), told);
}

/** Lines of code; what is too long for one goes on under its own beginning. */
function codeLines(source) {
  const indents = source.split("\n").map((line) => line.length - line.trimStart().length);
  return highlighted(source).map((line, i) => make("code", { style: `--indent: ${indents[i] + 4}ch` }, line, "\n"));
}

/** The derivative of each argument: a line in the field's notation, and the code that runs. */
function vjpSection(entry, step) {
  const current = step.entry === entry.number ? step.given?.argument.replace(/\[.*/, "") : undefined;
  const serving = new Map(); // from a formula and a source to the arguments they serve
  for (const { argument, formula, source } of entry.vjp)
    if (source || formula) push(serving, JSON.stringify([formula, source.trimEnd()]), argument);
  const serves = (served) => served.some((argument) => argument.split(/\W+/).includes(current));
  const ordered = [...serving].sort(([, one], [, other]) => serves(other) - serves(one));
  const pieces = ordered.map(([key, served]) => {
    const [formula, source] = JSON.parse(key);
    const kind = serves(served) ? "vjp serving" : "vjp";
    const code = source && make("pre", { class: serves(served) && "serving" }, codeLines(source));
    return make("div", { class: kind, role: "group", "aria-label": `VJP for ${served.join(", ")}`, tabindex: 0 },
      formula && make("p.formula", formula), code);
  });
  return section("Its VJP", pieces.length ? pieces : make("p.dim", "its source is not at hand"));
}

function saved({ name, bytes: size, holder }) {
  const by = holder !== null && (holder < 0 ? numbered(holder) : link(`e${holder}`, numbered(holder)));
  const already = holder !== null && [" (saved by ", by, " already)"];
  return make("span", make("code", name), ` ${count(size, "byte")}`, already);
}

function entryPanel(entry, at) {
  const { number, op, call, results, group, doc } = entry;
  const layers = ancestors(group).map((index) => link(`g${index}`, groups[index].label));
  const settings = Object.entries(entry.settings).map(([name, value]) => `${name}=${value}`);
  const head = heading(
    [make("small", numbered(number)), op],
    [make("code", call), ` → ${results.map(typed).join(", ")}`],
    doc,
    [
      entry.line && [placeOf(entry), make("code", highlighted(sourceOf(entry).trim())[0])],
      layers.length > 0 && ["in", listed(layers)],
      settings.length > 0 && ["settings", make("code", settings.join(", "))],
      ["saves", listed(entry.saved.map(saved))],
      ["used by", listed(usersOf(`e${number}`), "nothing: the tape ends here")],
    ],
  );
  const title = (i) => (results.length > 1 ? `Result ${i}` : "Result");
  const made = results.map((result, i) => section(title(i), pair(result, `e${number}.${i}`, at)));
  const inputs = section("Inputs", inputSections(entry, at));
  const vjp = vjpSection(entry, steps[at]);
  const back = !isForward(at) && steps[at].entry === number;
  return back ? [head, chain(at), vjp, inputs, ...made] : [head, ...made, vjp, inputs];
}

/** What the loss does when one element of a leaf is nudged: as the gradient predicts it, and as the ops, run again, say. */
function whatIf(index) {
  const known = (scene.nudged ?? []).filter(({ leaf }) => leaf === index);
  if (!known.length) return null;
  const place = ({ element }) => position(element, leaves[index].shape);
  const chooser = make("select", { "aria-label": "Element that is nudged" }, known.map((one, i) => make("option", { value: i }, place(one))));
  const table = make("table.nudges", { "aria-live": "polite" });
  const show = () => {
    const { gradient, changes } = known[chooser.value];
    const head = ["nudge", "gradient times nudge", "the loss changes by"].map((name) => make("th", { scope: "col" }, name));
    const lines = changes.map((change, i) => {
      const by = scene.nudges[i];
      return make("tr", [by, gradient * by, change].map((number) => make("td", short(number, 4))));
    });
    table.replaceChildren(make("thead", make("tr", head)), make("tbody", lines));
  };
  chooser.addEventListener("change", show);
  show();
  const some = known.length < leaves[index].shape.reduce((n, m) => n * m, 1);
  const which = some ? "; of the elements, those with the largest gradients" : "";
  const says = `The ops were run again when this page was made, with this one number changed${which}.`;
  return section("What if", make("label.nudged", `${leaves[index].label}`, chooser), table, make("small", says));
}

function leafPanel(leaf, key, at) {
  const kind = leaf.label.startsWith("#") ? "an entry before those on this page" : leaf.parameter ? "a parameter" : "a leaf";
  const line = `${kind}, ${typed(leaf)}`;
  const head = heading(leaf.label, line, null, [["used by", listed(usersOf(key))]]);
  return [head, section("Leaf", pair(leaf, key, at)), whatIf(Number(key.slice(1)))].filter(Boolean);
}

function groupPanel({ label, first, last }) {
  const inside = entries.slice(first, last + 1);
  const isInside = (number) => number !== null && number >= first && number <= last;
  const inputs = inside.flatMap((entry) => entry.inputs).filter((input) => slot(input) && !isInside(input.entry));
  const takes = new Map(inputs.map((input) => [rowKey(slot(input)), input.label]));
  const gives = inside.filter(({ number }) => (users.get(`e${number}`) ?? [null]).some((user) => !isInside(user)));
  const kind = /^rounds? /.test(label) ? "what comes again and again" : "a layer";
  const line = `${kind}: ${count(inside.length, "entry", "entries")}, ${numbered(first)} to ${numbered(last)}`;
  const head = heading(label, line, null, [
    ["takes", listed([...takes].map(([key, name]) => link(key, name)))],
    ["gives", listed(gives.map(({ number }) => link(`e${number}`, numbered(number))))],
    ["saves", count(total(inside.map(bytesSaved)), "byte")],
  ]);
  return [head, make("p.dim", "Enter opens or closes it. While it is closed, one step goes through all of it.")];
}

function chosenPanel(key, at) {
  const index = Number(key.slice(1));
  if (key === "leaves") return [heading("Leaves", "where the tape begins: the tensors that want a gradient", null, [])];
  if (key[0] === "l") return leafPanel(leaves[index], key, at);
  return key[0] === "g" ? groupPanel(groups[index]) : entryPanel(entries[index], at);
}

function renderPanel(key, at) {
  const panel = byId("entry");
  const focused = panel.contains(document.activeElement);
  panel.replaceChildren(...chosenPanel(key, at));
  if (focused) panel.focus({ preventScroll: true }); // what had the focus in it may be gone
}
