// The page: cards, charts of the model, one tensor, the table, the theme.
const unpacked = async () => {
  const raw = Uint8Array.from(atob(document.getElementById("data").textContent.trim()), (c) => c.charCodeAt(0));
  return JSON.parse(await new Response(new Blob([raw]).stream().pipeThrough(new DecompressionStream("gzip"))).text());
};
const model = await unpacked();
const el = (tag, properties = {}, ...children) => {
  const out = Object.assign(document.createElement(tag), properties);
  out.append(...children);
  return out;
};
const $ = (id) => document.getElementById(id);
const total = (t, key) => sum(t.sizes[key]);
const per = (n, weights) => weights ? 8 * n / weights : 0;
const splitOf = (t, key) => {
  const [p, v, c] = t.sizes[key], dense = t.leftover || key === "dense";
  return { positions: p, indices: dense ? 0 : v, codebooks: c, dense: dense ? v : 0 };
};
const large = ["dense", "csr32"];
let picked = 0;

function cards() {
  const all = Object.fromEntries(model.layouts.map((l) => [l.key, sum(parts.map((p) => l[p]))]));
  const card = (title, key) => el("div", {}, el("dt", { textContent: title }),
    el("dd", {}, bytes(all[key]), el("small", { textContent: all.dense ? percent(all[key] / all.dense, 2) + " of dense" : "" })));
  $("cards").append(card("Dense", "dense"), card("CSR, 32-bit indices", "csr32"), card("CSR, 8-bit gaps + Huffman", "csr8+huffman"),
    card("Bitmap + Huffman", "bitmap+huffman"), card("What dcz stores", "auto"));
  $("layouts-note").textContent = `Dense (${bytes(all.dense)}) and CSR with 32-bit indices (${bytes(all.csr32)}) are left out: they would dwarf the others.`;
  $("source").textContent = model.source + (model.chunks ? `, a packed file of ${model.chunks.size.toLocaleString("en")} bytes` : "");
}

function overview() {
  draw("layouts", { rows: stacked(model.layouts.filter((l) => !large.includes(l.key)).map((l) => ({ ...l, label: l.title })), "layout") });
  const order = model.tensors.map((t, i) => i).sort((a, b) => total(model.tensors[b], "auto") - total(model.tensors[a], "auto")).slice(0, 24);
  $("tensors-note").textContent = order.length < model.tensors.length
    ? `What auto stores, the ${order.length} largest of ${model.tensors.length}; all are in the table.` : "What auto stores.";
  draw("tensors", { rows: stacked(order.map((i) => ({ ...splitOf(model.tensors[i], "auto"), label: model.tensors[i].name, pick: i })), "name") });
  crossing();
}

// What changes with the picked tensor too.
function crossing() {
  const free = model.curves["0.00"], t = model.tensors[picked], line = (values, name) => model.densities.map((density, i) => ({ density, y: values[i], line: name }));
  const sparse = model.tensors.map((tensor, i) => ({ tensor, i })).filter(({ tensor }) => tensor.rho !== null);
  const at = (f) => sparse.map(({ tensor, i }) => ({ name: tensor.name, density: tensor.nonzeros / tensor.weights, y: f(tensor), pick: i }));
  const only = (points) => points.filter((p) => p.pick === picked);
  const one = at((x) => per(x.sizes["csr8+huffman"][0], x.weights));
  const label = (x) => x === null ? [] : [{ density: x, label: "cross at " + percent(x) }];
  draw("curves", {
    rows: [...line(free.csr, "CSR, Huffman"), ...line(free.bitmap, "bitmap, Huffman"), ...line(model.densities.map(() => 1), "bitmap"),
      ...line(free.gaps8, "CSR, 8-bit gaps"), ...line(free.entropy, "entropy")].filter((r) => r.y <= 1.3),
    points: one, picked: only(one), crossing: label(free.crossover),
  });
  const own = t && t.rho !== null && t.rho !== "0.00" ? model.curves[t.rho] : null;
  const gain = (c, name) => line(c.csr.map((y, i) => y / c.bitmap[i] - 1), name).filter((r) => Math.abs(r.y) <= 0.35);
  const two = at((x) => x.sizes["bitmap+huffman"][0] ? x.sizes["csr8+huffman"][0] / x.sizes["bitmap+huffman"][0] - 1 : 0);
  draw("gain", {
    rows: [...gain(free, "independent positions"), ...(own ? gain(own, `as the tensor (correlation ${t.rho})`) : [])],
    points: two, picked: only(two), crossing: label(own ? own.crossover : free.crossover),
  });
  const some = model.tensors.map((x, i) => ({ name: x.name, weights: x.weights, x: per(total(x, "entropy"), x.nonzeros), y: per(total(x, "auto"), x.nonzeros), pick: i }))
    .filter((p) => p.weights >= 256 && model.tensors[p.pick].nonzeros > 0);
  const ends = some.length ? [Math.min(...some.map((p) => p.x)), Math.max(...some.map((p) => p.x))] : [];
  if (some.length) draw("entropy", { rows: ends.map((v) => ({ x: v, y: v })), points: some, picked: [{ ...(only(some)[0] || some[0]), seen: only(some).length }] });
}

