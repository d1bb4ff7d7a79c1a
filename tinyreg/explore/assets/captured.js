// A program as it stands in the scene: its calls, the loops that they are in, and the rows that show both.

const scene = { explained: true, first: 0, ...JSON.parse(byId("scene").textContent) };
const { sources, groups, buffers, values } = scene;
const entries = scene.calls;
const UNIT = ["call"]; // what a line of the source makes
const program = []; // of a tape, forward and backward as one

const numbered = (number) => `#${number}`;
const phaseOf = ({ phase }) => phase || "other";
const ofTape = ({ of, phase }) => (phase === "backward" ? `${of} backward` : of);
const unique = (all) => [...new Set(all)];

function push(map, key, value) {
  if (!map.has(key)) map.set(key, []);
  map.get(key).push(value);
}

const rows = []; // {key, call} or {key, group, call}, the call being the first of the loop
for (const call of entries) {
  const first = call.group !== null && groups[call.group].calls[0] === call.number;
  if (first) rows.push({ key: `g${call.group}`, group: groups[call.group], call });
  rows.push({ key: `c${call.number}`, call });
}
const rowOf = new Map(rows.map(({ key }, at) => [key, at]));

/** The calls of a row: one, or all of a loop. */
const callsOf = ({ group, call }) => (group ? group.calls.map((number) => entries[number]) : [call]);

const madeBy = (row) => unique(callsOf(row).map(({ value }) => value)).filter((value) => value !== null);

/** What a row reads from memory; not what a loop itself puts there before. */
function readBy(row) {
  const reads = callsOf(row).flatMap((call) => call.reads);
  const own = row.group ? madeBy(row) : [];
  return {
    values: unique(reads.map(({ value }) => value)).filter((value) => value !== undefined && !own.includes(value)),
    texts: unique(reads.map(({ text }) => text)).filter(Boolean),
  };
}

const whatIs = ({ result, kind }) => result || (kind === "check" ? "a check" : "a number");

/** A value as where it stands, and the call that made it. */
function placed(value) {
  const { buffer, call } = values[value];
  return `${buffers[buffer].label}, ${call === null ? "a copy of the state" : `${entries[call].name} ${numbered(call)}`}`;
}

const KINDS = {
  map: "each element by itself",
  rows: "with sums along the last axis",
  columns: "with sums along the first axis",
};

/** What happens in a row, in a sentence. */
function sentence(row) {
  const { group, call } = row;
  if (group) {
    const passed = callsOf(row).filter(({ stands }) => !stands).length;
    return (
      `${group.label}: ${count(group.calls.length, "op")} in one loop, ${KINDS[group.label.split(" ")[0]]}; ` +
      `${count(passed, "result")} never ${passed === 1 ? "stands" : "stand"} in memory.`
    );
  }
  const begin = `${numbered(call.number)}, ${call.name}${call.of && ` of ${ofTape(call)}`}`;
  if (call.kind === "check")
    return `${begin}: looks whether a value is what it was when the step was recorded; if not, the step itself runs.`;
  if (!call.stands)
    return `${begin}: ${call.result} is handed on inside of ${groups[call.group].label}, and never stands in memory.`;
  if (call.value === null)
    return `${begin}: ${whatIs(call)}${call.memory === "own" ? ", in memory of NumPy's own" : ""}.`;
  const { last } = values[call.value];
  const until = last < scene.steps ? `until step ${last + 1}` : "to the end";
  return `${begin}: ${call.result} in ${call.memory}, ${bytes(call.bytes)}, ${until}.`;
}
