// Prices, load and limits on top of the cells' rates: multiplies, compares and sorts. Rates, reasons and every sentence come from
// src/report/decision.cc; the answer is that of decide::advice_for(), and tests/report/decide_twin_test.cc holds the two together.
// Knows nothing of the page. A question is {cpu_price, gpu_price, load_per_s, peak, utilisation, limit (index into data.limits_s),
// memory_bytes or null, accuracy_loss (a share) or null, budget_per_month or null}.
"use strict";

const BreakevenDecide = (() => {
  const HOURS_A_MONTH = (365.25 * 24) / 12;
  const MILLION = 1e6;
  const KEEPS = 0, CANNOT_TELL = 1, MISSES = 2; // as decide::Answer

  const scientific = (value) => value.toExponential(2).replace(/e([+-])(\d)$/, "e$10$2");

  // As three_digits() of base/units.h.
  function threeDigits(value) {
    if (!Number.isFinite(value)) return Number.isNaN(value) ? "-" : value > 0 ? "inf" : "-inf";
    if (value === 0) return "0";
    if (Math.abs(value) < 1e-30) return scientific(value);
    const decade = (size) => Number(size.toExponential().split("e")[1]);
    const scale = Number("1e" + (2 - decade(Math.abs(value))));
    const rounded = (Math.sign(value) * Math.round(Math.abs(value) * scale)) / scale;
    const size = Math.abs(rounded);
    if (size < 1e-4 || size >= 1e15) return scientific(rounded);
    if (size >= 100) return (rounded < 0 ? "-" : "") + size.toFixed(0).replace(/\B(?=(\d{3})+$)/g, ",");
    return rounded.toFixed(2 - decade(size));
  }

  // An amount is [low, high]; what is planned with is its high end.
  function shown([low, high], show) {
    if (!Number.isFinite(high)) return "?";
    return low === high ? show(high) : `${show(high)} (${show(low)}-${show(high)})`;
  }
  const amountText = (amount) => shown(amount, threeDigits);
  const countText = (amount) => shown(amount, (value) => (value < 1e6 ? value.toFixed(0) : threeDigits(value)));

  // --- one candidate

  function machinesFor(load, [low, high], utilisation) {
    const machines = (rate) => (rate > 0 ? Math.max(1, Math.ceil(load / (utilisation * rate))) : Infinity);
    return [machines(high), machines(low)];
  }
  const costAMonth = (machines, price) => machines.map((count) => (price > 0 ? count * price * HOURS_A_MONTH : 0));

  // A limit on a number that was measured (or null), with the text that names it.
  function checkLimit(candidate, measured, allowed, text, excess) {
    const answer = measured === null ? CANNOT_TELL : measured <= allowed ? KEEPS : MISSES;
    candidate.checks.push({ answer, text, excess: answer === MISSES ? excess : 1 });
  }

  function makeCandidate(cell, question, words) {
    const at = cell.at[question.limit];
    const rate = at.rate && at.rate.map((end) => (end === null ? Infinity : end));
    const price = cell.side === "cpu" ? question.cpu_price : question.gpu_price;
    const candidate = { cell, at, rate, price, side: cell.side, machines: null, costPerMonth: null, costPerMillion: [0, 0],
                        checks: [{ answer: at.answer, text: at.reason, excess: at.excess === null ? Infinity : at.excess }] };
    if (at.unusable !== "") return candidate;
    if (question.memory_bytes !== null) {
      checkLimit(candidate, cell.memory_bytes > 0 ? cell.memory_bytes : null, question.memory_bytes, cell.memory_text,
                 Math.max(1, cell.memory_bytes / question.memory_bytes));
    }
    const allowed = question.accuracy_loss;
    if (allowed !== null && !cell.is_reference) {
      checkLimit(candidate, cell.accuracy_loss, allowed, cell.accuracy_text,
                 allowed > 0 ? Math.max(1, cell.accuracy_loss / allowed) : 1 + Math.max(0, cell.accuracy_loss));
    }
    if (cell.cut) {
      const loss = cell.cut.loss === null ? Infinity : cell.cut.loss;
      checkLimit(candidate, loss, allowed || 0, cell.cut.text, cell.cut.loss === null ? 1 : 1 + Math.max(0, loss - (allowed || 0)));
    }
    if (!rate) return candidate;
    candidate.machines = machinesFor(question.load_per_s * question.peak, rate, question.utilisation);
    candidate.costPerMonth = costAMonth(candidate.machines, price);
    const million = MILLION / (question.load_per_s * 3600 * HOURS_A_MONTH);
    candidate.costPerMillion = candidate.costPerMonth.map((cost) => cost * million);
    if (question.budget_per_month !== null) {
      const [low, high] = candidate.costPerMonth, budget = question.budget_per_month;
      candidate.checks.push({ answer: high <= budget ? KEEPS : low <= budget ? CANNOT_TELL : MISSES, text: words.budget, budget: true,
                              excess: Math.max(1, low / budget) });
    }
    return candidate;
  }

  const answerOf = (candidate, budget = true) =>
    candidate.checks.reduce((worst, check) => (check.budget && !budget ? worst : Math.max(worst, check.answer)), KEEPS);
  const excessOf = (candidate) =>
    candidate.checks.reduce((product, check) => (check.answer === MISSES ? product * Math.max(1, check.excess) : product), 1);

  // As comes_before() of advice.cc: below 0 when a comes first.
  function compare(a, b) {
    const group = (one) => (one.at.unusable !== "" ? 3 : answerOf(one));
    const time = (one) => (one.cell.batch_s === null ? Infinity : one.cell.batch_s);
    const order = (x, y) => (x === y ? 0 : x < y ? -1 : 1);
    return group(a) - group(b) || (group(a) === MISSES ? order(excessOf(a), excessOf(b)) : 0) ||
      order(a.costPerMillion[1], b.costPerMillion[1]) || order(a.costPerMillion[0], b.costPerMillion[0]) ||
      order(time(a), time(b)) || order(a.cell.batch, b.cell.batch) || order(b.at.per_s, a.at.per_s);
  }

  // Equal costs go to the side that answers sooner by its measured p99, else to the CPU.
  const sideOnTie = (cpu, gpu) => (cpu && gpu && cpu.at.p99 && gpu.at.p99 && gpu.at.p99[1] < cpu.at.p99[0] ? "gpu" : "cpu");

  // As make_choice() of advice.cc.
  function choose(candidates, order, precision) {
    const fits = (one) => one.at.unusable === "" && (precision === "" || one.cell.precision === precision);
    const best = (side) => order.find((one) => fits(one) && answerOf(one) === KEEPS && one.side === side) || null;
    const cpu = best("cpu"), gpu = best("gpu"), onTie = sideOnTie(cpu, gpu);
    if (!cpu && !gpu) {
      const any = candidates.some((one) => one.at.unusable === "");
      const doubt = candidates.some((one) => fits(one) && answerOf(one) === CANNOT_TELL);
      return { precision, winner: null, rival: null, outcome: any && !doubt ? "no cell" : "can't tell" };
    }
    const cost = (one) => one.costPerMillion[1];
    const winner = !gpu ? cpu : !cpu ? gpu : cost(cpu) === cost(gpu) ? (onTie === "cpu" ? cpu : gpu) : cost(gpu) < cost(cpu) ? gpu : cpu;
    const rival = candidates.find((one) => {
      if (!fits(one) || answerOf(one) === MISSES || one.side === winner.side) return false;
      if (!one.rate) return one.price < winner.price;
      return one.costPerMillion[0] < cost(winner) || (one.costPerMillion[0] === cost(winner) && onTie === one.side);
    }) || null;
    return { precision, winner, rival, outcome: rival ? "can't tell" : "advice" };
  }

  function decide(data, question) {
    const candidates = data.cells.map((cell) => makeCandidate(cell, question, data.words));
    const order = [...candidates].sort(compare);
    const precisions = (side) => new Set(candidates.filter((one) => one.at.unusable === "" && one.side === side).map((one) => one.cell.precision));
    const common = [...precisions("cpu")].filter((precision) => precisions("gpu").has(precision)).sort();
    return { candidates, order, choices: ["", ...common].map((precision) => choose(candidates, order, precision)) };
  }

  // The text of the checks that put a candidate where it stands.
  function reasonOf(candidate) {
    if (candidate.at.unusable !== "") return candidate.at.unusable;
    const answer = answerOf(candidate);
    if (answer === KEEPS) return candidate.at.doubts;
    return candidate.checks.filter((check) => check.answer === answer).map((check) => check.text).join("; ");
  }

  // What a month costs at `load` with the cheapest cell of a side that keeps the limits, planned with; null without one.
  function cheapestAt(answer, question, side, load) {
    let best = null;
    for (const one of answer.candidates) {
      if (one.side !== side || one.at.unusable !== "" || !one.rate || answerOf(one, false) !== KEEPS) continue;
      const cost = costAMonth(machinesFor(load * question.peak, one.rate, question.utilisation), one.price)[1];
      if (!best || cost < best.cost) best = { cost, candidate: one };
    }
    return best;
  }

  return { decide, cheapestAt, reasonOf, answerOf, threeDigits, amountText, countText, KEEPS, HOURS_A_MONTH };
})();

if (typeof module !== "undefined") module.exports = BreakevenDecide;
