// Charts: compiled specifications, drawn when they come into view, redrawn when width or theme changes.
const specs = JSON.parse(document.getElementById("specs").textContent);
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const parts = ["positions", "indices", "codebooks", "dense"];
const drawn = new Map(); // id -> {data, seen, width, result}

function config() {
  const ink = color("ink"), soft = color("soft"), line = color("line");
  return {
    background: null, font: "system-ui, sans-serif",
    axis: { labelColor: soft, titleColor: ink, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500 },
    legend: { labelColor: ink, titleColor: ink, labelFontSize: 12, symbolType: "square" },
    text: { fill: ink }, style: { cell: { stroke: line } },
  };
}

// Draws a chart of these data sets. `domains` are of its scales, `settings` of its signals.
function draw(name, data, domains = {}, settings = {}) {
  const kept = drawn.get(name) || {};
  drawn.set(name, { ...kept, data, domains, settings });
  if (kept.seen) render(name);
  else watcher.observe(document.getElementById("c-" + name));
}

function render(name) {
  const item = drawn.get(name), box = document.getElementById("c-" + name), spec = structuredClone(specs[name]);
  for (const [key, rows] of Object.entries(item.data)) spec.data.find((d) => d.name === key).values = rows;
  item.width = spec.width = box.clientWidth;
  const lines = [1, 2, 3, 4, 5].map((i) => color("line" + i));
  const signals = { lines, mark: color("accent"), ink: color("soft"), ground: color("panel"), labels: item.width < 420 ? 110 : 170, ...item.settings };
  for (const signal of spec.signals || []) if (signal.name in signals) { signal.value = signals[signal.name]; delete signal.update; }
  for (const scale of spec.scales) if (scale.name in item.domains) scale.domain = item.domains[scale.name];
  if (item.settings.top) { // room for the number at the end of a bar
    const plot = Math.max(120, item.width - signals.labels - 20);
    spec.scales.find((s) => s.name === "x").domain = [0, item.settings.top * plot / (plot - 72)];
  }
  for (const scale of spec.scales) if (scale.name === "color") scale.range = scale.domain.length === 4 ? parts.map(color) : lines.slice(0, scale.range.length);
  delete spec.background;
  for (const legend of spec.legends || []) legend.columns = item.width < 420 ? (name === "gain" ? 1 : 2) : 4;
  if (!item.width) return;
  const last = item.result;
  const tooltip = { theme: document.documentElement.dataset.theme === "dark" ? "dark" : "light" };
  const options = { mode: "vega", renderer: "svg", actions: false, defaultStyle: false, hover: true, config: config(), tooltip };
  item.result = Promise.resolve(last).then((old) => {
    if (old) old.finalize();
    return vegaEmbed(box, spec, options);
  }).then((result) => {
    result.view.addEventListener("click", (event, mark) => {
      const found = mark && mark.datum && mark.datum.pick;
      if (found !== undefined && found !== null) choose(found, true);
    });
    return result;
  });
}

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    const name = entry.target.id.slice(2), item = drawn.get(name);
    watcher.unobserve(entry.target);
    item.seen = true;
    render(name);
  }
}, { rootMargin: "300px" });

let waiting = 0;
window.addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    for (const [name, item] of drawn) {
      if (item.seen && item.width !== document.getElementById("c-" + name).clientWidth) render(name);
    }
  }, 120);
});

const bytes = (n) => n < 1000 ? n + " B" : ["kB", "MB", "GB", "TB"].reduce((out, unit, i) => {
  const value = n / 1000 ** (i + 1);
  return value >= 1 ? (value >= 99.95 ? value.toFixed(0) : value.toPrecision(3)) + " " + unit : out;
}, "");
const percent = (x, digits = 1) => (100 * x).toFixed(digits) + "%";
const sum = (list) => list.reduce((a, b) => a + b, 0);

// A name of at most so many letters: its first components become letters, then its middle goes, as ends tell names apart.
function shortened(name, most) {
  const mark = name.includes("/") ? "/" : ".", pieces = name.split(mark);
  for (let i = 0; i < pieces.length - 2 && pieces.join(mark).length > most; i++) if (!/^\d+$/.test(pieces[i])) pieces[i] = pieces[i].slice(0, 1);
  const text = pieces.join(mark);
  return text.length <= most ? text : text.slice(0, Math.floor(most / 3)) + "\u2026" + text.slice(1 - Math.ceil(2 * most / 3));
}

// Bars of bytes by part. One that would dwarf the others is broken off: it ends at the edge, with its number.
function bars(name, list, field, usual) {
  const phone = document.documentElement.clientWidth < 480, titles = (text) => text.replace("+ Huffman", "+ H").replace("32-bit indices", "32 bits");
  const short = Object.fromEntries(list.map(({ label }) => [label, field === "name" ? shortened(label, phone ? 18 : 30) : phone ? titles(label) : label]));
  const totals = list.map((item) => sum(parts.map((part) => item[part]))), order = [...totals].sort((a, b) => a - b);
  const middle = order[Math.floor(order.length / 2)] || 0;
  const long = usual === undefined ? Math.max(0, ...order.filter((n) => n <= 2.2 * middle)) : order[Math.max(0, order.length - 1 - usual)] || 0;
  const most = order[order.length - 1] || 0, top = most > 1.6 * long && long ? 1.15 * long : most;
  const rows = [], ends = [], breaks = [];
  list.forEach((item, i) => {
    const broken = totals[i] > top, scale = broken ? top / totals[i] : 1;
    parts.forEach((part, order) => rows.push({ [field]: item.label, part, order, bytes: item[part], shown: scale * item[part], pick: item.pick }));
    if (broken) breaks.push({ [field]: item.label, shown: 0.97 * top });
    ends.push({ [field]: item.label, shown: scale * totals[i], text: bytes(totals[i]) });
  });
  draw(name, { rows, ends, breaks }, {}, { top: Math.max(1, top), short });
  return totals.some((n) => n > top);
}
