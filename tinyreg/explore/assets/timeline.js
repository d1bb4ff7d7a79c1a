// Time: the entries forward, then the backward in small steps, and what has reached whom by when.

/** The scene with its shared parts, arrays and texts, back in their places. */
function unpacked(value, shared) {
  if (Array.isArray(value)) return value.map((part) => unpacked(part, shared));
  if (value === null || typeof value !== "object") return value;
  if ("@" in value) return shared[value["@"]];
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, unpacked(part, shared)]));
}

const packed = JSON.parse(byId(form).textContent);
const scene = unpacked(packed.scene, packed.shared);
const { entries, leaves, groups, backward, sources } = scene;

const slot = ({ entry, result, leaf }) => (leaf != null ? `l${leaf}` : entry != null ? `e${entry}.${result ?? 0}` : null);

const expected = new Map(); // from a value to how many contributions it gets
for (const { contributions } of backward)
  for (const { to } of contributions) expected.set(slot(to), (expected.get(slot(to)) ?? 0) + 1);

/** What is new about a contribution, in steps: what the VJP gave, broadcasting undone, and the sum; without what says nothing. */
function stepsOf(given, entry, walk, arrived) {
  const key = slot(given.to);
  arrived.set(key, (arrived.get(key) ?? 0) + 1);
  const kinds = ["gives", given.fitted && undone(given) && "fits", arrived.get(key) > 1 && "sums"].filter(Boolean);
  return kinds.map((kind, i) => ({ kind, entry, walk, given, arrives: i === kinds.length - 1 }));
}

/** The backward: where it begins, and then what each entry gives. */
function stepsBack() {
  const arrived = new Map();
  const each = backward.flatMap(({ entry, contributions }, walk) =>
    contributions.flatMap((given) => stepsOf(given, entry, walk, arrived)),
  );
  return backward.length ? [{ kind: "begins", entry: backward[0].entry, walk: 0 }, ...each] : [];
}

const steps = [...entries.map((entry) => ({ kind: "forward", entry: entry.number })), ...stepsBack()];
const UNIT = ["entry", "entries"]; // what a line of the source makes
const LOSS = entries.length - 1; // the step of the last entry of the forward
const BACKWARD = Math.min(entries.length, steps.length - 1); // the first step of the backward
const END = steps.length - 1;

const isForward = (at) => at < entries.length;
const rowKey = (place) => place.split(".")[0];
const numbered = (entry) => `#${entry + scene.first}`;
const total = (sizes) => sizes.reduce((sum, size) => sum + size, 0);
const bytesSaved = (entry) => total(entry.saved.map((one) => (one.holder === null ? one.bytes : 0)));

/** The name of a value: a leaf's label, an entry's number, with its index where the entry has several results. */
function nameOf(place) {
  if (place.leaf != null) return leaves[place.leaf].label;
  return `${numbered(place.entry)}${entries[place.entry].results.length > 1 ? `.${place.result}` : ""}`;
}

const arrivals = new Map(); // from a value, and from its row, to the moments at which contributions reach it
const users = new Map(); // from a value's row to the entries that use it
const firstBack = new Map(); // from an entry to its first step of the backward

function push(map, key, value) {
  if (!map.has(key)) map.set(key, []);
  map.get(key).push(value);
}

function arrive(place, at, sum) {
  push(arrivals, place, { at, sum });
  if (rowKey(place) !== place) push(arrivals, rowKey(place), { at });
}

steps.forEach((step, at) => {
  if (step.walk !== undefined && !firstBack.has(step.entry)) firstBack.set(step.entry, at);
  if (step.kind === "begins")
    backward[0].incoming.forEach((g, result) => g && arrive(slot({ entry: step.entry, result }), at, g));
  if (step.arrives) arrive(slot(step.given.to), at, step.given.sum);
});
for (const entry of entries) {
  for (const key of new Set(entry.inputs.map(slot))) if (key) push(users, rowKey(key), entry.number);
}

/** How many contributions a value or a row has by now, of how many, and their sum. */
function gathered(key, at) {
  const all = arrivals.get(key) ?? [];
  const got = all.filter((arrival) => arrival.at <= at);
  return { got: got.length, of: all.length, sum: got.at(-1)?.sum };
}

/** How broadcasting, or a wider dtype, was undone: "summed over axis 0: (64, 16) → (16,)". */
function undone({ raw, fitted }) {
  const added = raw.shape.length - fitted.shape.length;
  const axes = raw.shape.flatMap((n, axis) => (axis < added || n !== fitted.shape[axis - added] ? [axis] : []));
  const summed = `summed over ${axes.length > 1 ? "axes" : "axis"} ${axes.join(", ")}: `;
  const shapes = `${tuple(raw.shape)} → ${tuple(fitted.shape)}`;
  const cast = raw.dtype === fitted.dtype ? [] : [`cast: ${raw.dtype} → ${fitted.dtype}`];
  return [...(axes.length ? [summed + shapes] : []), ...cast].join("; ");
}

/** Which of its contributions a value has with the one that arrives at a step: "its gradient", "the first of 2 contributions". */
function arrival(at) {
  const { got, of } = gathered(slot(steps[at].given.to), at);
  if (of === 1) return "its gradient";
  return got === 1 ? `the first of ${of} contributions` : `contribution ${got} of ${of}`;
}

/** What happens at a step, in a sentence. */
function sentence(at) {
  const step = steps[at];
  if (!step && scene.totals.entries) return "The tape is too large to be shown here: print it.";
  if (!step) return "Nothing was recorded: the tensor is a leaf.";
  const { number, op, call, results, saved } = entries[step.entry];
  if (step.kind === "forward") {
    const saves = saved.length ? `, and saves ${saved.map(({ name }) => name).join(", ")} for backward` : "";
    return `${numbered(number)}: ${call} gives ${results.map(typed).join(" and ")}${saves}.`;
  }
  if (step.kind === "begins")
    return `The backward begins at ${numbered(number)}, ${op}, with a gradient g of 1, or the one that was given.`;
  const { to, argument, raw, fitted } = step.given;
  const name = nameOf(to);
  if (step.kind === "gives") {
    const gives = step.arrives ? `${name} ${arrival(at)}` : `a contribution to ${name}`;
    return `${numbered(number)}, ${op}: the VJP for ${argument} gives ${gives}, ${typed(raw)}.`;
  }
  if (step.kind === "fits") {
    const what = raw.shape.join() === fitted.shape.join() ? "Dtype" : "Broadcasting";
    return `${what} undone for ${name}: ${undone(step.given)}.${step.arrives ? ` That is ${arrival(at)}.` : ""}`;
  }
  const { got, of } = gathered(slot(to), at);
  if (got < of) return `${name} has ${got} of ${count(of, "contribution")}; this is their sum so far.`;
  return `${name} has its gradient: the sum of ${of} contributions.`;
}
