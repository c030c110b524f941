// Prices, load and limits on top of the cells' rates: which cell to rent, and from which load the GPU is cheaper. The twin
// of advise::decide() (src/advise), which is the truth: tests/report/decide_twin_test.cc holds the two together, text for text.
// Knows nothing of the page. `data` is what decision_json() (src/report/decision.h) writes; a question is
// {cpu_price, gpu_price, load_per_s or null, limit (index into data.limits_s), memory_bytes or null, accuracy_loss (a share) or null,
// budget_per_month or null}.
"use strict";

const BreakevenDecide = (() => {
  const HOURS_A_MONTH = (365.25 * 24) / 12;
  const MILLION = 1e6;
  const MOST_STEPS = 100000;
  const KEEPS = 0, CANNOT_TELL = 1, MISSES = 2; // as advise::Answer
  const SIDE_NAME = { cpu: "CPU", gpu: "GPU" };

  // --- numbers as text

  // 10 to a whole power, correctly rounded.
  const tenTo = (exponent) => Number("1e" + exponent);
  const decade = (size) => Number(size.toExponential().split("e")[1]);
  const scientific = (value) => value.toExponential(2).replace(/e([+-])(\d)$/, "e$10$2");

  function threeDigits(value) {
    if (Number.isNaN(value)) return "-";
    if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
    if (value === 0) return "0";
    if (Math.abs(value) < 1e-30) return scientific(value);
    const scale = tenTo(2 - decade(Math.abs(value)));
    const rounded = (Math.sign(value) * Math.round(Math.abs(value) * scale)) / scale;
    const size = Math.abs(rounded);
    if (size < 1e-4 || size >= 1e15) return scientific(rounded);
    if (size >= 100) return (rounded < 0 ? "-" : "") + size.toFixed(0).replace(/\B(?=(\d{3})+$)/g, ",");
    return rounded.toFixed(2 - decade(size));
  }

  function formatSeconds(seconds) {
    const size = Math.abs(seconds);
    if (size >= 120) return threeDigits(seconds / 60) + " min";
    if (size >= 1) return threeDigits(seconds) + " s";
    if (size >= 1e-3) return threeDigits(seconds * 1e3) + " ms";
    if (size >= 1e-6) return threeDigits(seconds * 1e6) + " us";
    return threeDigits(seconds * 1e9) + " ns";
  }

  function formatBytes(bytes) {
    const size = Math.abs(bytes);
    if (size >= 1e9) return threeDigits(bytes / 1e9) + " GB";
    if (size >= 1e6) return threeDigits(bytes / 1e6) + " MB";
    if (size >= 1e3) return threeDigits(bytes / 1e3) + " kB";
    return threeDigits(bytes) + " B";
  }

  const points = (share) => threeDigits(share * 100) + " points";

  const sure = (amount) => amount.low === amount.high;

  function shown(amount, show) {
    if (!Number.isFinite(amount.value)) return "?";
    if (sure(amount)) return show(amount.value);
    if (!Number.isFinite(amount.high)) return show(amount.value) + " (no interval)";
    return `${show(amount.value)} [${show(amount.low)}, ${show(amount.high)}]`;
  }
  const amountText = (amount) => shown(amount, threeDigits);
  const countText = (amount) => shown(amount, (value) => (value < 1e6 ? value.toFixed(0) : threeDigits(value)));

  function rateText(candidate) {
    let text = threeDigits(candidate.rate);
    if (candidate.interval && candidate.interval[0] !== candidate.interval[1]) {
      text += ` [${threeDigits(candidate.interval[0])}, ${threeDigits(candidate.interval[1])}]`;
    }
    return `${text}/s ${candidate.basis}`;
  }

  function costText(candidate) {
    const text = `${amountText(candidate.costPerMillion)} a million texts`;
    if (!candidate.machines) return text + " at full use";
    const one = candidate.machines.value === 1 && sure(candidate.machines);
    return `${countText(candidate.machines)} machine${one ? "" : "s"}, ${amountText(candidate.costPerMonth)} a month, ${text}`;
  }

  // --- one candidate

  const answerOf = (candidate) => candidate.checks.reduce((worst, check) => Math.max(worst, check.answer), KEEPS);
  const answerWithoutBudget = (candidate) =>
    candidate.checks.reduce((worst, check) => (check.limit === "budget" ? worst : Math.max(worst, check.answer)), KEEPS);
  const excessOf = (candidate) =>
    candidate.checks.reduce((product, check) => (check.answer === MISSES ? product * Math.max(1, check.excess) : product), 1);
  const failedChecks = (candidate, answer) =>
    candidate.checks.filter((check) => check.answer === answer).map((check) => check.text).join("; ");

  const keepsIf = (kept) => (kept ? KEEPS : MISSES);

  function checkMemory(most, allowed) {
    if (most <= 0) return { limit: "memory", answer: CANNOT_TELL, text: "memory was not measured", excess: 1 };
    return { limit: "memory", answer: keepsIf(most <= allowed), text: `memory ${formatBytes(most)}, ${formatBytes(allowed)} allowed`,
             excess: Math.max(1, most / allowed) };
  }

  function checkAccuracy(loss, allowed) {
    if (loss === null) return { limit: "accuracy loss", answer: CANNOT_TELL, text: "accuracy loss not known: the texts had no labels", excess: 1 };
    return { limit: "accuracy loss", answer: keepsIf(loss <= allowed), text: `accuracy loss ${points(loss)}, ${points(allowed)} allowed`,
             excess: allowed > 0 ? Math.max(1, loss / allowed) : 1 + Math.max(0, loss) };
  }

  function checkLength({ text, loss }, allowed) {
    if (loss === null) return { limit: "length", answer: MISSES, text: text + ": another task, and no labels say what it loses", excess: 1 };
    return { limit: "length", answer: keepsIf(loss <= allowed), text: `${text}: loses ${points(loss)}, ${points(allowed)} allowed`,
             excess: 1 + Math.max(0, loss - allowed) };
  }

  function checkLimits(candidate, cell, question) {
    if (candidate.unusable !== "") return;
    if (question.memory_bytes !== null) candidate.checks.push(checkMemory(cell.memory_bytes, question.memory_bytes));
    if (question.accuracy_loss !== null && !cell.is_reference) candidate.checks.push(checkAccuracy(cell.accuracy_loss, question.accuracy_loss));
    if (cell.cut) candidate.checks.push(checkLength(cell.cut, question.accuracy_loss === null ? 0 : question.accuracy_loss));
  }

  function checkBudget(candidate, budget) {
    const cost = candidate.costPerMonth;
    candidate.checks.push({
      limit: "budget",
      answer: cost.high <= budget ? KEEPS : cost.low <= budget ? CANNOT_TELL : MISSES,
      text: `${threeDigits(cost.value)} a month, ${threeDigits(budget)} allowed`,
      excess: Math.max(1, cost.value / budget),
    });
  }

  function priceForLoad(candidate, question) {
    if (candidate.unusable !== "" || candidate.rate <= 0) return;
    const [low, high] = candidate.interval || [0, Infinity];
    if (question.load_per_s === null) {
      const cost = (perSecond) => (perSecond > 0 ? (candidate.price / 3600 / perSecond) * MILLION : Infinity);
      candidate.costPerMillion = { value: cost(candidate.rate), low: cost(high), high: cost(low) };
      return;
    }
    const load = question.load_per_s;
    const machines = (perSecond) => (perSecond > 0 ? Math.max(1, Math.ceil(load / perSecond)) : Infinity);
    const count = { value: machines(candidate.rate), low: machines(high), high: machines(low) };
    const scaled = (factor) => {
      const times = (n) => (factor > 0 ? factor * n : 0);
      return { value: times(count.value), low: times(count.low), high: times(count.high) };
    };
    candidate.machines = count;
    candidate.costPerMonth = scaled(candidate.price * HOURS_A_MONTH);
    candidate.costPerMillion = scaled((candidate.price / 3600 / load) * MILLION);
    if (question.budget_per_month !== null) checkBudget(candidate, question.budget_per_month);
  }

  function makeCandidate(cell, question) {
    const at = cell.at[question.limit];
    const candidate = {
      name: cell.name, side: cell.side, precision: cell.precision, batch: cell.batch, batchSeconds: cell.batch_s, doubts: at.doubts,
      unusable: at.unusable, rate: at.rate, interval: at.interval, basis: at.basis,
      checks: at.checks.map(([limit, answer, text, excess]) => ({ limit, answer, text, excess: excess === null ? Infinity : excess })),
      price: cell.side === "cpu" ? question.cpu_price : question.gpu_price,
      machines: null, costPerMonth: null, costPerMillion: { value: 0, low: 0, high: 0 },
    };
    checkLimits(candidate, cell, question);
    priceForLoad(candidate, question);
    return candidate;
  }

  // --- the ranking

  // As comes_before() of advise.cc: below 0 when a comes first.
  function compare(a, b) {
    const group = (candidate) => (candidate.unusable !== "" ? 3 : answerOf(candidate));
    const time = (candidate) => (candidate.batchSeconds === null ? Infinity : candidate.batchSeconds);
    if (group(a) !== group(b)) return group(a) - group(b);
    const order = (x, y) => (x === y ? 0 : x < y ? -1 : 1);
    return (group(a) === MISSES ? order(excessOf(a), excessOf(b)) : 0) || order(a.costPerMillion.value, b.costPerMillion.value) ||
      order(a.costPerMillion.high, b.costPerMillion.high) || order(time(a), time(b)) || order(a.batch, b.batch) || order(b.rate, a.rate);
  }

  function overlap(a, b) {
    return !(sure(a) && sure(b)) && a.low <= b.high && b.low <= a.high;
  }

  function rivalInDoubt(candidates, winner, precision) {
    return candidates.find((candidate) => {
      if (candidate.unusable !== "" || answerOf(candidate) !== CANNOT_TELL || candidate.side === winner.side) return false;
      if (precision !== "" && candidate.precision !== precision) return false;
      return candidate.rate > 0 ? candidate.costPerMillion.low < winner.costPerMillion.high : candidate.price < winner.price;
    });
  }

  function noneText(any, doubt) {
    if (!any) return "Can't tell: no cell counts.";
    return doubt ? "Can't tell: no cell surely keeps the limits, but some might." : "No cell keeps the limits.";
  }

  function aloneText(winner, candidates) {
    const other = winner.side === "cpu" ? "gpu" : "cpu";
    const measured = candidates.some((candidate) => candidate.side === other);
    return `${SIDE_NAME[winner.side]}: ${winner.name}, ${costText(winner)}. ` +
      `No ${SIDE_NAME[other]} ${measured ? "cell keeps the limits" : "was measured"}.`;
  }

  function againstText(winner, loser, isSure) {
    const first = `${winner.name} (${costText(winner)})`;
    const second = `${loser.name} (${costText(loser)})`;
    if (!isSure) return `Too close to call: ${first} and ${second} are not told apart by their intervals.`;
    if (loser.costPerMillion.value === winner.costPerMillion.value) {
      return `${SIDE_NAME[winner.side]}: ${first} costs the same as ${second} and is chosen because it answers sooner.`;
    }
    const ratio = loser.costPerMillion.value / winner.costPerMillion.value;
    return `${SIDE_NAME[winner.side]}: ${first} against ${second}${Number.isFinite(ratio) ? `, ${threeDigits(ratio)} times` : ""}.`;
  }

  function makeVerdict(candidates, order, precision) {
    const fits = (candidate) => precision === "" || candidate.precision === precision;
    const best = (side) =>
      order.find((one) => one.unusable === "" && answerOf(one) === KEEPS && one.side === side && fits(one)) || null;
    const cpu = best("cpu"), gpu = best("gpu");
    const verdict = { precision, cpu, gpu, winner: null, outcome: "can't tell", text: "" };
    if (!cpu && !gpu) {
      const any = candidates.some((one) => one.unusable === "");
      const doubt = candidates.some((one) => one.unusable === "" && answerOf(one) === CANNOT_TELL && fits(one));
      verdict.outcome = any && !doubt ? "no cell" : "can't tell";
      verdict.text = noneText(any, doubt);
      return verdict;
    }
    const winner = !gpu || (cpu && compare(cpu, gpu) < 0) ? cpu : gpu;
    verdict.winner = winner;
    const rival = rivalInDoubt(candidates, winner, precision);
    if (rival) {
      verdict.text = `Too close to call: ${winner.name} keeps the limits (${costText(winner)}), but ${rival.name} might be cheaper: ` +
        `${failedChecks(rival, CANNOT_TELL)}.`;
      return verdict;
    }
    verdict.outcome = "advice";
    if (!cpu || !gpu) {
      verdict.text = aloneText(winner, candidates);
      return verdict;
    }
    const loser = winner === cpu ? gpu : cpu;
    if (overlap(winner.costPerMillion, loser.costPerMillion)) verdict.outcome = "can't tell";
    verdict.text = againstText(winner, loser, verdict.outcome === "advice");
    return verdict;
  }

  function standingOf(candidate, winner, outcome) {
    if (candidate.unusable !== "") return "left out";
    const answer = answerOf(candidate);
    if (answer !== KEEPS) return answer === MISSES ? "misses" : "can't tell";
    if (candidate === winner || !winner) return outcome === "advice" ? "wins" : "cheapest";
    return candidate.costPerMillion.value > winner.costPerMillion.value ? "costs more" : "same cost";
  }

  function reasonOf(candidate, winner) {
    if (candidate.unusable !== "") return candidate.unusable;
    const answer = answerOf(candidate);
    if (answer !== KEEPS) return failedChecks(candidate, answer);
    if (candidate === winner || !winner) return candidate.doubts.join(", ");
    const ours = candidate.costPerMillion, best = winner.costPerMillion;
    if (ours.value > best.value) {
      let text = best.value > 0 ? `${threeDigits(ours.value / best.value)} times the winner's cost` : "the winner costs nothing";
      if (ours.low <= best.high && !(sure(ours) && sure(best))) text += ", which the intervals do not tell apart";
      return text;
    }
    if (candidate.batchSeconds !== null && winner.batchSeconds !== null) {
      return `a batch takes ${formatSeconds(candidate.batchSeconds)}, the winner's ${formatSeconds(winner.batchSeconds)}`;
    }
    return `batch ${candidate.batch}, the winner's ${winner.batch}`;
  }

  // --- from which load

  function cheaperRanges(base, other) {
    const ranges = [];
    let baseMachines = 1, otherMachines = 1, from = 0;
    const baseSlope = base.price / base.rate, otherSlope = other.price / other.rate;
    const lastPrice = otherSlope < baseSlope ? other.price : base.price;
    const gap = Math.abs(baseSlope - otherSlope);
    const settled = gap > 0 ? lastPrice / gap : Infinity;
    for (let step = 0; step < MOST_STEPS; ++step) {
      const last = from >= settled;
      const to = last ? Infinity : Math.min(baseMachines * base.rate, otherMachines * other.rate);
      const counts = last ? otherSlope < baseSlope : otherMachines * other.price < baseMachines * base.price;
      if (counts && ranges.length > 0 && ranges[ranges.length - 1].to === from) {
        ranges[ranges.length - 1].to = to;
      } else if (counts) {
        ranges.push({ from, to });
      }
      if (last) return ranges;
      if (baseMachines * base.rate <= to) ++baseMachines;
      if (otherMachines * other.rate <= to) ++otherMachines;
      from = to;
    }
    return null;
  }

  const firstOf = (ranges) => (ranges && ranges.length > 0 ? ranges[0].from : null);
  const alwaysOf = (ranges) => {
    const last = ranges && ranges.length > 0 ? ranges[ranges.length - 1] : null;
    return last && last.to === Infinity ? last.from : null;
  };

  function threshold(atValues, atCorners) {
    const ends = [atValues, ...atCorners].map((load) => (load === null ? Infinity : load));
    return { load: atValues, low: Math.min(...ends), high: Math.max(...ends) };
  }

  function loadBreakEven(cpu, gpu) {
    const ends = (candidate) => (candidate.interval && candidate.interval[0] > 0 ? candidate.interval : [candidate.rate]);
    const ranges = (cpuRate, gpuRate) => cheaperRanges({ rate: cpuRate, price: cpu.price }, { rate: gpuRate, price: gpu.price });
    const cheaper = ranges(cpu.rate, gpu.rate);
    if (!cheaper) return { cpu, gpu, decided: false };
    const corners = ends(cpu).flatMap((cpuRate) => ends(gpu).map((gpuRate) => ranges(cpuRate, gpuRate)));
    return {
      cpu, gpu, decided: true, cheaper,
      first: threshold(firstOf(cheaper), corners.map(firstOf)),
      always: threshold(alwaysOf(cheaper), corners.map(alwaysOf)),
    };
  }

  // The highest rates of both sides among what may be rented at some budget.
  function takePart(candidates) {
    return candidates.filter((one) => one.unusable === "" && one.rate > 0 && answerWithoutBudget(one) !== MISSES);
  }

  function breakEven(candidates) {
    const fastest = (side) => takePart(candidates).filter((one) => one.side === side)
      .reduce((best, one) => (!best || one.rate > best.rate ? one : best), null);
    const cpu = fastest("cpu"), gpu = fastest("gpu");
    return cpu && gpu ? loadBreakEven(cpu, gpu) : null;
  }

  // --- the answer

  function headlineOf(answer, question) {
    const load = question.load_per_s === null ? "" : ` for ${threeDigits(question.load_per_s)} texts/s`;
    const winner = answer.winner;
    if (answer.outcome === "advice") {
      const doubts = winner.doubts.length > 0 ? ` Bear in mind: ${winner.doubts.join(", ")}.` : "";
      return `Take ${winner.name}${load}: ${costText(winner)}; one machine sustains ${rateText(winner)}.${doubts}`;
    }
    if (answer.outcome === "can't tell") return answer.verdicts[0].text;
    const nearest = answer.nearest || answer.candidates[0];
    return `No cell keeps the limits${load}; nearest is ${nearest.name}: ${failedChecks(nearest, MISSES)}.`;
  }

  function decide(data, question) {
    const candidates = data.cells.map((cell) => makeCandidate(cell, question));
    const order = [...candidates].sort(compare);
    const precisions = (side) => new Set(candidates.filter((one) => one.unusable === "" && one.side === side).map((one) => one.precision));
    const common = [...precisions("cpu")].filter((precision) => precision !== "" && precisions("gpu").has(precision)).sort();
    const verdicts = ["", ...common].map((precision) => makeVerdict(candidates, order, precision));
    const answer = { candidates, order, verdicts, outcome: verdicts[0].outcome, winner: verdicts[0].winner, nearest: null };
    if (!answer.winner && order.length > 0 && order[0].unusable === "") answer.nearest = order[0];
    answer.ranking = order.map((candidate) => ({
      candidate,
      standing: standingOf(candidate, answer.winner, answer.outcome),
      reason: reasonOf(candidate, answer.winner),
    }));
    answer.load = breakEven(candidates);
    answer.headline = headlineOf(answer, question);
    return answer;
  }

  // What a month costs at `load` with the cheapest cell of a side that keeps the limits; null without one.
  function cheapestAt(answer, side, load) {
    let best = null;
    for (const one of takePart(answer.candidates)) {
      if (one.side !== side || answerWithoutBudget(one) !== KEEPS) continue;
      const cost = one.price * HOURS_A_MONTH * Math.max(1, Math.ceil(load / one.rate));
      if (!best || cost < best.cost) best = { cost, candidate: one };
    }
    return best;
  }

  // How many texts a second a machine of a side that was not measured would have to do, to be as cheap a text at full use.
  function neededRate(answer, question, side) {
    const price = side === "cpu" ? question.cpu_price : question.gpu_price;
    const winner = answer.winner;
    if (answer.candidates.some((one) => one.side === side) || !winner || !(price > 0) || !(winner.price > 0)) return null;
    return (winner.rate * price) / winner.price;
  }

  return { decide, cheapestAt, neededRate, threeDigits, formatSeconds, amountText, countText, rateText, KEEPS, HOURS_A_MONTH };
})();

if (typeof module !== "undefined") module.exports = BreakevenDecide;
