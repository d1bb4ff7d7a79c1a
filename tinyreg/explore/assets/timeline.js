// Time: the entries forward, then the backward in small steps, and what has reached whom by when.

/** The scene with its shared parts, arrays and texts, back in their places. */
function unpacked(value, shared) {
  if (Array.isArray(value)) return value.map((part) => unpacked(part, shared));
  if (value === null || typeof value !== "object") return value;
  if ("@" in value) return shared[value["@"]];
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, unpacked(part, shared)]));
}

const packed = JSON.parse(byId("scene").textContent);
const scene = unpacked(packed.scene, packed.shared);
const { entries, leaves, groups, backward, sources } = scene;

/** A step back through an entry: its gradient comes in; then for each contribution what the VJP gave, the fit, the sum. */
function stepsBack({ entry, contributions }, walk) {
  const each = contributions.flatMap((given) =>
    ["contribution", given.fitted && "fitted", "sum"].filter(Boolean).map((kind) => ({ kind, entry, walk, given })),
  );
  return [{ kind: "incoming", entry, walk }, ...each];
}

const steps = [...entries.map((entry) => ({ kind: "forward", entry: entry.number })), ...backward.flatMap(stepsBack)];
const LOSS = entries.length - 1; // the step of the last entry of the forward
const BACKWARD = Math.min(entries.length, steps.length - 1); // the first step of the backward
const END = steps.length - 1;

const isForward = (at) => at < entries.length;
const slot = ({ entry, result, leaf }) => (leaf != null ? `l${leaf}` : entry != null ? `e${entry}.${result ?? 0}` : null);
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
  if (step.kind === "incoming") firstBack.set(step.entry, at);
  if (step.kind === "incoming" && step.walk === 0) {
    backward[0].incoming.forEach((g, result) => g && arrive(slot({ entry: step.entry, result }), at, g));
  }
  if (step.kind === "sum") arrive(slot(step.given.to), at, step.given.sum);
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
  if (step.kind === "incoming") {
    if (!step.walk) return `The backward begins at ${numbered(number)}, ${op}, with a gradient g of 1, or the one that was given.`;
    const { of } = gathered(`e${number}`, at);
    return `${numbered(number)}, ${op}: its gradient g is complete (${count(of, "contribution")}) and goes into its VJPs.`;
  }
  const { to, argument, raw, fitted } = step.given;
  const name = nameOf(to);
  if (step.kind === "contribution")
    return `${numbered(number)}, ${op}: the VJP for ${argument} gives a contribution to ${name}, ${typed(raw)}.`;
  if (step.kind === "fitted") {
    const what = raw.shape.join() === fitted.shape.join() ? "Dtype" : "Broadcasting";
    return `${what} undone for ${name}: ${undone(step.given)}.`;
  }
  const { got, of } = gathered(slot(to), at);
  if (got < of) return `${name} has ${got} of ${count(of, "contribution")}; this is their sum so far.`;
  return `${name} has its gradient: ${of === 1 ? "this contribution is the only one" : `the sum of ${of} contributions`}.`;
}
