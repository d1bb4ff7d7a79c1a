// The chart of memory: blocks from top to bottom, steps from left to right, and each value as a bar.

const SUM = 340; // pixels, of all blocks together
const LEAST = 6; // of one
const GAP = 2;
const LABEL = 102; // the width of what stands beside
const LABELLED = 11; // pixels, from which on there is room for it

/** The bands from top to bottom: where each begins, and how high it is. */
function bands() {
  const all = buffers.reduce((sum, buffer) => sum + buffer.bytes, 0) || 1;
  let top = 0;
  return buffers.map((buffer, i) => {
    if (i && buffer.label === "out" && buffers[i - 1].label !== "out") top += 4 * GAP;
    const height = Math.max(LEAST, (SUM * buffer.bytes) / all);
    const band = { top, height };
    top += height + GAP;
    return band;
  });
}

const stacked = bands();
const phaseOfValue = ({ call }) => (call === null ? "other" : phaseOf(entries[call]));
const untilStep = ({ last }) => Math.min(last + 1, scene.steps);

/** Draw the chart as wide as there is room. */
function drawChart(row) {
  const svg = byId("blocks");
  const width = svg.parentElement.clientWidth - 32; // its padding
  const height = stacked.length ? stacked.at(-1).top + stacked.at(-1).height : 0;
  const at = (step) => LABEL + ((width - LABEL) * step) / Math.max(scene.steps, 1);
  const reads = readBy(row).values;
  const made = madeBy(row);
  const drawn = buffers.flatMap(({ label, bytes: size }, i) => {
    const { top, height } = stacked[i];
    const band = draw("rect", { class: "band", x: LABEL, y: top, width: Math.max(0, width - LABEL), height });
    const text = draw("text", { x: LABEL - 6, y: top + height / 2 + 3.5, "text-anchor": "end" });
    text.append(`${label} ${bytes(size)}`);
    return height >= LABELLED ? [band, text] : [band];
  });
  const bars = values.map((value, i) => {
    const { top, height } = stacked[value.buffer];
    const share = Math.max(LEAST - 2, height * Math.min(1, value.bytes / (buffers[value.buffer].bytes || 1)));
    const signs = ["value", phaseOfValue(value), made.includes(i) && "made", reads.includes(i) && "read"];
    const bar = draw("rect", {
      class: signs.filter(Boolean).join(" "),
      "data-value": i,
      x: at(value.first) + 0.5,
      y: top + 0.5,
      width: Math.max(1.5, at(untilStep(value)) - at(value.first) - 1),
      height: Math.min(share, height) - 1,
    });
    const title = draw("title");
    title.append(`${placed(i)}: ${bytes(value.bytes)}`);
    bar.append(title);
    return bar;
  });
  const order = [...bars].sort((a, b) => a.classList.contains("read") - b.classList.contains("read"));
  const moment = draw("rect", { class: "moment", x: at(row.call.step), y: 0, width: Math.max(2, at(1) - at(0)), height });
  svg.setAttribute("viewBox", `0 0 ${Math.max(width, 1)} ${height}`);
  svg.setAttribute("height", height);
  svg.replaceChildren(...drawn, moment, ...order);
}

/** How much of the memory is in use at a step. */
function usedAt(step) {
  const alive = values.filter((value) => value.first <= step && step <= value.last);
  return alive.reduce((sum, value) => sum + value.bytes, 0);
}
