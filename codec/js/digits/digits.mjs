// LeNet-300-100 in plain JavaScript: strokes, to 28 by 28 pixels as benchmarks/paper/strokes.py makes them, to ten numbers.

const $ = (id) => document.getElementById(id);
async function bytes(id) {
  const zipped = Uint8Array.from(atob($(id).textContent.trim()), (c) => c.charCodeAt(0));
  return new Uint8Array(await new Response(new Blob([zipped]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
}

// All tensors of a file by the reader in WebAssembly, without dcz.mjs, which does much more.
async function load(file, wasm) {
  const memory = (at, size) => new Uint8Array(reader.memory.buffer, at, size), tensors = {};
  const host_read = (offset, to, size) => (memory(to, size).set(file.subarray(Number(offset), Number(offset) + size)), 0);
  const { instance: { exports: reader } } = await WebAssembly.instantiate(wasm, { dcz: { host_read, host_zstd: () => 1 } });
  const told = () => new BigUint64Array(reader.memory.buffer, reader.answer(), 32).slice();
  const check = (status) => {
    if (status) throw Error(`the model cannot be read (${status})`);
  };
  check(reader.open(BigInt(file.length), 1n << 28n));
  for (let i = 0, count = Number(told()[0]); i < count; i++) {
    check(reader.describe(i));
    const answer = told(), size = Number(answer[14]), at = reader.allocate(size);
    check(reader.decode(i, 0n, answer[21], at, size));
    tensors[new TextDecoder().decode(memory(Number(answer[0]), Number(answer[1])))] = new Float32Array(memory(at, size).slice().buffer);
  }
  return tensors;
}

const file = await bytes("model"), wasm = await bytes("wasm"), begin = performance.now();
const weights = await load(file, wasm), decoded = performance.now() - begin;

// Only weights that are not zero: where each is, and what it is.
const layers = ["ip1", "ip2", "ip3"].map((name) => {
  const weight = weights[`${name}.weight`], bias = weights[`${name}.bias`], width = weight.length / bias.length, at = [], values = [], ends = [];
  for (let i = 0; i < weight.length; i++) {
    if (weight[i]) at.push(i % width), values.push(weight[i]);
    if ((i + 1) % width === 0) ends.push(at.length);
  }
  return { at: Uint16Array.from(at), values: Float32Array.from(values), ends, bias, total: weight.length };
});

function run(input) {
  return layers.map(({ at, values, ends, bias }, layer) => {
    let i = 0;
    return input = Float32Array.from(ends, (end, unit) => {
      let sum = bias[unit];
      for (; i < end; i++) sum += values[i] * input[at[i]];
      return layer < 2 ? Math.max(0, sum) : sum;
    });
  });
}

// -- Strokes to pixels

const SIDE = 28, BOX = 20, SPACING = 0.6, RADIUS = 1.15;

function spaced(points) {
  const out = [points[0]];
  let [x, y] = points[0], left = SPACING;
  for (const [toX, toY] of points.slice(1)) {
    for (let far; (far = Math.hypot(toX - x, toY - y)) >= left; left = SPACING) out.push([x += (toX - x) * left / far, y += (toY - y) * left / far]);
    left -= Math.hypot(toX - x, toY - y);
    [x, y] = [toX, toY];
  }
  return [...out, [x, y]];
}

function pixels(strokes) {
  const all = strokes.flat(), range = (i) => Math.max(...all.map((p) => p[i])) - Math.min(...all.map((p) => p[i]));
  const scale = (BOX - 2 * RADIUS) / (Math.max(range(0), range(1)) || 1);
  const dots = strokes.flatMap((points) => spaced(points.map(([x, y]) => [x * scale, y * scale])));
  const middle = [0, 1].map((i) => dots.reduce((sum, p) => sum + p[i], 0) / dots.length - SIDE / 2);
  return Float32Array.from({ length: SIDE * SIDE }, (_, i) => {
    const x = i % SIDE + 0.5 + middle[0], y = Math.floor(i / SIDE) + 0.5 + middle[1];
    let near = 9;
    for (const [a, b] of dots) near = Math.min(near, (a - x) ** 2 + (b - y) ** 2);
    return Math.min(1, Math.max(0, RADIUS + 0.5 - Math.sqrt(near)));
  });
}

// -- The page

const pad = $("pad"), pen = pad.getContext("2d"), style = (name) => getComputedStyle(document.body).getPropertyValue(name);
let strokes = [], drawing = false;
$("bars").append(...Array.from({ length: 10 }, (_, i) => Object.assign(document.createElement("li"), { innerHTML: `${i}<div><i></i></div><span></span>` })));
$("d1").textContent = `${(100 * layers[0].values.length / layers[0].total).toFixed(1)}% of weights left`;
$("d2").textContent = `${(100 * layers[1].values.length / layers[1].total).toFixed(1)}% of weights left`;

function paint(id, values) {
  const canvas = $(id), context = canvas.getContext("2d"), most = Math.max(...values, 1e-9), dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const image = context.createImageData(canvas.width, canvas.height);
  values.forEach((value, i) => image.data.set(dark ? [116, 185, 245, 255 * value / most] : [24, 100, 171, 255 * value / most], 4 * i));
  context.putImageData(image, 0, 0);
}

function show() {
  pen.clearRect(0, 0, pad.width, pad.height);
  pen.lineWidth = 34, pen.lineCap = pen.lineJoin = "round", pen.strokeStyle = style("color");
  for (const points of strokes) {
    pen.beginPath();
    for (const [x, y] of points) pen.lineTo(x, y);
    if (points.length === 1) pen.lineTo(points[0][0] + 0.1, points[0][1]);
    pen.stroke();
  }
  const input = strokes.length ? pixels(strokes) : new Float32Array(SIDE * SIDE), [first, second, scores] = run(input);
  paint("input", input);
  paint("hidden1", strokes.length ? first : first.fill(0));
  paint("hidden2", strokes.length ? second : second.fill(0));
  const top = Math.max(...scores), parts = scores.map((score) => Math.exp(score - top)), sum = parts.reduce((a, b) => a + b), best = scores.indexOf(top);
  [...$("bars").children].forEach((row, i) => {
    const share = strokes.length ? parts[i] / sum : 0;
    row.className = strokes.length && i === best ? "best" : "";
    row.querySelector("i").style.width = `${100 * share}%`;
    row.querySelector("span").textContent = strokes.length ? `${(100 * share).toFixed(1)}%` : "";
  });
  $("digit").textContent = strokes.length ? best : "\u00A0";
  $("sure").textContent = strokes.length ? `${(100 * parts[best] / sum).toFixed(1)}% sure` : "Draw here, or press a key from 0 to 9";
  document.documentElement.dataset.answer = strokes.length ? best : "";
}

const at = (event) => {
  const box = pad.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width * pad.width, (event.clientY - box.top) / box.height * pad.height];
};
pad.onpointerdown = (event) => {
  pad.setPointerCapture(event.pointerId);
  drawing = true;
  strokes.push([at(event)]);
  show();
};
pad.onpointermove = (event) => {
  if (!drawing) return;
  for (const each of event.getCoalescedEvents?.() ?? [event]) strokes.at(-1).push(at(each));
  show();
};
pad.onpointerup = pad.onpointercancel = () => drawing = false;
const clear = () => (strokes = [], show());
$("clear").onclick = clear;

// Digits that keys write, as points in tenths of the square, each time a little different.
const WRITTEN = ["51 27 15 27 49 59 78 85 75 51", "32 51|51 54 59", "23 41 63 65 39 29|29 59 79", "23 41 64 65 45|45 66 68 49 28", "41 26|26 56 86|71 69", "41 71|41 34|34 65 67 49 29",
  "62 34 27 49 69 67 55 37", "22 52 82|82 65 49", "62 42 44 66 67 49 28 37 45 64 62", "72 51 33 45 63 72|72 69"];
function write(digit) {
  strokes = WRITTEN[digit].split("|").map((text) => text.split(" ").map(([x, y]) => [x, y].map((n) => 56 * n + 14 * (Math.random() - 0.5))));
  strokes = strokes.map((points) => points.flatMap((b, i) => {
    const a = points[i - 1] ?? b, c = points[i + 1] ?? b, d = points[i + 2] ?? c, line = (j, t) => b[j] + 0.5 * t * (c[j] - a[j] + t * (2 * a[j] - 5 * b[j] + 4 * c[j] - d[j] + t * (3 * (b[j] - c[j]) + d[j] - a[j])));
    return Array.from({ length: 10 }, (_, k) => [line(0, k / 10), line(1, k / 10)]);
  }));
  show();
}
$("write").onclick = () => write(Math.floor(10 * Math.random()));
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^\d$/.test(event.key)) write(Number(event.key));
  if (["Escape", "Delete", "Backspace"].includes(event.key)) clear();
});
matchMedia("(prefers-color-scheme: dark)").onchange = show;
$("note").textContent = `The file has ${file.length.toLocaleString("en")} bytes, ${(4 * 266610 / file.length).toFixed(0)} times fewer than its weights as 32-bit floats, checksums and index included; ` +
  `decoding it took ${decoded.toFixed(1)} ms. Of ${layers.reduce((sum, l) => sum + l.total, 0).toLocaleString("en")} weights ${layers.reduce((sum, l) => sum + l.values.length, 0).toLocaleString("en")} are left, and only they are multiplied. It learned from strokes that a program made, not from anyone's handwriting.`;
show();
document.documentElement.dataset.ready = 1;
