// The tagger in the browser: draws what the kernel says, and sends what is pressed. Every key is caught before the
// notebook's own shortcuts (x cuts a cell, d d deletes it) see it, and keys press the buttons that name them.
const GUARD_MS = 400; // an answer that came into view a shorter time ago was not looked at
const PING_MS = 500, SILENT_MS = 1400; // a kernel that does not answer is shown within two seconds
const PENDING = "flowstudy-pending", NAME = "flowstudy-name";
const SILENT = "No answer: the kernel is busy with other cells, or its server is gone. Until it answers nothing is saved.";

function render({ model, el: root }) {
  let drawn = null, shown = -1, since = 0; // the view drawn, its position, when it came
  let sent = 0, pending = null, silence = null, lost = false, ticks = 0, settled = false;
  const find = (selector) => root.querySelector(selector);
  const home = () => root.focus({ preventScroll: true });
  const typing = (target) => target?.matches("textarea, input, select, [contenteditable=true]");
  const say = (words) => { if (find(".fs-said")) find(".fs-said").textContent = words; };
  const before = sessionStorage.getItem(PENDING);

  const send = (name, message) => {
    const { position } = model.get("state");
    const where = `“${name.trim()}” on answer ${position + 1}`;
    if (lost) { say(`${SILENT} Refused: ${where}.`); return; }
    pending = { n: ++sent, where };
    sessionStorage.setItem(PENDING, where);
    say("");
    model.send({ ...message, position, n: sent });
  };
  const act = (button) => {
    const { act: name } = button.dataset;
    if (["confirm", "skip"].includes(name) && performance.now() - since < GUARD_MS) {
      say("This answer has only just come: look, then press again.");
    } else send(button.textContent, { act: name });
  };

  const draw = () => {
    const state = model.get("state"), view = model.get("view");
    if (state.position === undefined || !find(".fs-view")) return;
    const inView = find(".fs-view").contains(document.activeElement);
    if (view !== drawn) { find(".fs-view").innerHTML = drawn = view; if (inView) home(); }
    for (const [name, words] of Object.entries(state.words)) find(`.fs-${name}`).textContent = words;
    for (const chip of root.querySelectorAll("[aria-pressed]")) {
      chip.setAttribute("aria-pressed", state.selected.includes(chip.dataset.act.slice(4)));
    }
    Object.assign(find("progress"), { value: state.done, max: state.total });
    const note = find("textarea"), moved = state.position !== shown;
    if (moved || document.activeElement !== note) note.value = state.note;
    root.dataset.position = state.position;
    if (!moved) return;
    find("input[type=number]").value = state.position + 1;
    [shown, since] = [state.position, performance.now()];
    const top = root.getBoundingClientRect().top; // the next answer starts at its requirement
    if (settled && (top < 0 || top > innerHeight / 3)) root.scrollIntoView({ block: "start" });
  };
  const frame = () => {
    root.innerHTML = model.get("frame");
    drawn = null;
    if (find("input[name=name]")) find("input[name=name]").value = sessionStorage.getItem(NAME) ?? "";
    else if (before) say(`Pressed last, before this page was opened: ${before}. Look whether it is there.`);
    draw();
  };

  const onHeard = ({ heard, upto }) => {
    clearTimeout(silence);
    silence = null;
    const [was, done] = [pending, pending && heard >= pending.n];
    if (was && !done && upto < was.n) return; // said before the kernel had read it
    if (was) { pending = null; sessionStorage.removeItem(PENDING); }
    const told = was && (lost || !done) ? ` ${done ? "Done" : "Not done, press it again"}: ${was.where}.` : "";
    if (lost || told) say(`${lost ? "The kernel answers again." : ""}${told}`);
    lost = false;
    delete root.dataset.lost;
    const note = find("textarea");
    if (note && document.activeElement !== note && note.value !== model.get("state").note) send("note", { note: note.value });
  };
  const onSilence = () => {
    lost = true;
    root.dataset.lost = "";
    say(`${SILENT}${pending ? ` Pressed last: ${pending.where}.` : ""}`);
  };
  const tick = () => {
    if (document.hidden || shown < 0 || (lost ? ++ticks % 4 : silence)) return;
    silence ??= setTimeout(onSilence, SILENT_MS);
    model.send({ ping: true, n: sent });
  };

  const scroll = (pages) => () => find(".fs-pair, .fs-raw")?.scrollBy(0, pages * find(".fs-pair, .fs-raw").clientHeight);
  const here = {
    Escape: home, ArrowDown: scroll(0.2), ArrowUp: scroll(-0.2), PageDown: scroll(0.9), PageUp: scroll(-0.9),
    "/": () => find("textarea").focus(),
    j: () => find("input[type=number]").select(),
    "?": () => {
      const page = find(".fs-definitions");
      page.open = !page.open;
      (page.open ? page : root).scrollIntoView({ block: page.open ? "start" : "nearest" });
    },
  };
  const onKey = (event) => {
    event.stopPropagation();
    const { target } = event, modified = event.ctrlKey || event.metaKey || event.altKey;
    if (modified && event.key.toLowerCase() === "s") event.preventDefault(); // every click is saved already
    if (modified || shown < 0) return;
    if (event.key === "Enter" && target.type === "number") { target.blur(); home(); return; }
    if (typing(target) && event.key !== "Escape") return;
    if ([" ", "Enter"].includes(event.key) && target.closest("button, summary")) { // acts on what has the focus
      if (event.repeat) event.preventDefault();
      return;
    }
    const key = event.getModifierState("CapsLock") ? event.key.toLowerCase() : event.key;
    const does = here[key], button = find(`[data-key="${CSS.escape(key)}"]`);
    if (!does && !button) return;
    if (key.startsWith("Arrow") || key.startsWith("Page")) { if (does && target !== root) return; } // a pane of its own
    event.preventDefault();
    if (does) does();
    else if (!event.repeat) act(button);
  };
  const on = {
    mousedown: ({ target }) => { if (!typing(target) && !target.closest("button, summary, [tabindex='0']:not(.fs-tagger)")) home(); },
    click: ({ target, detail }) => {
      const button = target.closest("button");
      const inputs = button?.closest(".fs-inputs");
      if (inputs) { inputs.classList.toggle("fs-open"); home(); } // the inputs of one step
      else if (button?.dataset.act && (detail < 2 || button.ariaPressed)) act(button); // no second of a double click
    },
    change: ({ target }) => {
      if (target.matches("textarea")) send("note", { note: target.value });
      else if (target.type === "number") send("jump", { jump: Number(target.value) });
    },
    beforeinput: (event) => { if (lost) { event.preventDefault(); say(`${SILENT} Refused: typing.`); } },
    submit: (event) => {
      event.preventDefault();
      const name = find("input[name=name]").value;
      sessionStorage.setItem(NAME, name);
      model.send({ name });
    },
  };

  root.classList.add("fs-tagger");
  root.tabIndex = 0;
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab's own way to leave keys alone
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Tagger");
  root.addEventListener("keydown", onKey, true);
  for (const [name, does] of Object.entries(on)) root.addEventListener(name, does);
  model.on("change:frame", frame);
  model.on("change:view change:state", draw);
  model.on("msg:custom", onHeard);
  frame();
  const sight = new ResizeObserver(() => {
    const room = (root.closest(".jp-WindowedPanel-outer") ?? document.documentElement).clientHeight;
    root.style.setProperty("--room", `${room}px`);
    if (settled || shown < 0 || !root.offsetHeight) return;
    settled = true; // seen for the first time: after Run All the notebook stands at its end
    if (!typing(document.activeElement)) { home(); root.scrollIntoView({ block: "start" }); }
  });
  sight.observe(root);
  const timer = setInterval(tick, PING_MS);
  return () => {
    clearInterval(timer);
    clearTimeout(silence);
    sight.disconnect();
    model.off("change:frame", frame);
    model.off("change:view change:state", draw);
    model.off("msg:custom", onHeard);
  };
}
export default { render };
