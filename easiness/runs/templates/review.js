// Review of labels: cards of one page at a time, decisions by mouse and key, kept in the browser and saved as csv.
// Every text from the data becomes textContent or an attribute, never markup.
"use strict";
const $ = id => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const PER_PAGE = 20, SHOWN_CLASSES = 200;
const COLUMNS = ["example_id", "file", "decision", "label", "given_label", "fingerprint"];
const DECISIONS = ["keep", "remove", "relabel"];
const KEY = `easiness decisions ${data.run_id} ${data.fingerprint}`;
const format = count => count.toLocaleString("en");

// Decisions by example id, with those on examples that an uploaded file names and this page does not show.
const decisions = new Map(), undoable = [];
let shown = [], place = 0;  // examples that pass the filters; the current one among them

const id = example => String(data.about[example.row][0]);
const file = row => data.about[row][1];
const given = row => data.about[row][2];
const short = row => file(row).slice(file(row).lastIndexOf("/") + 1);
const cards = () => [...$("cards").children];
const decided = example => decisions.get(id(example));
const className = k => data.classes[k];

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

function picture(row, alt) {
  const content = data.pictures[row];
  if (content === undefined) return make("div", {className: "no-picture", title: file(row)}, "no picture");
  const image = make("img", {alt, title: file(row), loading: "lazy"});
  image.onload = () => image.classList.toggle("pixels", Math.max(image.naturalWidth, image.naturalHeight) <= 32);
  image.src = "data:image/webp;base64," + content;
  return image;
}

// ---- decisions

function record(example, decision, label) {
  const {fingerprint} = data, given_label = className(given(example.row));
  return {example_id: id(example), file: file(example.row), decision, label, given_label, fingerprint};
}

function change(changes, said) {
  for (const [key, value] of changes) {
    if (value) decisions.set(key, value);
    else decisions.delete(key);
  }
  if (storage) {
    try { storage.setItem(KEY, toCsv()); } catch { said += " The browser's storage is full: download the decisions."; }
  }
  cards().forEach(mark);
  progress(said);
}

function load() {
  decisions.clear();
  for (const [key, value] of read(storage.getItem(KEY) ?? COLUMNS.join())) decisions.set(key, value);
}

function remember(changes, said) {
  undoable.push(changes.map(([key]) => [key, decisions.get(key)]));
  change(changes, said);
}

// The same decision twice takes it back; returns whether there is one now.
function decide(example, decision, label = "") {
  if (decision === "relabel" && label === className(given(example.row))) [decision, label] = ["keep", ""];
  const before = decided(example), key = id(example);
  const again = before && before.decision === decision && before.label === label;
  const words = again ? "undecided" : decision === "relabel" ? `relabelled as ${label}` : decision;
  remember([[key, again ? null : record(example, decision, label)]], `${short(example.row)}: ${words}.`);
  return !again;
}

function accept(example) {
  if (example.suggested < 0) { say("This example has no suggested label."); return false; }
  return decide(example, "relabel", className(example.suggested));
}

function undo() {
  const changes = undoable.pop();
  if (!changes) return say("There is nothing to undo.");
  change(changes, "Undone.");
  const index = shown.findIndex(example => id(example) === changes[0][0]);
  if (index >= 0) go(index);
}

function say(text) { $("status").textContent = text; }

function progress(said = "") {
  const count = data.examples.filter(decided).length, all = data.examples.length;
  const words = `${format(count)} of ${format(all)} decided`;
  $("progress").max = all;
  $("progress").value = count;
  $("count").textContent = words;
  $("undo").disabled = !undoable.length;
  $("download").disabled = !decisions.size;
  say(`${said} ${words}.`);
}

// ---- cards

