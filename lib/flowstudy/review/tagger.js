// Single keys for the tagger. They are caught before anything else sees them, so that the notebook's own shortcuts
// (cut a cell with x, delete it with d d, run it with Ctrl+Enter) never fire while the tagger has the focus.
function render({ model, el }) {
  let root = null;
  const typing = (target) => target.matches("textarea, input:not([type=checkbox]):not([type=radio]), select");
  const find = (selector) => root.querySelector(selector);
  const home = () => root.focus({ preventScroll: true });
  const here = {
    Escape: home,
    "/": () => find("textarea")?.focus(),
    j: () => { find("input[type=number]")?.focus(); find("input[type=number]")?.select(); },
    "?": () => {
      const page = find(".fs-definitions");
      if (page) page.open = !page.open;
      (page?.open ? page : root).scrollIntoView({ block: page?.open ? "start" : "nearest" });
    },
  };
  const onKey = (event) => {
    event.stopPropagation();
    const modified = event.ctrlKey || event.metaKey || event.altKey;
    if (modified && event.key.toLowerCase() === "s") event.preventDefault(); // every click is saved already
    if (modified) return;
    if (event.key === "Enter" && event.target.type === "number") { event.target.blur(); home(); return; }
    if (typing(event.target) && event.key !== "Escape") return;
    if (here[event.key]) { event.preventDefault(); here[event.key](); return; }
    if (!model.get("known").includes(event.key)) return;
    event.preventDefault();
    if (!event.repeat) model.send({ key: event.key, position: Number(find(".fs-bar")?.dataset.position) });
  };
  const onPress = (event) => { if (!typing(event.target) && !event.target.closest("button, summary")) home(); };
  const onClick = (event) => { // the inputs of one step
    const inputs = event.target.closest(".fs-inputs > button")?.parentElement;
    if (inputs) { inputs.classList.toggle("fs-open"); home(); }
  };
  const attach = () => {
    root = el.closest(".fs-tagger");
    if (!root) { timer = setTimeout(attach, 50); return; }
    root.tabIndex = 0;
    root.dataset.lmSuppressShortcuts = "true"; // JupyterLab's own way to leave keys alone
    root.addEventListener("keydown", onKey, true);
    root.addEventListener("mousedown", onPress);
    root.addEventListener("click", onClick);
    if (model.get("focus")) home();
  };
  let timer = setTimeout(attach, 0);
  return () => {
    clearTimeout(timer);
    root?.removeEventListener("keydown", onKey, true);
    root?.removeEventListener("mousedown", onPress);
    root?.removeEventListener("click", onClick);
  };
}
export default { render };
