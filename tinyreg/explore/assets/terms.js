// What a contribution is a product of: matrices, or the local derivative and g, down to single numbers.

const MOST_TERMS = 12; // of a sum that is written out

/** Of products, the two factors of the gradient of each argument, as their VJPs have them. */
const PRODUCTS = {
  matmul: { x1: ["g", "x2ᵀ"], x2: ["x1ᵀ", "g"] },
  linear: { x: ["g", "weight"], weight: ["gᵀ", "x"] },
};

function transposed(array) {
  const turn = (values, rows, columns) =>
    values && values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)]);
  const { shape, values, blocks } = array;
  const turned = blocks && { rows: blocks.columns, columns: blocks.rows };
  return {
    ...array,
    shape: [...shape].reverse(),
    values: turn(values, ...shape),
    blocks: blocks && { ...turned, values: turn(blocks.values, blocks.rows, blocks.columns) },
  };
}

/** An array of more axes as a matrix, whose rows are its last: so a linear layer sees its input. */
const asRows = (array) =>
  array?.shape.length > 2 ? { ...array, shape: [array.shape.slice(0, -1).reduce((n, m) => n * m), array.shape.at(-1)] } : array;

/** The value of an op's argument, whether it is on the tape or a constant. */
function valueOf(entry, argument) {
  const at = entry.arguments.indexOf(argument);
  if (at < 0) return null;
  const { leaf, entry: from, result, value } = entry.inputs[at];
  return value ?? (leaf !== null ? leaves[leaf].value : from !== null ? entries[from].results[result].value : null);
}

/** The factors of a contribution, in order: two matrices, or g and the local derivative; null where it is no product. */
function factors(entry, { argument, local, raw }, g) {
  const coming = { says: "comes in", label: "g, the incoming gradient", array: g };
  if (local) return [coming, { says: "times", label: "local derivative", array: local }];
  const names = PRODUCTS[entry.op]?.[argument];
  const fit = entry.op === "linear" ? asRows : (array) => array;
  if (!names || fit(raw).shape.length !== 2) return null;
  const both = names.map((name) => {
    const plain = name.replace("ᵀ", "");
    const array = fit(plain === "g" ? g : valueOf(entry, plain));
    const label = plain === name ? plain : `${plain}, transposed`;
    return array?.shape.length === 2 && { says: name, label, array: plain === name ? array : transposed(array) };
  });
  if (!both.every(Boolean)) return null;
  for (const factor of both) if (factor.says === "g") factor.label = coming.label;
  both[0].says = both[0].says === "g" ? coming.says : both[0].says;
  both[1].says = `times ${both[1].says}`;
  return both;
}

/** Tells of the i-th element of a contribution which product, or sum of products, it is; gives the places in both factors. */
function terms([first, second], raw, told) {
  if (![first.array, second.array, raw].every(({ values }) => values)) return undefined;
  const number = (value) => (value < 0 ? `(${short(value, 4)})` : short(value, 4));
  const [a, b] = [first.array.values, second.array.values];
  const elementwise = second.says === "times";
  const inner = first.array.shape[1];
  const columns = second.array.shape[1];
  const made = (i) =>
    elementwise
      ? [[i, i]]
      : Array.from({ length: inner }, (_, k) => [Math.floor(i / columns) * inner + k, k * columns + (i % columns)]);
  return (i) => {
    if (i === null) return (told.textContent = "");
    const pairs = made(i);
    const products = pairs.map(([one, other]) => `${number(a[one])} · ${number(b[other])}`);
    const shown = products.length > MOST_TERMS ? [...products.slice(0, MOST_TERMS), "…"] : products;
    const what = elementwise ? "g times the local derivative" : "row times column";
    told.textContent = `${position(i, raw.shape)}, ${what}: ${shown.join(" + ")} = ${short(raw.values[i], 4)}`;
    return [0, 1].map((factor) => pairs.map((pair) => pair[factor]));
  };
}