function card(example, index) {
  const row = example.row, k = given(row), name = file(row);
  const suggested = example.suggested < 0 ? null : className(example.suggested);
  const bold = textContent => make("b", {textContent});
  const labels = make("p", {className: "labels", id: `labels-${row}`}, "labelled ", bold(className(k)));
  if (suggested !== null) labels.append(" · suggested ", bold(suggested),
    make("span", {className: "share", textContent: " " + example.share}));
  const folder = name.slice(0, name.length - short(row).length);
  const head = make("div", {className: "head"}, make("h3", {id: `name-${row}`},
    make("span", {className: "folder", textContent: folder}), short(row)), labels);
  const facts = make("div", {className: "facts"},
    make("dl", {}, ...data.measures.map(([measure, meaning], i) => make("div", {title: meaning},
      make("dt", {textContent: measure + " "}), make("dd", {textContent: example.numbers[i]})))));
  const duplicates = example.duplicates.map(other => {
    const label = make(given(other) === k ? "span" : "mark", {textContent: className(given(other))});
    return make("span", {}, file(other), " (", label, ")");
  });
  if (example.more_duplicates) duplicates.push(`${example.more_duplicates} more`);
  if (example.in_val) duplicates.push("in validation");
  if (duplicates.length) facts.append(make("p", {className: "duplicates"}, "Exact duplicates: ",
    ...duplicates.flatMap((words, i) => i ? [", ", words] : [words])));
  const near = make("div", {className: "near"});
  if (example.neighbours.length) near.append(make("h4", {textContent: "Nearest by prediction"}), make("ul", {},
    ...example.neighbours.map(other => make("li", {}, picture(other, file(other)),
      make("span", {title: className(given(other)), textContent: className(given(other))})))));
  const act = (words, key, decision, action) => make("button",
    {type: "button", "data-decision": decision, onclick: () => { go(index, false); action(); }},
    make("span", {textContent: words}), " ", make("kbd", {textContent: key}));
  const actions = make("div", {className: "actions", role: "group", "aria-label": `Decision on ${name}`},
    act("Keep", "k", "keep", () => decide(example, "keep")),
    act("Remove", "r", "remove", () => decide(example, "remove")));
  if (suggested !== null && example.suggested !== k)
    actions.append(act(`Relabel as ${suggested}`, "s", "relabel", () => accept(example)));
  actions.append(act("Relabel …", "l", "relabel", () => openRelabel(example)));
  actions.lastChild.dataset.other = "yes";
  const item = make("li", {className: "card", tabIndex: -1, "aria-labelledby": `name-${row} labels-${row}`},
    picture(row, `${name}, labelled ${className(k)}`), head, facts, near, actions);
  item.example = example;
  item.onclick = event => { if (!event.target.closest("button")) go(index, false); };
  return item;
}

// Show a decision on its card.
function mark(item) {
  const {decision, label} = decided(item.example) ?? {decision: "", label: ""};
  item.dataset.decision = decision;
  const suggested = className(item.example.suggested);
  for (const button of item.querySelectorAll(".actions button")) {
    const {other} = button.dataset;
    const meant = decision !== "relabel" || (label !== suggested) === Boolean(other);
    const pressed = button.dataset.decision === decision && meant;
    if (other) button.firstChild.textContent = pressed ? `Relabelled as ${label}` : "Relabel …";
    button.setAttribute("aria-pressed", String(pressed));
  }
}

function render() {
  const first = Math.floor(place / PER_PAGE) * PER_PAGE, pages = Math.max(1, Math.ceil(shown.length / PER_PAGE));
  $("cards").replaceChildren(...shown.slice(first, first + PER_PAGE).map((example, i) => card(example, first + i)));
  cards().forEach(mark);
  $("cards").start = first + 1;
  $("page").textContent = `Page ${format(first / PER_PAGE + 1)} of ${format(pages)}`;
  $("before").disabled = first === 0;
  $("after").disabled = first + PER_PAGE >= shown.length;
  $("shown").textContent = `${format(shown.length)} shown`;
}

// Make an example the current one, on its page.
function go(index, focus = true) {
  if (index < 0) return say("This is the first example.");
  if (index >= shown.length) return say(`${$("count").textContent}. This is the last example.`);
  const turned = Math.floor(index / PER_PAGE) !== Math.floor(place / PER_PAGE);
  place = index;
  if (turned) render();
  const current = cards()[index % PER_PAGE];
  for (const item of cards()) item.removeAttribute("aria-current");
  current.setAttribute("aria-current", "true");
  if (!focus) return;
  current.focus({preventScroll: true});
  current.scrollIntoView({block: turned ? "start" : "nearest"});
}

// ---- filters

function option(value, words) { return make("option", {value, textContent: words}); }

