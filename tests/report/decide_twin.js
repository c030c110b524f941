// Answers each question of a file as the page does; what differs from advise's answers goes to stdout, one line each.
// usage: node decide_twin.js decide.js cases.json
"use strict";
const fs = require("fs");
const decide = require(require("path").resolve(process.argv[2]));
const cases = JSON.parse(fs.readFileSync(process.argv[3], "utf8"));

const MOST_PIECES = 20; // compared one by one
const shown = (number) => (number === null || Number.isFinite(number) ? number : null); // JSON has no infinity
const nameOf = (candidate) => (candidate ? candidate.name : null);
const amount = (value) => value && { value: shown(value.value), low: shown(value.low), high: shown(value.high) };
const threshold = (value) => ({ load: value.load, low: shown(value.low), high: shown(value.high) });

function answerOf(data, question) {
  const answer = decide.decide(data, question);
  return {
    outcome: answer.outcome,
    headline: answer.headline,
    winner: nameOf(answer.winner),
    nearest: nameOf(answer.nearest),
    verdicts: answer.verdicts.map((verdict) => [verdict.precision, verdict.outcome, verdict.text]),
    ranking: answer.ranking.map(({ candidate, standing, reason }) => [
      candidate.name, standing, reason, amount(candidate.machines), amount(candidate.costPerMonth), amount(candidate.costPerMillion),
    ]),
    load: answer.load && {
      cpu: nameOf(answer.load.cpu), gpu: nameOf(answer.load.gpu), decided: answer.load.decided,
      first: answer.load.decided ? threshold(answer.load.first) : null,
      always: answer.load.decided ? threshold(answer.load.always) : null,
      pieces: answer.load.decided ? answer.load.cheaper.length : 0,
      cheaper: answer.load.decided ? answer.load.cheaper.slice(0, MOST_PIECES).map(({ from, to }) => [from, shown(to)]) : null,
    },
  };
}

let different = 0;
let asked = 0;
for (const { name, data, questions } of cases) {
  for (const { question, answer } of questions) {
    ++asked;
    const ours = JSON.stringify(answerOf(data, question));
    const theirs = JSON.stringify(answer);
    if (ours === theirs) continue;
    if (++different > 5) continue;
    const at = [...ours].findIndex((letter, i) => letter !== theirs[i]);
    console.log(`${name} ${JSON.stringify(question)}\n  page:   ...${ours.slice(Math.max(0, at - 80), at + 120)}\n` +
      `  advise: ...${theirs.slice(Math.max(0, at - 80), at + 120)}`);
  }
}
console.log(`${asked} questions, ${different} answered differently`);
process.exit(different === 0 && asked > 0 ? 0 : 1);