function choose(i, scroll) {
  picked = i;
  const t = model.tensors[i];
  if (!t) return;
  $("pick").value = i;
  const density = t.weights ? percent(t.nonzeros / t.weights, 2) : "none";
  const cross = t.crossover === null ? "" : ` Masks as correlated as this one (${t.rho}) cross at ${percent(t.crossover)}: below it CSR is smaller, above it the bitmap.`;
  $("one-text").textContent = `${t.name}: ${t.dtype}, ${t.shape}, ${t.weights.toLocaleString("en")} weights, ${density} nonzero, ` +
    `${t.k === null ? "no clusters" : t.k + " clusters"}. auto takes ${t.auto}, ${total(t, "auto").toLocaleString("en")} bytes: ${t.reason}. ` +
    `Fillers of 4-, 5- and 8-bit gaps: ${t.fillers.map((n) => n.toLocaleString("en")).join(", ")}.${cross}`;
  draw("own", { rows: stacked(model.layouts.filter((l) => !large.includes(l.key)).map((l) => ({ ...splitOf(t, l.key), label: l.title })), "layout") });
  if (t.counts.length) draw("clusters", { rows: t.counts.map((count, n) => ({ i: n, count, length: t.lengths[n], value: t.values[n] })) });
  $("clusters-note").textContent = t.counts.length ? "Bars: weights; line: length of the Huffman code."
    : t.nonzeros ? "No codebook of up to 256 values pays here: values are stored as bytes, each byte plane coded on its own." : "There are no nonzero values.";
  $("c-clusters").hidden = !t.counts.length;
  picture(t);
  stages(t);
  chunks(t);
  crossing();
  document.querySelectorAll("#rows tr.picked").forEach((row) => row.classList.remove("picked"));
  const row = document.querySelector(`#rows tr[data-i="${i}"]`);
  if (row) row.classList.add("picked");
  if (scroll) $("one").scrollIntoView();
}

