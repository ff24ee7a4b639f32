// The page: opens a file, shows what its index says, decodes one tensor at a time in a worker.

const $ = (id) => document.getElementById(id);
// Modules that are parts of this page, as addresses. A worker of a page that is a file may import such alone.
const module = (id) => `data:text/javascript,${encodeURIComponent($(id).textContent.replaceAll("<\\/script", "</script"))}`;
const reader = module("dcz.mjs"), zstd = module("zstd.mjs");
const zipped = Uint8Array.from(atob($("dcz.wasm").textContent.trim()), (c) => c.charCodeAt(0));
const wasm = await new Response(new Blob([zipped]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
const { Dcz } = await import(reader);
const { toFloats } = await import(module("floats.mjs"));

const el = (tag, properties = {}, ...children) => {
  const out = Object.assign(document.createElement(tag), properties);
  out.append(...children);
  return out;
};
const whole = (n) => Number(n).toLocaleString("en");
const bytes = (n) => n < 1000 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toPrecision(3)} kB` : n < 1e9 ? `${(n / 1e6).toPrecision(3)} MB` : `${(n / 1e9).toPrecision(3)} GB`;
const percent = (x) => `${(100 * x).toPrecision(3)}%`;
const short = (x) => Number.isFinite(x) ? Number(x.toPrecision(4)).toString() : String(x);
// Names may hold anything: what would move or hide other text is shown as its number.
const printable = (text) => text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
const brief = (text) => text.length > 80 ? `${text.slice(0, 79)}\u2026` : text || '""';
const PARTS = ["positions", "values", "codebooks", "rest"];
const LARGEST = 20; // bars
const MOST = 1 << 27; // words of a tensor that is drawn
const NS = "http://www.w3.org/2000/svg";
let model, picked, order = { key: "index", down: false };

// -- What the index says

const POSITIONS = { 0: "", 1: "bitmap" }, VALUES = ["dense", "byte planes", "palette"], SPARSE = ["whole values", "byte planes", ""];
const TRANSFORMS = ["", "copy", "step", "xor", "replace"];

function layoutOf(t) {
  if (t.unsupported) return `unknown ${t.unsupported}`;
  if (t.sameAs !== t.index) return `same as ${brief(printable(model.tensors[t.sameAs].name))}`;
  if (!t.chunks) return t.transform === 1 ? "copy of the base" : "nothing stored";
  const where = POSITIONS[t.positions] ?? `CSR, ${t.positions}-bit gaps`;
  const what = (where ? SPARSE : VALUES)[t.values], coders = [t.codes & 4 && "Huffman", t.codes & 8 && "zstd"].filter(Boolean);
  const change = TRANSFORMS[t.transform] && `${TRANSFORMS[t.transform]}: `;
  return change + [[where, what].filter(Boolean).join(", "), ...coders].join(" + ");
}

const partsOf = (t) => ({ positions: t.storedPositions, codebooks: t.storedCodebooks, values: t.stored - t.storedPositions - t.storedCodebooks, rest: 0 });
const density = (t) => t.words ? t.nonzeros / t.words : 0;
const isTied = (t) => t.sameAs !== t.index;

function totals() {
  const all = { weights: 0, nonzeros: 0, dense: 0, stored: 0, positions: 0, values: 0, codebooks: 0 };
  for (const t of model.tensors) {
    all.weights += t.words, all.nonzeros += t.nonzeros;
    all.dense += t.nbytes, all.stored += t.stored;
    for (const [part, size] of Object.entries(partsOf(t))) if (part in all) all[part] += size;
  }
  return { ...all, rest: model.size - all.stored };
}

function showFile(name) {
  const all = totals(), card = (title, value, small) => el("div", {}, el("dt", { textContent: title }), el("dd", {}, value, el("small", { textContent: small })));
  $("name").textContent = printable(name);
  document.title = `${printable(name)} - dcz viewer`;
  $("cards").replaceChildren(
    card("File", bytes(model.size), `${whole(model.size)} bytes`),
    card("Decoded", bytes(all.dense), `${(all.dense / model.size).toFixed(1)} times the file`),
    card("Tensors", whole(model.tensors.length), model.aliases.length ? `and ${whole(model.aliases.length)} more names` : model.hasBase ? "differences to a base" : " "),
    card("Weights", all.weights < 1e4 ? whole(all.weights) : `${(all.weights / 1e6).toPrecision(3)} M`, `${percent(all.weights ? all.nonzeros / all.weights : 0)} not zero`),
    card("Bits a weight", all.weights ? (8 * model.size / all.weights).toFixed(2) : "0", "of the whole file"),
  );
  const names = { positions: "positions", values: "values", codebooks: "codebooks", rest: "index and trailer" };
  $("legend").replaceChildren(...PARTS.map((part) => el("li", {}, el("i", { style: `background: var(--${part})` }), `${names[part]} ${bytes(all[part])} (${percent(all[part] / model.size)})`)));
  $("whole").replaceChildren(...fill(all, model.size));
  const largest = model.tensors.filter((t) => t.stored).sort((a, b) => b.stored - a.stored), shown = largest.slice(0, LARGEST);
  $("largest").replaceChildren(...shown.map((t) => {
    const button = el("button", { type: "button", title: printable(t.name) }, el("b", { textContent: printable(t.name) }),
      el("span", { className: "fill" }, ...fill(partsOf(t), largest[0].stored)), el("span", { className: "number", textContent: bytes(t.stored) }));
    button.dataset.index = t.index;
    button.onclick = () => choose(t.index, true);
    return button;
  }));
  $("largest-note").textContent = largest.length > shown.length ? `The ${shown.length} largest of ${whole(largest.length)}; all are in the table.` : "";
  $("pick").replaceChildren(...model.tensors.map((t) => el("option", { value: t.index, textContent: brief(printable(t.name)) })));
  const text = model.tensors.filter((t) => Object.keys(t.metadata).length).reduce((out, t) => ({ ...out, [t.name]: t.metadata }), {});
  const shownMetadata = { ...model.metadata, ...(Object.keys(text).length ? { "(of tensors)": text } : {}) };
  $("metadata").hidden = !Object.keys(shownMetadata).length;
  $("metadata-text").textContent = JSON.stringify(shownMetadata, (key, value) => typeof value === "bigint" ? String(value) : value instanceof Uint8Array ? `${value.length} bytes` : value, 2).slice(0, 1e5);
}

const fill = (parts, total) => PARTS.filter((part) => parts[part]).map((part) =>
  el("i", { style: `width: ${100 * parts[part] / total}%; background: var(--${part})`, title: `${part}: ${whole(parts[part])} bytes` }));

// -- The table

const COLUMNS = [
  { key: "index", title: "tensor", text: true, of: (t) => t.name, by: (t) => t.index },
  { key: "dtype", title: "dtype", text: true, of: (t) => t.dtype },
  { key: "shape", title: "shape", of: (t) => t.shape.join("×") || "scalar", by: (t) => t.words },
  { key: "density", title: "nonzero", of: (t) => percent(density(t)), by: density },
  { key: "layout", title: "layout", text: true, of: layoutOf },
  { key: "stored", title: "bytes", of: (t) => whole(t.stored), by: (t) => t.stored },
  { key: "bits", title: "bits a weight", of: (t) => (t.words ? 8 * t.stored / t.words : 0).toFixed(2), by: (t) => t.words ? t.stored / t.words : 0 },
  { key: "times", title: "times smaller", of: (t) => t.stored ? (t.nbytes / t.stored).toFixed(1) : "", by: (t) => t.stored ? t.nbytes / t.stored : 0 },
  { key: "chunks", title: "chunks", of: (t) => whole(t.chunks), by: (t) => t.chunks },
];
const ROWS = 2000;

function showTable() {
  $("rows").tHead.replaceChildren(el("tr", {}, ...COLUMNS.map((column) => {
    const button = el("button", { type: "button", textContent: column.title });
    button.onclick = () => {
      order = { key: column.key, down: order.key === column.key ? !order.down : !column.text };
      showTable();
      $("rows").tHead.querySelectorAll("button")[COLUMNS.indexOf(column)].focus();
    };
    const head = el("th", { scope: "col", className: column.text ? "text" : "" }, button);
    if (order.key === column.key) head.ariaSort = order.down ? "descending" : "ascending";
    return head;
  })));
  const wanted = $("filter").value.toLowerCase(), { of, by = of } = COLUMNS.find((column) => column.key === order.key);
  const found = model.tensors.filter((t) => printable(t.name).toLowerCase().includes(wanted))
    .sort((a, b) => (by(a) < by(b) ? -1 : by(a) > by(b) ? 1 : a.index - b.index) * (order.down ? -1 : 1));
  $("shown").textContent = found.length > ROWS ? `The first ${whole(ROWS)} of ${whole(found.length)}.` : `${whole(found.length)} of ${whole(model.tensors.length)}.`;
  $("rows").tBodies[0].replaceChildren(...found.slice(0, ROWS).map((t) => {
    const button = el("button", { type: "button", textContent: printable(t.name) || '""', title: printable(t.name) });
    button.onclick = () => choose(t.index, true);
    const row = el("tr", { className: t.index === picked ? "picked" : "" }, el("th", { scope: "row" }, button),
      ...COLUMNS.slice(1).map((column) => el("td", { className: column.text ? "text" : "", textContent: column.of(t) })));
    row.dataset.index = t.index;
    return row;
  }));
}

// -- One tensor

let drawn, last = 0;

async function choose(index, scroll) {
  const turn = ++last, t = model.tensors[index], file = model;
  picked = index;
  $("pick").value = index;
  for (const each of document.querySelectorAll("[data-index]")) each.classList.toggle("picked", Number(each.dataset.index) === index);
  $("one-text").replaceChildren(el("p", {}, el("strong", { textContent: brief(printable(t.name)) }), ` ${t.dtype}, ${t.shape.join("×") || "scalar"}: ${whole(t.words)} words, ` +
    `${whole(t.nonzeros)} not zero (${percent(density(t))}). Stored as ${layoutOf(t)} in ${whole(t.stored)} bytes` +
    `${t.entries ? `, ${whole(t.entries)} values${t.group ? ` for each ${whole(t.group)} weights` : ""}` : ""}.`));
  drawn = undefined;
  $("save").disabled = true;
  for (const id of ["histogram", "facts", "scale"]) $(id).replaceChildren();
  for (const id of ["picture-note", "histogram-note", "under"]) $(id).textContent = "";
  const reason = t.unsupported ? `Its ${t.unsupported} is not known here.` : t.transform || model.tensors[t.sameAs].transform ? "It is a difference: its values need the base."
    : !t.words ? "It has no words." : t.words > MOST ? "It is too large to be drawn here." : "";
  $("picture").parentElement.hidden = Boolean(reason);
  $("picture-note").textContent = reason;
  if (scroll) $("one").scrollIntoView({ block: "start" });
  if (reason) return;
  try {
    say(`Decoding ${brief(printable(t.name))} ...`);
    const begin = performance.now(), tensor = await file.tensor(t.name), took = performance.now() - begin;
    if (turn !== last || file !== model) return;
    say(`Decoded ${bytes(t.nbytes)} in ${took.toFixed(0)} ms; checksums match.`);
    drawn = { t, tensor, values: toFloats(tensor) };
    $("save").disabled = false;
    showValues();
  } catch (error) {
    if (turn === last && file === model) complain(error);
  }
}

// A tensor as a matrix: its first length by all others; vectors are folded. Complex numbers are pairs.
function matrix({ t, values }) {
  let columns = t.shape.length > 1 ? values.length / Number(t.shape[0]) : Math.ceil(Math.sqrt(values.length));
  if (columns > 64 * values.length / columns || columns < values.length / columns / 64) columns = Math.ceil(Math.sqrt(values.length));
  return { columns, rows: Math.ceil(values.length / columns) };
}

function statistics(values) {
  let low = Infinity, high = -Infinity, sum = 0, squares = 0, zeros = 0, finite = 0;
  for (const x of values) {
    if (!Number.isFinite(x)) continue;
    finite++, sum += x, squares += x * x, zeros += x === 0;
    if (x < low) low = x;
    if (x > high) high = x;
  }
  const mean = finite ? sum / finite : 0;
  return { low, high, mean, deviation: finite ? Math.sqrt(Math.max(0, squares / finite - mean * mean)) : 0, zeros, finite, other: values.length - finite };
}

// Where colours end: all but the farthest thousandth of the nonzeros.
function reach(values) {
  const step = Math.max(1, Math.floor(values.length / 200_000)), some = [];
  for (let i = 0; i < values.length; i += step) if (values[i] && Number.isFinite(values[i])) some.push(Math.abs(values[i]));
  some.sort((a, b) => a - b);
  return some[Math.floor(0.999 * (some.length - 1))] || 1;
}

// The style sheet's colours are #rgb or #rrggbb.
function rgb(name) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim().slice(1);
  return (hex.length === 3 ? [...hex].map((c) => c + c) : hex.match(/../g)).map((c) => parseInt(c, 16));
}

function showValues() {
  const { values } = drawn, { columns, rows } = matrix(drawn), end = reach(values), stats = statistics(values);
  const across = Math.min(columns, 512), down = Math.min(rows, 512), canvas = $("picture"), drawing = canvas.getContext("2d");
  canvas.width = across, canvas.height = down;
  canvas.style.aspectRatio = `${across} / ${Math.max(down, across / 8)}`;
  const ground = rgb("ground"), low = rgb("low"), high = rgb("high"), odd = rgb("codebooks"), image = drawing.createImageData(across, down);
  for (let y = 0; y < down; y++)
    for (let x = 0; x < across; x++) {
      let sum = 0, count = 0, weight = 0, isOdd = false;
      for (let r = Math.floor(y * rows / down); r < Math.max(Math.floor((y + 1) * rows / down), Math.floor(y * rows / down) + 1); r++)
        for (let c = Math.floor(x * columns / across); c < Math.max(Math.floor((x + 1) * columns / across), Math.floor(x * columns / across) + 1); c++) {
          const value = values[r * columns + c];
          if (value === undefined) continue;
          if (!Number.isFinite(value)) isOdd = true;
          else sum += value, weight += Math.abs(value);
          count++;
        }
      const strength = count ? Math.min(1, weight / count / end) ** 0.6 : 0, color = isOdd ? odd : sum < 0 ? low : high;
      for (let i = 0; i < 3; i++) image.data[4 * (y * across + x) + i] = ground[i] + (color[i] - ground[i]) * (isOdd ? 1 : strength);
      image.data[4 * (y * across + x) + 3] = 255;
    }
  drawing.putImageData(image, 0, 0);
  drawn.size = { columns, rows, across, down };
  $("picture-note").textContent = `${whole(rows)} rows of ${whole(columns)}${across < columns || down < rows ? `; a pixel is up to ${Math.ceil(rows / down)}×${Math.ceil(columns / across)}` : ""}`;
  canvas.ariaLabel = `Values of ${printable(drawn.t.name)} as a picture of ${across} by ${down} pixels; arrow keys move a cursor.`;
  const mark = (name) => `rgb(${rgb(name).join(" ")})`;
  $("scale").replaceChildren(short(-end), el("i", { style: `background: linear-gradient(90deg, ${mark("low")}, ${mark("ground")}, ${mark("high")})` }), short(end));
  const fact = ([name, value]) => el("div", {}, el("dt", { textContent: name }), el("dd", { textContent: value }));
  $("facts").replaceChildren(...[["least", stats.finite ? short(stats.low) : "none"], ["greatest", stats.finite ? short(stats.high) : "none"], ["mean", short(stats.mean)],
    ["deviation", short(stats.deviation)], ["zeros", whole(stats.zeros)], ["NaN, infinite", whole(stats.other)]].map(fact));
  showHistogram(values, stats);
}

function showHistogram(values, { low, high, finite, zeros }) {
  const distinct = new Map(), width = Math.max(240, $("histogram").clientWidth), height = 250, bottom = 24, top = 18;
  for (const x of values) if (x !== 0 && Number.isFinite(x)) {
    distinct.set(x, (distinct.get(x) ?? 0) + 1);
    if (distinct.size > 64) break;
  }
  let bars, from, to;
  if (distinct.size && distinct.size <= 64) { // a codebook: a bar for each value
    bars = [...distinct].sort((a, b) => a[0] - b[0]).map(([value, count]) => ({ value, count, label: short(value) }));
    $("histogram-note").textContent = `of ${whole(finite - zeros)} nonzeros, which have ${distinct.size} value${distinct.size > 1 ? "s" : ""}`;
  } else {
    const bins = Math.min(80, Math.floor(width / 5)), counts = new Float64Array(bins), span = high - low || 1;
    for (const x of values) if (x !== 0 && Number.isFinite(x)) counts[Math.min(bins - 1, Math.floor((x - low) / span * bins))]++;
    bars = Array.from(counts, (count, i) => ({ value: low + i * span / bins, count, label: `${short(low + i * span / bins)} to ${short(low + (i + 1) * span / bins)}` }));
    $("histogram-note").textContent = finite - zeros ? `of ${whole(finite - zeros)} nonzeros` : "";
  }
  const most = Math.max(1, ...bars.map((bar) => bar.count)), svg = document.createElementNS(NS, "svg");
  from = bars[0]?.value, to = bars.at(-1)?.value;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Histogram of ${whole(finite - zeros)} nonzero values from ${short(from ?? 0)} to ${short(to ?? 0)}; the tallest bar has ${whole(most)}.`);
  const add = (tag, attributes, text) => {
    const node = document.createElementNS(NS, tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text) node.append(text);
    svg.append(node);
    return node;
  };
  for (const share of [0.5, 1]) add("line", { x1: 0, x2: width, y1: height - bottom - share * (height - bottom - top), y2: height - bottom - share * (height - bottom - top) });
  add("text", { x: 2, y: top - 4 }, whole(most));
  const each = width / Math.max(bars.length, 1);
  bars.forEach((bar, i) => {
    const size = bar.count / most * (height - bottom - top);
    const rect = add("rect", { x: i * each + each * 0.06, y: height - bottom - size, width: Math.max(each * 0.88, 0.5), height: size, ...(bar.value < 0 ? { style: "fill: var(--low)" } : {}) });
    const title = document.createElementNS(NS, "title");
    title.append(`${bar.label}: ${whole(bar.count)}`);
    rect.append(title);
  });
  add("line", { x1: 0, x2: width, y1: height - bottom, y2: height - bottom });
  if (bars.length) {
    add("text", { x: 2, y: height - 6 }, short(from));
    add("text", { x: width - 2, y: height - 6, "text-anchor": "end" }, short(distinct.size <= 64 ? to : high));
    const zero = bars.findIndex((bar) => bar.value >= 0);
    if (zero > 3 && zero < bars.length - 3) add("text", { x: zero * each, y: height - 6, "text-anchor": "middle" }, "0");
  }
  $("histogram").replaceChildren(svg);
}

