// The report's page: draws its charts with Chart.js, answers the sliders with BreakevenDecide, copies tables as CSV. Texts from
// records reach the page as textContent or on a canvas only, never as HTML.
"use strict";

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const decide = BreakevenDecide;
  const root = document.documentElement;
  const drawn = []; // {chart, config(): Chart.js configuration}
  const MARKERS = ["circle", "rect", "triangle", "rectRot", "cross", "star", "crossRot", "rectRounded"];
  const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
  const NAME_LENGTH = 26; // of a line of a bar's name
  const NARROW = 500; // pixels
  const WIDE = 800;
  const MANY_BARS = 10; // take the page's whole width
  const PAPER = 640; // pixels that a page of paper is wide
  const NARROW_NAME_LENGTH = 17;

  // --- looks

  function theme() {
    const style = getComputedStyle(root);
    const get = (name) => style.getPropertyValue(name).trim();
    return { text: get("--text"), dim: get("--dim"), line: get("--line"), back: get("--back"), bad: get("--bad"),
             series: get("--series").split(/\s+/) };
  }

  // "1,230": short, for an axis.
  function tickText(value) {
    const size = Math.abs(value);
    const plain = (number) => String(Number(number.toPrecision(4)));
    if (size >= 1e6) return plain(value / 1e6) + "M";
    if (size >= 1e4) return plain(value / 1e3) + "k";
    return plain(value);
  }

  // Lines of at most `length` letters, broken at spaces; the third is the last.
  function wrap(text, length) {
    const lines = [""];
    for (const word of text.split(" ")) {
      const line = lines[lines.length - 1];
      const piece = [...word].length > length ? [...word].slice(0, length - 1).join("") + "…" : word;
      if (line === "") lines[lines.length - 1] = piece;
      else if ([...line, ...piece].length < length) lines[lines.length - 1] += " " + piece;
      else lines.push(piece);
    }
    return lines.length > 3 ? [...lines.slice(0, 2), lines[2] + "…"] : lines;
  }

  // Round numbers that a logarithmic axis from low to high shows.
  function logTicks(low, high) {
    const decades = Math.log10(high / low);
    const steps = decades <= 3 ? [1, 2, 5] : [1];
    const every = Math.max(1, Math.ceil(decades / 8));
    const ticks = [];
    for (let decade = Math.floor(Math.log10(low)); decade <= Math.ceil(Math.log10(high)); decade += 1) {
      if (decade % every !== 0) continue;
      for (const step of steps) {
        const value = step * Number("1e" + decade);
        if (value >= low && value <= high) ticks.push(value);
      }
    }
    return ticks.length > 1 ? ticks : [low, high];
  }

  function axis(title, values, logarithmic, look, exact) {
    const options = {
      title: { display: title !== "", text: title, color: look.dim },
      grid: { color: look.line, borderColor: look.line },
      ticks: { color: look.dim, callback: (value) => tickText(value), maxRotation: 0 },
    };
    const low = Math.min(...values), high = Math.max(...values);
    if (!logarithmic) return { ...options, type: "linear", beginAtZero: true, suggestedMax: high };
    const min = low / 1.25, max = high * 1.25;
    const ticks = exact && exact.length <= 8 ? exact : logTicks(min, max);
    return { ...options, type: "logarithmic", min, max, afterBuildTicks: (scale) => { scale.ticks = ticks.map((value) => ({ value })); } };
  }

  // Whiskers from low to high at each point that has an interval.
  const intervals = {
    id: "intervals",
    afterDatasetsDraw(chart) {
      const context = chart.ctx;
      chart.data.datasets.forEach((dataset, index) => {
        if (!dataset.ends || !chart.isDatasetVisible(index)) return;
        context.save();
        context.strokeStyle = dataset.borderColor;
        context.lineWidth = 1.5;
        chart.getDatasetMeta(index).data.forEach((element, at) => {
          if (!dataset.ends[at]) return;
          const [from, to] = dataset.ends[at].map((value) => chart.scales.y.getPixelForValue(value));
          context.beginPath();
          for (const y of [from, to]) { context.moveTo(element.x - 4, y); context.lineTo(element.x + 4, y); }
          context.moveTo(element.x, from);
          context.lineTo(element.x, to);
          context.stroke();
        });
        context.restore();
      });
    },
  };

  function common(look, labelOf) {
    return {
      animation: false, responsive: true, maintainAspectRatio: false, color: look.text,
      interaction: { mode: "nearest", intersect: false, axis: "xy" },
      plugins: {
        legend: { position: "bottom", align: "start", labels: { color: look.text, usePointStyle: true, boxHeight: 8, boxWidth: 20, padding: 8 } },
        tooltip: { callbacks: { title: () => "", label: labelOf } },
      },
    };
  }

  function seriesLook(index, look) {
    const colour = look.series[index % look.series.length];
    return { borderColor: colour, backgroundColor: colour, pointStyle: MARKERS[index % MARKERS.length], borderDash: DASHES[index % DASHES.length],
             borderWidth: 2, pointRadius: 5, pointBorderWidth: 2 };
  }

  const limitLook = (index, look) => ({ borderColor: look.bad, backgroundColor: look.bad, borderWidth: 1.5, borderDash: [12, 4 + 4 * index],
                                        pointStyle: "line", pointRadius: 0, pointHitRadius: 6 });

  function lineConfig(chart, look) {
    const datasets = chart.series.map((series, index) => ({
      label: series.name, ...seriesLook(index, look),
      data: series.points.map(([x, y]) => ({ x, y })),
      ends: series.points.map(([, , low, high]) => (low === null ? null : [low, high])),
      labels: series.points.map((point) => point[4]),
    }));
    const points = chart.series.flatMap((series) => series.points);
    const xs = points.map((point) => point[0]);
    const ys = points.flatMap(([, y, low, high]) => (low === null ? [y] : [y, low, high])).concat(chart.limits.map((limit) => limit.y));
    const left = Math.min(...xs), right = Math.max(...xs);
    chart.limits.forEach((limit, index) => datasets.push({
      label: limit.name, ...limitLook(index, look), data: [{ x: left, y: limit.y }, { x: right, y: limit.y }],
      labels: [limit.name, limit.name].map((name) => `${name}: ${decide.threeDigits(limit.y)} ${chart.y_title}`),
    }));
    const options = common(look, (item) => item.dataset.labels[item.dataIndex] || item.dataset.label);
    options.scales = { x: axis(chart.x_title, xs, chart.log_x, look, [...new Set(xs)].sort((a, b) => a - b)),
                       y: axis(chart.y_title, ys, chart.log_y, look) };
    return { type: "line", data: { datasets }, options, plugins: [intervals] };
  }

  // Name and label of a bar, in lines.
  function barName(chart, bar, width) {
    if (chart.upright) return bar.name;
    if (width >= WIDE) return [bar.label ? `${bar.name}: ${bar.label}` : bar.name];
    return [...wrap(bar.name, width < NARROW ? NARROW_NAME_LENGTH : NAME_LENGTH), ...(bar.label ? [bar.label] : [])];
  }

  function barConfig(chart, look, width) {
    const sums = chart.bars.map((bar) => bar.values.reduce((sum, value) => sum + value, 0));
    const shown = (value, at) => (!chart.as_shares ? value : sums[at] > 0 ? (100 * value) / sums[at] : 0);
    const datasets = chart.parts.map((part, index) => ({
      label: part, backgroundColor: look.series[index % look.series.length], borderColor: look.back, borderWidth: 1, pointStyle: "rect",
      data: chart.bars.map((bar, at) => shown(bar.values[index], at)),
      labels: chart.bars.map((bar) => `${bar.name}, ${part}: ${decide.threeDigits(bar.values[index])} ${chart.unit}`),
    }));
    const options = common(look, (item) => item.dataset.labels[item.dataIndex]);
    const [names, values] = chart.upright ? ["x", "y"] : ["y", "x"];
    options.indexAxis = names;
    options.interaction = { mode: "nearest", intersect: true };
    options.plugins.legend.display = chart.parts.length > 1;
    const grid = { color: look.line, borderColor: look.line };
    options.scales = {
      [names]: { stacked: true, grid: { ...grid, display: false }, ticks: { color: look.text, autoSkip: chart.upright } },
      [values]: { stacked: true, grid, beginAtZero: true, ticks: { color: look.dim, callback: (value) => tickText(value) },
                  title: { display: true, text: chart.as_shares ? "%" : chart.unit, color: look.dim }, ...(chart.as_shares ? { max: 100 } : {}) },
    };
    return { type: "bar", data: { labels: chart.bars.map((bar) => barName(chart, bar, width)), datasets }, options };
  }

  function heightOf(chart, width) {
    // Of the legend, so that it takes its place below the picture and none of it.
    const rows = (names) => {
      const longest = Math.max(...names.map((name) => [...name].length));
      return Math.ceil(names.length / Math.max(1, Math.floor(width / (44 + 6.5 * longest)))) * 20;
    };
    if (chart.kind === "line") return 290 + rows([...chart.series, ...chart.limits].map((one) => one.name));
    if (chart.upright) return 300;
    const lines = chart.bars.reduce((sum, bar) => sum + 0.8 + barName(chart, bar, width).length, 0);
    return 90 + 16 * lines + (chart.parts.length > 1 ? rows(chart.parts) : 0);
  }

  // Puts a canvas into the figure's place and keeps what draws it again under another theme.
  function place(figure, title, height, config) {
    const box = figure.querySelector(".canvas");
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", title + ". The numbers stand in the table below.");
    box.appendChild(canvas);
    box.style.height = height(box.clientWidth) + "px";
    const entry = { chart: new Chart(canvas, config(theme(), box.clientWidth)), box, height, config };
    drawn.push(entry);
    return entry;
  }

  function redraw(entry, width = entry.box.clientWidth) {
    const { data: content, options } = entry.config(theme(), width);
    entry.chart.data = content;
    entry.chart.options = options;
    entry.chart.update("none");
  }

  function drawCharts() {
    data.charts.forEach((chart, index) => {
      const figure = document.getElementById("chart-" + index);
      if (chart.kind === "bar" && !chart.upright && chart.bars.length > MANY_BARS) figure.classList.add("wide");
      place(figure, chart.title, (width) => heightOf(chart, width), (look, width) => (chart.kind === "line" ? lineConfig : barConfig)(chart, look, width));
    });
  }

  function followTheReader() {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach((entry) => redraw(entry)));
    let opened = [];
    addEventListener("beforeprint", () => {
      root.classList.add("printing");
      opened = [...document.querySelectorAll("details:not([open])")];
      opened.forEach((details) => { details.open = true; });
      drawn.forEach((entry) => {
        redraw(entry, PAPER);
        entry.chart.resize(PAPER, entry.height(PAPER));
      });
    });
    addEventListener("afterprint", () => {
      root.classList.remove("printing");
      opened.forEach((details) => { details.open = false; });
      drawn.forEach((entry) => {
        redraw(entry);
        entry.chart.resize();
      });
    });
  }

  // --- tables to copy

  function csvOf(table) {
    const field = (cell) => {
      // A spreadsheet takes = + - @ at the front of a text for a formula.
      const text = /^[=+@-]/.test(cell.textContent) && !/^-?[\d.,]+$/.test(cell.textContent) ? "'" + cell.textContent : cell.textContent;
      return /[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
    };
    return [...table.rows].map((row) => [...row.cells].map(field).join(",")).join("\n") + "\n";
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.appendChild(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  }

  function addCopyButtons() {
    const add = (after, textOf) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Copy as CSV";
      button.addEventListener("click", async () => {
        const done = await copy(textOf());
        button.textContent = done ? "Copied" : "Select the table and copy it";
        setTimeout(() => { button.textContent = "Copy as CSV"; }, 1500);
      });
      after.after(button);
    };
    document.querySelectorAll(".scroll > table").forEach((table) => add(table.parentElement, () => csvOf(table)));
    const csv = document.getElementById("csv");
    if (csv) add(csv, () => csv.textContent);
  }

  window.breakevenPage = { data, drawn, csvOf };
  drawCharts();
  followTheReader();
  addCopyButtons();
  if (data.decision) BreakevenSliders({ data: data.decision, decide, place, redraw, axis, common, seriesLook, page: window.breakevenPage });
})();
