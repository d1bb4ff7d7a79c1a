// Forward and backward as a program: a line for each entry, and one for each contribution.

const variable = (place) => (place.leaf != null ? leaves[place.leaf].label : place.entry != null ? nameOf(place).replace("#", "v") : null);

/** The right side of a contribution: the expression that its VJP is, on the names of this program; or a call of the VJP. */
function contributed(entry, { argument }) {
  const g = entry.results.map((_, result) => `∂${variable({ entry: entry.number, result })}`).join(", ");
  const { expression } = entry.vjp.find((one) => one.argument === argument) ?? {};
  if (!expression || entry.results.length > 1) return `VJP of ${entry.op} for ${argument}, of ${g}`;
  const names = { ...entry.settings, g, y: variable({ entry: entry.number, result: 0 }) };
  entry.arguments.forEach((name, i) => (names[name] = variable(entry.inputs[i]) ?? entry.inputs[i].label));
  return expression.replace(/[A-Za-z_]\w*/g, (name) => (Object.hasOwn(names, name) ? names[name] : name));
}

/** The lines of the program, each with its step. */
function programLines() {
  const shown = entries.map((entry) => {
    const inputs = entry.inputs.map((input) => variable(input) ?? input.label).filter((label) => label !== "None");
    const settings = Object.entries(entry.settings).map(([name, value]) => `${name}=${value}`);
    const results = entry.results.map((_, result) => variable({ entry: entry.number, result })).join(", ");
    return { text: `${results} = ${entry.op}(${[...inputs, ...settings].join(", ")})`, step: entry.number };
  });
  if (!backward.length) return shown;
  const has = new Set();
  const first = backward[0].incoming.flatMap((g, result) => (g ? [`∂${variable({ entry: backward[0].entry, result })}`] : []));
  shown.push({ text: "", step: null }, { text: `${first.join(", ")} = 1  # or the gradient that was given`, step: BACKWARD });
  steps.forEach((step, at) => {
    if (step.kind !== "gives") return;
    const { given, entry } = step;
    const key = slot(given.to);
    const fits = given.fitted && undone(given);
    const right = `${contributed(entries[entry], given)}${fits ? `  # ${fits}` : ""}`;
    shown.push({ text: `∂${variable(given.to)} ${has.has(key) ? "+=" : "="} ${right}`, step: at });
    has.add(key);
  });
  return shown;
}

const program = programLines();

/** The line of a step: its own, or that of the contribution of which it is a later step. */
const programLine = (at) => program.findLastIndex(({ step }) => step !== null && step <= at) + 1;
