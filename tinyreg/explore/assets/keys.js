// Keys and colours of every page. `keys` has an action for each key, and render() draws anew what depends on colours.

function changeTheme() {
  const dark = byId("theme").getAttribute("aria-pressed") !== "true";
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
  byId("theme").setAttribute("aria-pressed", String(dark));
  render(false);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const { target, key } = event;
  if (target.matches("input[type=search], select")) return;
  if (target.matches("button") && (key === " " || key === "Enter")) return;
  if (!Object.hasOwn(keys, key)) return;
  event.preventDefault();
  keys[key]();
}

function onSourceKey(event) {
  const { key } = event;
  if (key === "Enter") goToLine(cursor);
  else if (key === "ArrowUp" || key === "ArrowDown") moveCursor(neighbour(key === "ArrowUp" ? -1 : 1));
  else return;
  event.preventDefault();
  event.stopPropagation();
}