function picture(t) {
  if (!t.picture) {
    $("picture").replaceChildren(el("p", { textContent: "Only tensors of two or more dimensions have a picture." }));
    return;
  }
  const [rows, columns, cells] = t.picture, raw = atob(cells);
  const canvas = el("canvas", { width: columns, height: rows });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Density of ${t.name}, ${rows} by ${columns} cells; the densest has ${percent(Math.max(...[...raw].map((c) => c.charCodeAt(0))) / 255)}`);
  canvas.style.aspectRatio = String(Math.min(4, Math.max(0.5, columns / rows)));
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows), ink = rgb(color("accent")), ground = rgb(color("panel"));
  const top = Math.max(1, ...[...raw].map((c) => c.charCodeAt(0)));
  for (let i = 0; i < raw.length; i++) {
    const share = raw.charCodeAt(i) / top;
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = ground[c] + share * (ink[c] - ground[c]);
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  $("picture").replaceChildren(canvas, el("p", { textContent: `Rows are the first dimension, columns all others. The darkest cell is ${percent(top / 255)} nonzero.` }));
}
const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

function table(caption, head, rows) {
  const cell = (text, i) => i ? el("td", { textContent: text }) : Object.assign(el("th", { textContent: text }), { scope: "row" });
  const top = head.map((text, i) => Object.assign(el("th", { textContent: text, scope: "col" }), { className: i ? "" : "text" }));
  const out = el("table", {}, el("caption", { textContent: caption }), el("thead", {}, el("tr", {}, ...top)),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map(cell)))));
  const box = el("div", { className: "scroll", tabIndex: 0 }, out);
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", caption);
  return box;
}

function stages(t) {
  const names = ["P: pruned", "P+Q: clustered", "P+Q+H: Huffman-coded"];
  const row = (name, [size, w, x], dense) => [name, size.toLocaleString("en"), dense ? percent(size / dense, 2) : "", w.toFixed(2), x.toFixed(2)];
  const dense = sum(model.tensors.map((x) => x.dense));
  $("one-stages").replaceChildren(table("The stages of Deep Compression, with gaps of 4 or 5 bits: bits are per nonzero",
    ["stage", "bytes", "of dense", "weight bits", "index bits"],
    [...t.stages.map((s, i) => row(names[i], s, t.dense)), ...model.stages.map((s, i) => row("model, " + names[i], s, dense))]));
}

function chunks(t) {
  const found = model.chunks && model.chunks.tensors[t.name];
  if (!found) { $("chunks").replaceChildren(); return; }
  const more = found.rows.length < found.count ? `, the first ${found.rows.length} shown` : "";
  const caption = `Chunks in the file: ${found.count} of ${found.weights} weights${more}` + (found.codebook ? `; codebook CRC-32C ${found.codebook}` : "");
  const streams = found.rows.length ? found.rows[0][3].map((_, i) => found.sparse && i === 0 ? "positions" : "values " + (i + 1 - found.sparse)) : [];
  $("chunks").replaceChildren(table(caption, ["chunk", "nonzeros", "fillers", ...streams, "CRC-32C"],
    found.rows.map(([n, f, crc, each], i) => [i, n, f, ...each.map(([code, size]) => `${size} ${code}`), crc])));
}

// -- the table
const bitsOf = (key) => (t) => per(total(t, key), t.weights);
const columns = [
  ["tensor", (t) => t.name, null], ["weights", (t) => t.weights, (n) => n.toLocaleString("en")],
  ["nonzero", (t) => t.weights ? t.nonzeros / t.weights : 0, (x) => percent(x)], ["k", (t) => t.k ?? -1, (n) => n < 0 ? "" : n],
  ["CSR+H", bitsOf("csr8+huffman"), 2], ["bitmap+H", bitsOf("bitmap+huffman"), 2], ["entropy", bitsOf("entropy"), 2],
  ["auto", bitsOf("auto"), 2], ["bytes", (t) => total(t, "auto"), (n) => n.toLocaleString("en")],
  ["crossover", (t) => t.crossover ?? -1, (x) => x < 0 ? "" : percent(x)], ["taken", (t) => t.auto, null], ["why", (t) => t.reason, null],
];
let sorted = 8, down = true;

function fill() {
  const wanted = $("filter").value.toLowerCase(), key = columns[sorted][1];
  const order = model.tensors.map((t, i) => i).filter((i) => model.tensors[i].name.toLowerCase().includes(wanted));
  const compare = (a, b) => a < b ? -1 : a > b ? 1 : 0;
  order.sort((a, b) => (down ? -1 : 1) * compare(key(model.tensors[a]), key(model.tensors[b])) || a - b);
  const rows = order.map((i) => {
    const t = model.tensors[i], row = el("tr", { className: i === picked ? "picked" : "" });
    row.dataset.i = i;
    const csr = total(t, "csr8+huffman"), bitmap = total(t, "bitmap+huffman");
    columns.forEach(([, value, format], c) => {
      const v = value(t), text = typeof format === "number" ? v.toFixed(format) : format ? format(v) : v;
      if (c === 0) {
        const name = el("button", { type: "button", textContent: text, title: text });
        row.append(Object.assign(el("th", {}, name), { scope: "row" }));
      } else {
        const best = (c === 4 && csr < bitmap) || (c === 5 && bitmap < csr);
        row.append(el("td", { className: format === null ? "text" : "" }, best ? el("b", { textContent: text }) : String(text)));
      }
    });
    return row;
  });
  document.querySelector("#rows tbody").replaceChildren(...rows);
  $("shown").textContent = `${order.length} of ${model.tensors.length} tensors`;
  document.querySelectorAll("#rows thead th").forEach((th, c) => th.setAttribute("aria-sort", c === sorted ? (down ? "descending" : "ascending") : "none"));
}

document.querySelector("#rows thead").append(el("tr", {}, ...columns.map(([title, , format], c) => {
  const button = el("button", { type: "button", textContent: title });
  button.addEventListener("click", () => { down = c === sorted ? !down : format !== null; sorted = c; fill(); });
  return Object.assign(el("th", { scope: "col", className: format === null ? "text" : "" }, button));
})));
document.querySelector("#rows tbody").addEventListener("click", (event) => {
  if (event.target.closest("th button")) choose(Number(event.target.closest("tr").dataset.i), true);
});
$("filter").addEventListener("input", fill);
$("pick").append(...model.tensors.map((t, i) => el("option", { value: i, textContent: t.name })));
$("pick").addEventListener("change", () => choose(Number($("pick").value), false));

// -- the theme
function theme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").textContent = name === "dark" ? "Light" : "Dark";
  for (const [id, item] of drawn) if (item.seen) render(id);
  if (model.tensors.length) picture(model.tensors[picked]);
}
$("theme").addEventListener("click", () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
const system = matchMedia("(prefers-color-scheme: dark)");
system.addEventListener("change", () => theme(system.matches ? "dark" : "light"));

cards();
theme(system.matches ? "dark" : "light");
if (model.tensors.length) {
  picked = model.tensors.reduce((best, t, i) => total(t, "auto") > total(model.tensors[best], "auto") ? i : best, 0);
  overview();
  choose(picked, false);
}
fill();
document.documentElement.dataset.ready = String(Math.round(performance.now()));