function tally(keys) {
  const counts = new Map();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

const pair = example => `${given(example.row)},${example.suggested}`;

function fillPairs() {
  const some = data.examples.filter(example => !$("given").value || given(example.row) === Number($("given").value));
  const pairs = tally(some.filter(example => example.suggested >= 0).map(pair));
  $("pair").replaceChildren(option("", "all"), ...pairs.map(([key, count]) => {
    const [a, b] = key.split(",").map(className);
    return option(key, `${a} → ${b} (${format(count)})`);
  }));
}

function filter() {
  const {value: k} = $("given"), {value: both} = $("pair"), {value: state} = $("show");
  shown = data.examples.filter(example =>
    (!k || given(example.row) === Number(k)) && (!both || pair(example) === both) &&
    (!state || (decided(example)?.decision ?? "undecided") === state));
  place = 0;
  render();
  if (shown.length) go(0, false);
  say(`${format(shown.length)} examples shown.`);
}

// ---- the list of classes

let relabelled = null, matches = [], choice = 0;

function openRelabel(example) {
  relabelled = example;
  $("relabel-file").textContent = `${file(example.row)}, labelled ${className(given(example.row))}`;
  $("wanted").value = "";
  find();
  $("relabel").showModal();
  $("wanted").focus();
}

function find() {
  const wanted = $("wanted").value.trim().toLowerCase();
  const hits = data.classes.filter(name => name.toLowerCase().includes(wanted));
  hits.sort((a, b) => b.toLowerCase().startsWith(wanted) - a.toLowerCase().startsWith(wanted));
  matches = hits.slice(0, SHOWN_CLASSES);
  const options = matches.map((name, i) =>
    make("li", {id: `class-${i}`, role: "option", textContent: name, onclick: () => choose(i)}));
  $("classes").replaceChildren(...options);
  if (hits.length > matches.length) $("classes").append(make("li",
    {"aria-disabled": "true", textContent: `and ${format(hits.length - matches.length)} more: type to find`}));
  if (!hits.length) $("classes").append(make("li", {"aria-disabled": "true", textContent: "no such class"}));
  point(0);
}

function point(index) {
  choice = Math.max(0, Math.min(index, matches.length - 1));
  matches.forEach((_, i) => $(`class-${i}`).setAttribute("aria-selected", String(i === choice)));
  if (matches.length) $(`class-${choice}`).scrollIntoView({block: "nearest"});
  $("wanted").setAttribute("aria-activedescendant", matches.length ? `class-${choice}` : "");
}

function choose(index) {
  if (!matches.length) return;
  $("relabel").close();
  if (decide(relabelled, "relabel", matches[index])) go(Math.min(place + 1, shown.length - 1));
}

$("wanted").oninput = find;
$("wanted").onkeydown = event => {
  const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
  if (step) point(choice + step);
  else if (event.key === "Enter") choose(choice);
  else return;
  event.preventDefault();
};

// ---- decisions.csv

// What a spreadsheet would run as a formula gets an apostrophe before it, as in the other tables of the project.
const FORMULA = /^'*(?![+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$)[=+\-@\t\r]/;
const quote = text => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
const cell = text => quote(FORMULA.test(text) ? "'" + text : text);
const uncell = text => text.startsWith("'") && FORMULA.test(text) ? text.slice(1) : text;
const CELL = /(?:"((?:[^"]|"")*)"|([^,\r\n]*))(,|\r?\n|$)/g;

function toCsv() {
  const rows = [...decisions.values()].sort((a, b) => a.example_id - b.example_id);
  const lines = [COLUMNS, ...rows.map(row => COLUMNS.map(name => row[name]))];
  return lines.map(line => line.map(cell).join(",") + "\n").join("");
}

function fromCsv(text) {
  const rows = [[]];
  for (const [, quoted, plain, end] of text.replace(/^\ufeff/, "").matchAll(CELL)) {
    rows.at(-1).push(uncell(quoted === undefined ? plain : quoted.replaceAll('""', '"')));
    if (end === "") break;
    if (end !== ",") rows.push([]);
  }
  const [head, ...body] = rows.filter(row => row.length > 1 || row[0]);
  const missing = COLUMNS.filter(name => !head?.includes(name));
  if (missing.length) throw new Error(`it has no column ${missing.join(", ")}`);
  return body.map(row => Object.fromEntries(COLUMNS.map(name => [name, row[head.indexOf(name)] ?? ""])));
}

