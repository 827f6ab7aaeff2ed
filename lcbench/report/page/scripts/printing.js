// On paper nothing can be unfolded: what belongs to a report is opened for it, the long list of samples is not.

const opened = [];

addEventListener("beforeprint", () => {
  hide();
  for (const fold of document.querySelectorAll("details.printed:not([open])")) {
    fold.open = true;
    opened.push(fold);
  }
});
addEventListener("afterprint", () => {
  for (const fold of opened.splice(0)) fold.open = false;
});
