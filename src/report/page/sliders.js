// The sliders of the report's page: prices, load and limits; the answer and the cost over load follow them.
"use strict";

function BreakevenSliders({ data, decide, place, redraw, axis, common, seriesLook, page }) {
  const SIDES = ["cpu", "gpu"];
  const SIDE_NAME = { cpu: "CPU", gpu: "GPU" };
  const POSITIONS = 1000; // of a slider
  const SECONDS_A_DAY = 86400;
  const MOST_STEPS = 200; // of a staircase, one by one
  const question = { ...data.start };
  const byId = (id) => document.getElementById(id);
  let answer = null;
  let cost = null;

  function make(name, properties = {}, ...children) {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  }

  const rates = data.cells.flatMap((cell) => cell.at.map((at) => at.per_s)).filter((rate) => rate > 0);
  const lowestRate = rates.length > 0 ? Math.min(...rates) : 1;
  const highestRate = rates.length > 0 ? Math.max(...rates) : 1;

  // --- controls

  // A slider over a logarithmic range with a field for exact numbers beside it. `left`, `right`: what that end stands for instead of
  // the lowest or highest number, {value, text}: 0, or null for no limit. The field shows the value times `scale`, or times the factor
  // of the unit that is chosen.
  function logControl({ id, label, low, high, get, set, left = null, right = null, scale = 1, units = null }) {
    const range = make("input", { type: "range", id: id + "_range", min: 0, max: POSITIONS, step: 1 });
    const field = make("input", { type: "text", id, inputMode: "decimal", autocomplete: "off" });
    const unit = units && make("select", { id: id + "_unit" }, ...units.map(([name, factor]) => make("option", { value: factor, textContent: name })));
    if (unit) unit.setAttribute("aria-label", label + ", unit");
    range.setAttribute("aria-label", label);
    const factor = () => (unit ? Number(unit.value) : scale);
    const first = left === null ? 0 : 1;
    const last = right === null ? POSITIONS : POSITIONS - 1;
    const ends = [left, right].filter((end) => end !== null);
    const endAt = (position) => (position < first ? left : position > last ? right : null);
    const toPosition = (value) => Math.round(first + (last - first) * Math.log(value / low) / Math.log(high / low));
    const fromPosition = (position) => {
      const value = low * Math.pow(high / low, (position - first) / (last - first));
      return Number((value * factor()).toPrecision(3)) / factor();
    };
    const show = () => {
      const value = get();
      const end = ends.find((one) => one.value === value);
      range.value = end ? (end === left ? 0 : POSITIONS) : Math.min(last, Math.max(first, toPosition(value)));
      field.value = end ? end.text : String(Number((value * factor()).toPrecision(6)));
      range.setAttribute("aria-valuetext", field.value);
      field.classList.remove("wrong");
    };
    range.addEventListener("input", () => {
      const end = endAt(Number(range.value));
      set(end ? end.value : fromPosition(Number(range.value)));
      show();
    });
    field.addEventListener("change", () => {
      const text = field.value.trim();
      const number = Number(text);
      const end = text === "" ? ends[ends.length - 1] : ends.find((one) => one.text === text || one.value === number);
      if (end) {
        set(end.value);
        show();
      } else if (Number.isFinite(number) && number > 0) {
        set(Number((number / factor()).toPrecision(15))); // 1 GB is 1e9 bytes, not a bit less
        show();
      } else {
        field.classList.add("wrong"); // the last good number stays in force
      }
    });
    if (unit) unit.addEventListener("change", show);
    show();
    return make("div", { className: "control" }, make("label", { htmlFor: id, textContent: label }),
                make("span", { className: "value" }, field, ...(unit ? [unit] : [])), range);
  }

  // A slider over the limits that the report was made for.
  function limitControl() {
    const range = make("input", { type: "range", id: "p99_range", min: 0, max: data.limits_s.length - 1, step: 1 });
    const shown = make("output", { id: "p99" });
    const show = () => {
      // From strict to loose, "none" at the right end.
      const last = data.limits_s.length - 1;
      range.value = question.limit === 0 ? last : question.limit - 1;
      shown.textContent = data.limit_texts[question.limit];
      range.setAttribute("aria-valuetext", shown.textContent);
    };
    range.setAttribute("aria-label", "Limit on p99");
    range.addEventListener("input", () => {
      const last = data.limits_s.length - 1;
      question.limit = Number(range.value) === last ? 0 : Number(range.value) + 1;
      show();
      answerAnew();
    });
    show();
    return make("div", { className: "control" }, make("label", { htmlFor: "p99_range", textContent: "99 of 100 requests within" }),
                make("span", { className: "value" }, shown), range);
  }

  function addControls() {
    const property = (name) => ({ get: () => question[name], set: (value) => { question[name] = value; answerAnew(); } });
    const zero = { value: 0, text: "0" }, none = { value: null, text: "none" };
    const price = { low: 0.01, high: 100, left: zero };
    byId("controls").append(
      logControl({ id: "cpu_price", label: "CPU machine, price an hour", ...price, ...property("cpu_price") }),
      logControl({ id: "gpu_price", label: "GPU machine, price an hour", ...price, ...property("gpu_price") }),
      logControl({ id: "load", label: "Load, texts", low: lowestRate / 100, high: highestRate * 100,
                   units: [["a second", 1], ["a day", SECONDS_A_DAY], ["a month", 3600 * (365.25 * 24) / 12]], ...property("load_per_s") }),
      limitControl(),
      logControl({ id: "memory", label: "Memory, at most", low: 1e7, high: 1e12, right: none,
                   units: [["GB", 1e-9], ["GiB", 1 / 1024 ** 3]], ...property("memory_bytes") }),
      // Without a limit what docs/parity.md lets pass still holds.
      logControl({ id: "accuracy_loss", label: "Accuracy loss allowed, points", low: 1e-4, high: 0.1, left: zero, right: none,
                   scale: 100, ...property("accuracy_loss") }),
      logControl({ id: "budget", label: "Budget a month", low: 1, high: 1e6, right: none, ...property("budget_per_month") }),
    );
  }

  // --- the answer: words of the report with this question's cells and numbers

  function priced(candidate) {
    if (!candidate.machines) return candidate.cell.name;
    const one = candidate.machines[1] === 1;
    return `${candidate.cell.name}: ${decide.countText(candidate.machines)} machine${one ? "" : "s"}, ` +
      `${decide.amountText(candidate.costPerMonth)} a month`;
  }

  function answerText({ winner, rival, outcome }) {
    if (!winner) {
      const nearest = answer.order[0];
      if (outcome !== "no cell" || !nearest) return data.words.nothing;
      return `${data.words[outcome]} ${nearest.cell.name} (${decide.reasonOf(nearest)}).`;
    }
    return `${data.words[outcome]} ${priced(winner)}.` + (rival ? ` ${data.words.rival} ${priced(rival)}.` : "");
  }

  function showRanking() {
    const table = byId("ranking");
    const heads = [...table.tHead.rows[0].cells];
    const energy = data.cells.some((cell) => cell.joules_per_1000 !== null);
    const joules = (value) => (value === null ? "not available" : decide.threeDigits(value));
    const { winner, outcome } = answer.choices[0];
    const rows = answer.order.map((one) => {
      const standing = one.at.unusable !== "" ? data.words.standing[3] : data.words.standing[decide.answerOf(one)];
      const wins = one === winner && outcome === "advice";
      const texts = [one.cell.name, one.at.rate_text, ...(one.machines
        ? [decide.countText(one.machines), decide.amountText(one.costPerMonth), decide.amountText(one.costPerMillion)] : ["-", "-", "-"]),
        one.cell.batch_text, ...(energy ? [joules(one.cell.joules_per_1000), joules(one.cell.net_joules_per_1000)] : []),
        wins ? data.words.wins : standing, decide.reasonOf(one)];
      const row = make("tr", {}, ...texts.map((text, at) => make("td", { textContent: text, className: heads[at].className })));
      if (wins) row.cells[heads.length - 2].classList.add("good");
      return row;
    });
    table.tBodies[0].replaceChildren(...rows);
  }

  function showText() {
    const headline = byId("headline");
    const { outcome } = answer.choices[0];
    headline.textContent = answerText(answer.choices[0]);
    headline.className = "strong " + (outcome === "advice" ? "good" : outcome === "no cell" ? "bad" : "careful");
    const prices = data.example_prices && question.cpu_price === data.start.cpu_price && question.gpu_price === data.start.gpu_price;
    byId("asked").textContent = prices ? data.words.example : "";
    const always = alwaysCheaper();
    byId("breakeven").textContent = always === null ? "" : `${data.words.always} ${decide.threeDigits(always)} texts/s.`;
    byId("verdicts").replaceChildren(make("ul", {}, ...answer.choices.map((choice) => make("li", {
      textContent: (choice.precision === "" ? data.words.overall : `${data.words["same precision"]} (${choice.precision})`) + ": " + answerText(choice),
    }))));
  }

  // --- cost over load

  // Points at which the cheapest cell of a side costs what it costs up to there: the chart steps after each. Exact for the first
  // MOST_STEPS machines of each cell; beyond, where steps are finer than a pixel, points evenly spaced.
  const planned = (one) => (one.rate[0] * question.utilisation) / question.peak; // texts a second on average, of one machine
  function staircase(side, low, high) {
    const edges = new Set([low, high]);
    const cells = answer.candidates.filter((one) => one.side === side && one.at.unusable === "" && one.rate && one.rate[0] > 0);
    for (const one of cells) {
      const rate = planned(one);
      const first = Math.max(1, Math.floor(low / rate));
      for (let step = first; step * rate <= high && step < first + MOST_STEPS; ++step) edges.add(step * rate);
    }
    const exact = MOST_STEPS * Math.min(...cells.map(planned));
    for (let i = 0; i <= MOST_STEPS && exact < high; ++i) edges.add(exact * Math.pow(high / exact, i / MOST_STEPS));
    const steps = [...edges].filter((load) => load >= low && load <= high).sort((x, y) => x - y)
      .map((load) => ({ load, best: decide.cheapestAt(answer, question, side, load) })).filter(({ best }) => best !== null);
    // Of a flat stretch its two ends.
    return steps.filter(({ best }, at) => at === 0 || at === steps.length - 1 || best.cost !== steps[at + 1].best.cost);
  }

  // The loads of the picture, and the one from which the GPU always costs less; null without one.
  const span = () => [Math.min(lowestRate / 10, question.load_per_s / 2), Math.max(highestRate * 10, question.load_per_s * 2)];
  function alwaysCheaper() {
    const [cpu, gpu] = SIDES.map((side) => staircase(side, ...span()));
    if (cpu.length === 0 || gpu.length === 0) return null;
    const costAt = (steps, at) => (steps.find(({ load }) => load >= at) || steps[steps.length - 1]).best.cost;
    const loads = [...cpu, ...gpu].map(({ load }) => load).sort((x, y) => x - y);
    const dearer = loads.filter((load) => costAt(gpu, load) >= costAt(cpu, load));
    const last = dearer[dearer.length - 1];
    return last === undefined || last === loads[loads.length - 1] ? null : last;
  }

  function costConfig(look) {
    const [low, high] = span();
    const datasets = [];
    const ys = [];
    SIDES.forEach((side, index) => {
      const steps = staircase(side, low, high);
      if (steps.length === 0) return;
      ys.push(...steps.map(({ best }) => best.cost));
      datasets.push({
        label: `${SIDE_NAME[side]} (${question[side + "_price"]} an hour)`, ...seriesLook(index, look), pointRadius: 0, pointHitRadius: 4, stepped: "after",
        data: steps.map(({ load, best }) => ({ x: load, y: best.cost })),
        labels: steps.map(({ load, best }) => `${best.candidate.cell.name}: ${decide.threeDigits(best.cost)} a month at ${decide.threeDigits(load)} texts/s`),
      });
    });
    const positive = ys.filter((y) => y > 0);
    const logarithmic = positive.length > 0 && positive.length === ys.length;
    const bottom = logarithmic ? Math.min(...positive) / 1.25 : 0;
    const top = (ys.length > 0 ? Math.max(...ys) : 1) * 1.25;
    const upright = (label, x, colour, dash) => datasets.push({
      label, borderColor: colour, backgroundColor: colour, borderWidth: 1.5, borderDash: dash, pointRadius: 0, pointHitRadius: 4, pointStyle: "line",
      data: [{ x, y: bottom }, { x, y: top }], labels: [label, label],
    });
    upright(`load: ${decide.threeDigits(question.load_per_s)} texts/s`, question.load_per_s, look.text, [2, 3]);
    const always = alwaysCheaper();
    if (always !== null) upright(`${data.words.always} ${decide.threeDigits(always)} texts/s`, always, look.series[2], [10, 4]);
    const options = common(look, (item) => item.dataset.labels[item.dataIndex] || item.dataset.label);
    options.scales = { x: axis("texts/s", [low, high], true, look), y: axis("a month", [...ys, ...(logarithmic ? [] : [0])], logarithmic, look) };
    return { type: "line", data: { datasets }, options };
  }

  // --- together

  function answerAnew() {
    answer = decide.decide(data, question);
    page.answer = answer;
    page.question = question;
    showText();
    showRanking();
    if (cost) redraw(cost);
  }

  answerAnew();
  addControls();
  cost = place(byId("cost"), "Cost a month over load", (width) => (width < 500 ? 380 : 360), costConfig);
  page.cost = cost;
}
