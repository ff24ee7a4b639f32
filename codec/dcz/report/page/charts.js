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

function draw(name, data) {
  const kept = drawn.get(name) || {};
  drawn.set(name, { ...kept, data });
  if (kept.seen) render(name);
  else watcher.observe(document.getElementById("c-" + name));
}

function render(name) {
  const item = drawn.get(name), box = document.getElementById("c-" + name), spec = structuredClone(specs[name]);
  for (const [key, rows] of Object.entries(item.data)) spec.data.find((d) => d.name === key).values = rows;
  const lines = [1, 2, 3, 4, 5].map((i) => color("line" + i)), signals = { lines, mark: color("accent") };
  for (const signal of spec.signals) if (signal.name in signals) signal.value = signals[signal.name];
  for (const scale of spec.scales) if (scale.name === "color") scale.range = scale.domain.length === 4 ? parts.map(color) : lines.slice(0, scale.range.length);
  item.width = spec.width = box.clientWidth;
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

function stacked(list, field) {
  const out = [];
  for (const item of list) parts.forEach((part, order) => out.push({ [field]: item.label, part, order, bytes: item[part], pick: item.pick }));
  return out;
}
