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
const plural = (n, one) => `${n.toLocaleString("en")} ${one}${n === 1 ? "" : "s"}`;
const total = (t, key) => sum(t.sizes[key]);
const per = (n, weights) => weights ? 8 * n / weights : 0;
const splitOf = (t, key) => {
  const [p, v, c] = t.sizes[key], dense = t.leftover || key === "dense";
  return { positions: p, indices: dense ? 0 : v, codebooks: c, dense: dense ? v : 0 };
};
let picked = 0;

function cards() {
  const all = Object.fromEntries(model.layouts.map((l) => [l.key, sum(parts.map((p) => l[p]))]));
  const card = (title, key) => el("div", {}, el("dt", { textContent: title }),
    el("dd", {}, bytes(all[key]), el("small", { textContent: all.dense ? percent(all[key] / all.dense, 2) + " of dense" : "" })));
  $("cards").append(card("Dense", "dense"), card("CSR, 32-bit indices", "csr32"), card("CSR, 8-bit gaps + Huffman", "csr8+huffman"),
    card("Bitmap + Huffman", "bitmap+huffman"), card("What dcz stores", "auto"));
  $("source").textContent = model.source + (model.chunks ? `, a packed file of ${model.chunks.size.toLocaleString("en")} bytes` : "");
}

function overview() {
  const broken = bars("layouts", model.layouts.map((l) => ({ ...l, label: l.title })), "layout");
  $("layouts-note").textContent = "Bytes of all tensors, by what they are spent on." + (broken ? " A bar with a gap is longer than is drawn." : "");
  const order = model.tensors.map((t, i) => i).sort((a, b) => total(model.tensors[b], "auto") - total(model.tensors[a], "auto")).slice(0, 16);
  $("tensors-note").textContent = "What dcz stores" + (order.length < model.tensors.length ? `, the ${order.length} largest of ${model.tensors.length}; all are in the table.` : ".");
  bars("tensors", order.map((i) => ({ ...splitOf(model.tensors[i], "auto"), label: model.tensors[i].name, pick: i })), "name", 2);
  const sparse = model.tensors.some((t) => t.rho !== null);
  $("positions").hidden = !sparse;
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
    .filter((p) => p.weights >= (model.tensors[p.pick].leftover ? 2048 : 256) && model.tensors[p.pick].nonzeros > 0 && !model.tensors[p.pick].same);
  const all = some.flatMap((p) => [p.x, p.y]), ends = some.length ? [0.96 * Math.min(...all), 1.04 * Math.max(...all)] : [];
  $("h-entropy").parentElement.hidden = !some.length;
  if (some.length) draw("entropy", { rows: ends.map((v) => ({ x: v, y: v })), points: some, picked: [{ ...(only(some)[0] || some[0]), seen: only(some).length }] }, { x: ends, y: ends });
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
// Columns that a phone shows, too.
const narrow = new Set([0, 2, 7, 8]);
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
        row.append(Object.assign(el("th", {}, name, el("small", { textContent: t.auto })), { scope: "row" }));
      } else {
        const best = t.rho !== null && ((c === 4 && csr < bitmap) || (c === 5 && bitmap < csr));
        row.append(el("td", { className: (format === null ? "text" : "") + (narrow.has(c) ? "" : " wide") }, best ? el("b", { textContent: text }) : String(text)));
      }
    });
    return row;
  });
  document.querySelector("#rows tbody").replaceChildren(...rows);
  $("shown").textContent = `${order.length} of ${plural(model.tensors.length, "tensor")}`;
  document.querySelectorAll("#rows thead th").forEach((th, c) => th.setAttribute("aria-sort", c === sorted ? (down ? "descending" : "ascending") : "none"));
}

document.querySelector("#rows thead").append(el("tr", {}, ...columns.map(([title, , format], c) => {
  const button = el("button", { type: "button", textContent: title });
  button.addEventListener("click", () => { down = c === sorted ? !down : format !== null; sorted = c; fill(); });
  return Object.assign(el("th", { scope: "col", className: (format === null ? "text" : "") + (narrow.has(c) ? "" : " wide") }, button));
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
