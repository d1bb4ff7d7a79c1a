// A first visit: five things to look at, one after the other.

const TOUR = [
  ["rows", "The tape: what your program did, in order. First the leaves, where it begins, then one entry for each op."],
  ["time", "Time. Step with the buttons, or the arrow keys: forward, entry by entry, and then back through all of them."],
  ["source", "Your source. The line that is lit made the entry; click on a line to go to what it made."],
  ["entry", "What is chosen: its value, its gradient, and its VJP, which is the code of its derivative that runs."],
  ["rows", "The backward. Contributions arrive and add up: the ring at the end of a row fills until the gradient is complete."],
];
let toured = 0;

/** Whether this is the first page of this kind that is opened here, and not a picture within another page. */
function firstVisit() {
  try {
    if (!steps.length || window !== window.top || localStorage.getItem("tinyreg tour")) return false;
    localStorage.setItem("tinyreg tour", "seen");
    return true;
  } catch {
    return false;
  }
}

function beginTour() {
  toured = 0;
  byId("tour").hidden = false;
  tour(0);
}

/** Go on by so many steps of the tour; after the last it ends. */
function tour(by) {
  document.querySelector(".toured")?.classList.remove("toured");
  toured += by;
  if (toured >= TOUR.length) return (byId("tour").hidden = true);
  const [id, text] = TOUR[toured];
  byId(id).classList.add("toured");
  byId("tour-text").textContent = text;
  byId("tour-at").textContent = `${toured + 1} of ${TOUR.length}`;
  byId("tour-next").textContent = toured === TOUR.length - 1 ? "Done" : "Next";
  if (toured === TOUR.length - 1 && backward.length) go(BACKWARD + 1);
}