// Changes that a file makes; an Error says what is wrong with it.
function read(text) {
  const brief = fingerprint => fingerprint.slice(0, 12) + "…";
  return fromCsv(text).map((row, i) => {
    const {fingerprint, decision, label} = row;
    const refuse = words => { throw new Error(`row ${i + 1} ${words}`); };
    if (fingerprint !== data.fingerprint)
      refuse(`is of data with fingerprint ${brief(fingerprint)}, and this page of ${brief(data.fingerprint)}`);
    if (!DECISIONS.includes(decision)) refuse(`has decision ${decision}, not ${DECISIONS.join(", ")}`);
    if (decision === "relabel" && !data.classes.includes(label)) refuse(`has label ${label}, which is no class here`);
    return [row.example_id, row];
  });
}

function download() {
  const text = toCsv();
  const address = URL.createObjectURL(new Blob([text], {type: "text/csv"}));
  make("a", {href: address, download: "decisions.csv"}).click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
  if (!sandboxed) return say(`${format(decisions.size)} decisions saved as decisions.csv.`);
  $("csv").value = text;
  $("copied").textContent = "";
  $("copying").showModal();
  $("csv").select();
}

async function upload() {
  const [chosen] = $("file").files;
  if (!chosen) return;
  try {
    const changes = read(await chosen.text());
    remember(changes, `${format(changes.length)} decisions taken from ${chosen.name}.`);
  } catch (error) { say(`${chosen.name} was not taken: ${error.message}.`); }
  $("file").value = "";
}

// ---- keys and buttons

const ACTIONS = {
  j: () => go(place + 1), ArrowDown: () => go(place + 1), ArrowRight: () => go(place + 1),
  p: () => go(place - 1), ArrowUp: () => go(place - 1), ArrowLeft: () => go(place - 1),
  k: example => decide(example, "keep") && go(place + 1),
  r: example => decide(example, "remove") && go(place + 1),
  s: example => accept(example) && go(place + 1), Enter: example => accept(example) && go(place + 1),
  l: openRelabel, u: undo, "?": () => $("helping").showModal(),
};

addEventListener("keydown", event => {
  const action = Object.hasOwn(ACTIONS, event.key) && ACTIONS[event.key];
  const busy = event.target.closest("input, select, textarea") || document.querySelector("dialog[open]") ||
    (event.key === "Enter" && event.target.closest("button, a"));
  if (!action || busy || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.repeat && !event.key.startsWith("Arrow")) return;
  if (!$("keys").checked || (!shown.length && event.key !== "?" && event.key !== "u")) return;
  event.preventDefault();
  action(shown[place]);
});
$("undo").onclick = undo;
$("download").onclick = download;
$("upload").onclick = () => $("file").click();
$("file").onchange = upload;
$("help").onclick = ACTIONS["?"];
$("copy").onclick = () => {
  $("csv").select();
  $("copied").textContent = document.execCommand("copy") ? "Copied." : "The text is selected: copy it by hand.";
};
$("before").onclick = () => go((Math.floor(place / PER_PAGE) - 1) * PER_PAGE);
$("after").onclick = () => go((Math.floor(place / PER_PAGE) + 1) * PER_PAGE);
for (const dialog of document.querySelectorAll("dialog")) dialog.querySelector(".close").onclick = () => dialog.close();

// ---- start

// A sandboxed frame has no storage, and may not save files.
const sandboxed = window.origin === "null" && location.protocol !== "file:";
let storage = null;
try {
  storage = window.localStorage;
  load();
} catch { storage = null; }
$("storing").textContent = storage ? "Decisions are kept in this browser." : sandboxed ?
  "This view keeps no decisions and saves no file: download this page (in MLflow by the button above it) and open it " +
  "from the disk, or copy decisions.csv at the end." :
  "This browser keeps no decisions: download them before you leave.";
if (sandboxed) $("download").firstChild.textContent = "Copy";
// Another tab with the same page has decided.
addEventListener("storage", event => {
  if (event.key !== KEY) return;
  load();
  cards().forEach(mark);
  progress("Decided in another tab.");
});
$("given").append(option("", "all"), ...tally(data.examples.map(example => given(example.row)))
  .map(([k, count]) => option(k, `${className(k)} (${format(count)})`)));
$("show").append(...["", "undecided", ...DECISIONS].map(value => option(value, value || "all")));
fillPairs();
$("given").onchange = () => { fillPairs(); filter(); };
$("pair").onchange = $("show").onchange = filter;
filter();
progress();
say(`${format(shown.length)} examples to judge; ? shows the keys.`);
