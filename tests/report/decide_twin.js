// Answers each question of a file as the page does; what differs from advise's answers goes to stdout, one line each.
// usage: node decide_twin.js decide.js cases.json
"use strict";
const fs = require("fs");
const decide = require(require("path").resolve(process.argv[2]));
const cases = JSON.parse(fs.readFileSync(process.argv[3], "utf8"));

const amount = (ends) => ends && ends.map((end) => (Number.isFinite(end) ? end : null)); // JSON has no infinity
const nameOf = (candidate) => candidate && candidate.cell.name;

function answerOf(data, question) {
  const answer = decide.decide(data, question);
  return {
    choices: answer.choices.map((choice) => [choice.precision, choice.outcome, nameOf(choice.winner), nameOf(choice.rival)]),
    order: answer.order.map((one) => [one.cell.name, decide.answerOf(one), amount(one.machines), amount(one.costPerMonth), amount(one.costPerMillion)]),
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
