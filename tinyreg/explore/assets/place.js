// Where the reader was, for when the page is loaded again: in its other form, or made anew from a script that was changed.

const PLACE = `tinyreg ${location.pathname}`;

/** What was noted when the page was left, where it has been loaded again; null where it is new, or nothing can be noted. */
function noted() {
  try {
    if (performance.getEntriesByType("navigation")[0]?.type !== "reload") return null;
    return JSON.parse(sessionStorage.getItem(PLACE));
  } catch {
    return null;
  }
}

function noteDown(place) {
  try {
    sessionStorage.setItem(PLACE, JSON.stringify(place));
    return true;
  } catch {
    return false;
  }
}

const before = noted();
const form = before?.form === "definitions" && byId("definitions").textContent ? "definitions" : "scene";

/** The op of an entry, and what it is one entry of; of one that stands in a definition, the op that this is of. */
function stands(entry) {
  const end = ", by its definition";
  const index = ancestors(entry.group).find((i) => groups[i].label.endsWith(end));
  if (index === undefined) return { op: entry.op, first: entry.number };
  return { op: groups[index].label.slice(0, -end.length), first: groups[index].first };
}

/** The first entries of all that stand for an op. */
const standing = (op) => [...new Set(entries.map(stands).filter((one) => one.op === op).map(({ first }) => first))];

/** The place of the reader, in words that also hold for a tape that is a little different. */
function placed(state, as = form) {
  const { entry, kind } = steps[state.step] ?? {};
  const { call, line } = entries[entry] ?? {};
  const { op, first } = entries[entry] ? stands(entries[entry]) : {};
  const nth = standing(op).indexOf(first);
  const names = groups.map(({ label }) => label);
  const open = names.filter((_, i) => !closed.has(`g${i}`));
  return { form: as, entry, call, op, nth, line, forward: kind === "forward", step: state.step, key: state.key, names, open };
}

/** Go back to where the reader was: to the same step, or else to an entry of the same call, line or number. */
function goBack({ entry, call, op, nth, line, forward, step, key, names, open }) {
  if (entry === undefined || !entries.length) return;
  if (names.join("\n") === groups.map(({ label }) => label).join("\n"))
    names.forEach((label, i) => (open.includes(label) ? closed.delete(`g${i}`) : closed.add(`g${i}`)));
  layOut();
  const same = steps[step]?.entry === entry && entries[entry]?.call === call && isForward(step) === forward;
  const alike = (test) => entries.find(test)?.number;
  const number =
    entries[entry]?.call === call
      ? entry
      : (alike((other) => other.call === call) ??
        standing(op)[nth] ??
        alike((other) => line && other.line?.number === line.number) ??
        Math.min(entry, entries.length - 1));
  go(same ? step : forward ? number : (firstBack.get(number) ?? number));
  if (same && key !== state.key && rowOf.has(key)) choose(key);
}
