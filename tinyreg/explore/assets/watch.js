// The page is loaded again when the script has run again.
setInterval(async () => {
  try {
    const answer = await fetch("version");
    if (answer.ok && (await answer.text()) !== "@@version@@") location.reload();
  } catch {
    // whoever served it has ended; the page stays
  }
}, 400);