// What is under the pointer, or the cursor that arrow keys move.
let cursor = { x: 0, y: 0 };
function look(x, y) {
  if (!drawn?.size) return;
  const { columns, rows, across, down } = drawn.size;
  cursor = { x: Math.min(across - 1, Math.max(0, x)), y: Math.min(down - 1, Math.max(0, y)) };
  const row = Math.floor(cursor.y * rows / down), column = Math.floor(cursor.x * columns / across), index = row * columns + column;
  if (index >= drawn.values.length) return void ($("under").textContent = "");
  const shape = drawn.t.shape.map(Number), at = [];
  for (let i = index, d = shape.length; d-- > 0; i = Math.floor(i / shape[d])) at.unshift(i % shape[d]);
  $("under").textContent = `[${(drawn.values.length === drawn.t.words && at.length ? at : [index]).join(", ")}] = ${short(drawn.values[index])}`;
}
$("picture").onpointermove = (event) => {
  const box = $("picture").getBoundingClientRect();
  look(Math.floor((event.clientX - box.left) / box.width * $("picture").width), Math.floor((event.clientY - box.top) / box.height * $("picture").height));
};
$("picture").onkeydown = (event) => {
  const step = event.shiftKey ? 10 : 1, move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
  if (!move) return;
  event.preventDefault();
  look(cursor.x + move[0], cursor.y + move[1]);
};

