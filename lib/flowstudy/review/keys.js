// Single keys for the tagger. They are caught before anything else sees them, so that the notebook's own shortcuts
// (cut a cell with x, delete it with d d) never fire while the tagger has the focus.
function render({ model, el }) {
  let root = null;
  const typing = (target) => target.matches("textarea, input:not([type=checkbox]):not([type=radio]), select");
  const onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.stopPropagation();
    if (event.key === "Escape") { root.focus({ preventScroll: true }); return; }
    if (typing(event.target)) return;
    if (event.key === "/") { event.preventDefault(); root.querySelector("textarea")?.focus(); return; }
    if (event.key === "j") { event.preventDefault(); root.querySelector("input[type=number], input[type=text]")?.focus(); return; }
    if (!model.get("known").includes(event.key)) return;
    event.preventDefault();
    if (!event.repeat) model.send({ key: event.key });
  };
  const onClick = (event) => { if (!typing(event.target) && !event.target.closest("button, summary")) root.focus({ preventScroll: true }); };
  const attach = () => {
    root = el.closest(".fs-tagger");
    if (!root) { timer = setTimeout(attach, 50); return; }
    root.tabIndex = 0;
    root.addEventListener("keydown", onKey, true);
    root.addEventListener("mousedown", onClick);
    if (model.get("focus")) root.focus({ preventScroll: true });
  };
  let timer = setTimeout(attach, 0);
  return () => {
    clearTimeout(timer);
    root?.removeEventListener("keydown", onKey, true);
    root?.removeEventListener("mousedown", onClick);
  };
}
export default { render };
