// One tensor: a sentence, its layouts, its values and clusters, where its nonzeros are, its stages and chunks.
const number = (n) => n.toLocaleString("en");

function sentence(t) {
  if (!t.weights) return `${t.name} has no weights (${t.dtype}, ${t.shape}).`;
  const density = t.nonzeros / t.weights, stored = total(t, "auto");
  const values = t.k === null ? "" : density < 1 ? ` and take ${plural(t.k, "value")}` : ` They take ${plural(t.k, "value")}.`;
  const zeros = density === 1 ? `, none of them zero.${values}` : `; ${percent(density)} of them are not zero${values}.`;
  const size = t.same ? `dcz stores it once, with ${t.same}.`
    : `dcz stores it as ${t.auto} in ${bytes(stored)}${stored < t.dense ? `, ${(t.dense / Math.max(stored, 1)).toFixed(1)} times smaller` : ", as large as it is"} (${t.reason}).`;
  const cross = t.crossover === null ? "" : ` At a density of ${percent(t.crossover)}, CSR and bitmap would be equally small: below it CSR is smaller, above it the bitmap.`;
  return `${t.name} has ${plural(t.weights, "weight")} (${t.dtype}, ${t.shape})${zeros} ${size}${cross}`;
}

function valueCharts(t) {
  const h = t.histogram, width = h ? (h[1] - h[0]) / h[2].length : 0;
  const found = t.counts.map((count, i) => ({ value: Number(t.values[i]), count, length: t.lengths[i] })).filter((c) => Number.isFinite(c.value));
  const ends = h ? [h[0], h[1]] : [];
  for (const c of found) { ends[0] = Math.min(ends[0] ?? c.value, c.value); ends[1] = Math.max(ends[1] ?? c.value, c.value); }
  if (ends[0] === ends[1]) { ends[0] -= 1; ends[1] += 1; }
  const domains = { x: ends }, near = (ends[1] - ends[0]) / Math.max(1, found.length);
  $("values-box").hidden = !h;
  if (h) draw("values", { rows: h[2].map((count, i) => ({ value: h[0] + i * width, until: h[0] + (i + 1) * width, count })), clusters: found }, domains);
  $("values-note").textContent = h ? "Nonzero weights by value." + (found.length ? " A line at the axis marks each cluster." : "") +
    (h[3] ? ` ${number(h[3])} beyond the ends, or not finite, are left out.` : "") : "";
  $("clusters-box").hidden = !found.length;
  if (found.length) {
    draw("clusters", { rows: found }, domains, { stem: found.length > 120 ? 1 : found.length > 40 ? 2.5 : 6 });
    const coded = found.some((c) => c.length);
    $("lengths-box").hidden = !coded;
    if (coded) draw("lengths", { rows: found }, domains);
  }
  $("clusters-note").textContent = found.length ? `${plural(t.counts.length, "value")}, each stored once in the codebook; a line is as high as the weights that share it.`
    : t.counts.length ? "The shared values are not finite numbers."
    : t.nonzeros ? "No codebook of up to 256 values pays here: values are stored as bytes, each byte plane coded on its own." : "There are no nonzero values.";
}

function choose(i, scroll) {
  picked = i;
  const t = model.tensors[i];
  if (!t) return;
  $("pick").value = i;
  $("one-text").textContent = sentence(t);
  const broken = bars("own", model.layouts.map((l) => ({ ...splitOf(t, l.key), label: l.title })), "layout");
  $("own-note").textContent = broken ? "A bar with a gap is longer than is drawn." : "";
  valueCharts(t);
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
  if (t.nonzeros === t.weights || !t.nonzeros) {
    $("picture").replaceChildren(el("p", { textContent: t.nonzeros ? "Every weight is nonzero." : "All weights are zero." }));
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
  $("picture").replaceChildren(canvas, el("p", { textContent: `Rows are the first dimension, columns all others. The densest cell is ${percent(top / 255)} nonzero.` }));
}
const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

function table(caption, head, rows) {
  const cell = (text, i) => i ? el("td", { textContent: text }) : Object.assign(el("th", { textContent: text }), { scope: "row" });
  const top = head.map((text, i) => Object.assign(el("th", { textContent: text, scope: "col" }), { className: i ? "" : "text" }));
  const out = el("table", {}, el("thead", {}, el("tr", {}, ...top)),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map(cell)))));
  const box = el("div", { className: "scroll", tabIndex: 0 }, out);
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", caption);
  return el("div", {}, el("p", { className: "note", textContent: caption }), box);
}

function stages(t) {
  const names = ["P: pruned", "P+Q: clustered", "P+Q+H: Huffman-coded"];
  const row = (name, [size, w, x], dense) => [name, size.toLocaleString("en"), dense ? percent(size / dense, 2) : "", w.toFixed(2), x.toFixed(2)];
  const dense = sum(model.tensors.map((x) => x.dense));
  const gaps = t.rho !== null ? el("p", { className: "note", textContent: `Gaps of 4, 5 and 8 bits need ${t.fillers.map(number).join(", ")} fillers.` }) : "";
  $("one-stages").replaceChildren(gaps, table("The stages of Deep Compression, with gaps of 4 or 5 bits: bits are per nonzero",
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