// -- Saving as numpy's format, where numpy has the dtype; else the words as unsigned integers

function npy({ t, tensor }) {
  const kind = /^(F16|F32|F64)$/.test(t.dtype) ? "f" : /^I/.test(t.dtype) ? "i" : /^C/.test(t.dtype) ? "c" : t.dtype === "BOOL" ? "b" : "u";
  const size = kind === "c" ? 2 * t.wordSize : t.wordSize, shape = `(${t.shape.join(", ")}${t.shape.length === 1 ? "," : ""})`;
  const text = `{'descr': '${size > 1 ? "<" : "|"}${kind}${size}', 'fortran_order': False, 'shape': ${shape}, }`;
  const head = text + " ".repeat((64 - (text.length + 11) % 64) % 64) + "\n";
  return new Blob([new Uint8Array([0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 1, 0, head.length & 255, head.length >> 8]), head, tensor.data], { type: "application/octet-stream" });
}
$("save").onclick = () => {
  const link = el("a", { href: URL.createObjectURL(npy(drawn)), download: `${drawn.t.name.replace(/[^\w.-]+/g, "_") || "tensor"}.npy` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
};

// -- Opening

function say(text) {
  $("status").textContent = text;
}

function complain(error) {
  say("");
  $("error").replaceChildren(el("b", { textContent: error.name || "Error" }), ` ${error.message}`);
  $("error").hidden = false;
}

// Browsers refuse module workers to pages that are files, but not workers that import a module.
function worker(name) {
  const start = `import(${JSON.stringify(reader)}).catch((error) => setTimeout(() => { throw error; }))`;
  const address = URL.createObjectURL(new Blob([start], { type: "text/javascript" }));
  try {
    return new Worker(address, { name });
  } finally {
    URL.revokeObjectURL(address);
  }
}

let opening = 0;
async function open(from, name) {
  const turn = ++opening;
  $("error").hidden = true;
  say(`Opening ${printable(name)} ...`);
  try {
    const opened = await Dcz.open(from, { wasm, worker, zstd });
    if (turn !== opening) return opened.close();
    model?.close();
    model = opened, picked = undefined, order = { key: "index", down: false };
    $("filter").value = "";
    $("main").hidden = false;
    $("open").classList.add("small");
    showFile(name);
    showTable();
    say("");
    const first = model.tensors.filter((t) => !isTied(t)).sort((a, b) => b.stored - a.stored)[0];
    $("one").hidden = !first;
    if (first) await choose(first.index);
  } catch (error) {
    if (turn === opening) complain(error instanceof TypeError && typeof from === "string" ? new Error(`${from} cannot be read. Is the address right, and does its server allow other pages to read it (CORS)?`) : error);
  }
  document.documentElement.dataset.ready = turn;
}

$("file").onchange = () => $("file").files[0] && open($("file").files[0], $("file").files[0].name);
$("open").onsubmit = (event) => {
  event.preventDefault();
  const url = $("url").value.trim();
  if (url) location.hash = new URLSearchParams({ url });
};
const fromHash = () => {
  const url = new URLSearchParams(location.hash.slice(1)).get("url");
  if (!url) return;
  $("url").value = url;
  open(new URL(url, location.href).href, url.split("/").pop());
};
addEventListener("hashchange", fromHash);
addEventListener("dragover", (event) => (event.preventDefault(), document.body.classList.add("over")));
addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  const file = event.dataTransfer.files[0];
  if (file) open(file, file.name);
});
$("pick").onchange = () => choose(Number($("pick").value));
$("filter").oninput = showTable;
$("verify").onclick = async () => {
  const file = model, begin = performance.now();
  $("verify").disabled = true;
  $("error").hidden = true;
  try {
    for (const [i, t] of file.tensors.entries()) {
      say(`Verifying ${i + 1} of ${file.tensors.length} ...`);
      await file.verify(t.name);
    }
    if (file === model) say(`Verified in ${(performance.now() - begin).toFixed(0)} ms: every checksum matches.`);
  } catch (error) {
    if (file === model) complain(error);
  }
  $("verify").disabled = false;
};
const dark = matchMedia("(prefers-color-scheme: dark)");
function theme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").textContent = name === "dark" ? "Light" : "Dark";
  if (drawn) showValues();
}
$("theme").onclick = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
let width = 0;
new ResizeObserver(([{ contentRect }]) => {
  if (drawn && Math.round(contentRect.width) !== width) showHistogram(drawn.values, statistics(drawn.values));
  width = Math.round(contentRect.width);
}).observe($("histogram"));
dark.onchange = () => theme(dark.matches ? "dark" : "light");
theme(dark.matches ? "dark" : "light");
document.documentElement.dataset.ready = 0;
fromHash();
