'use strict';
// The browser of problems and responses of an evaluation. What a model wrote goes through textContent; only MathML that
// formulas.py made, of known elements and attributes, is parsed.
const DATA = JSON.parse(document.getElementById('data').textContent);
const PAGE = 10;
const at = (id) => document.getElementById(id);
let visible = PAGE;

function node(tag, className, words, children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (words !== undefined) made.textContent = words;
  (children || []).forEach((child) => made.append(child));
  return made;
}

const source = (pieces) => pieces.map((piece) => typeof piece === 'number' ? DATA.formulas[piece][0] : piece).join('');

function formula(number) {
  const [latex, mathml, display] = DATA.formulas[number];
  if (!mathml || !at('maths').value) return node('code', '', latex);
  const made = node('span', display ? 'display' : 'inline');
  made.innerHTML = mathml;
  made.title = latex;
  return made;
}

function prose(className, pieces) {
  return node('div', className, undefined, pieces.map((piece) => typeof piece === 'number' ? formula(piece) : piece));
}

function responseNode(r) {
  const words = {correct: '✓ right', wrong: '✗ wrong', invalid: '? no verdict'}[r.status];
  const facts = ' ' + [r.reason, r.reward === undefined ? '' : 'reward ' + Number(r.reward.toPrecision(4)), r.tokens === null ? '' : r.tokens + ' tokens', r.cut_off ? 'cut off' : '',
    r.answer === null ? '' : 'answer: ' + r.answer].filter(Boolean).join(', ');
  const text = prose('text', r.text);
  text.tabIndex = 0;
  return node('div', 'response ' + {correct: 'right', wrong: 'wrong', invalid: 'none'}[r.status], undefined, [
    node('b', '', '#' + r.sample + ' ' + words), facts, text]);
}

function wanted(r, needle) {
  const verdict = at('verdict').value;
  return (!verdict || (verdict === 'cut_off' ? r.cut_off === true : r.status === verdict)) &&
    (!needle || source(r.text).toLowerCase().includes(needle));
}

function problemNode(p, responses) {
  const bar = node('span', 'share');
  bar.append(node('i'));
  bar.firstChild.style.width = (100 * (p.avg || 0)) + '%';
  const facts = [p.subject, p.avg === null ? 'no verdict' : p.correct + ' of ' + p.samples + ' right',
    p.cons === null ? '' : 'majority ' + (p.cons === 1 ? 'right' : p.cons === 0 ? 'wrong' : 'tied'),
    p.tokens === null ? '' : Math.round(p.tokens) + ' tokens', p.shared ? 'shared with training data' : ''].filter(Boolean);
  const head = node('summary', '', undefined, [node('strong', '', p.id), bar, node('span', 'facts', facts.join(' · '))]);
  const made = node('details', 'group', undefined, [head]);
  made.addEventListener('toggle', () => {
    if (!made.open || made.children.length > 1) return;
    if (p.shared) made.append(node('p', 'warning', 'In the training data: "' + p.shared[0] + '", ' + p.shared[1]));
    made.append(prose('prompt', p.prompt));
    const gold = prose('gold', p.gold.length ? p.gold : ['judged by its tests']);
    gold.prepend('Correct answer: ');
    made.append(gold, node('div', 'responses', undefined, responses.map(responseNode)));
    if (responses.length < p.responses.length) made.append(node('p', 'note', responses.length + ' of ' + p.responses.length + ' responses match'));
  });
  return made;
}

function show() {
  const set = DATA.sets.find((s) => s.name === at('set').value), which = at('which').value, order = at('order').value;
  const needle = at('search').value.toLowerCase();
  const kind = (p) => p.avg === null ? '' : p.avg === 0 ? 'never' : p.avg === 1 ? 'always' : 'sometimes';
  let found = set.problems.filter((p) => (!at('subject').value || p.subject === at('subject').value) &&
    (!which || (which === 'shared' ? Boolean(p.shared) : kind(p) === which)));
  found = found.map((p) => {
    const whole = needle && [source(p.prompt), source(p.gold), p.id].some((words) => words.toLowerCase().includes(needle));
    return [p, p.responses.filter((r) => wanted(r, whole ? '' : needle))];
  }).filter((pair) => pair[1].length);
  const by = {hard: (p) => p.avg, easy: (p) => -p.avg, long: (p) => -p.tokens}[order];
  if (by) found.sort((a, b) => by(a[0]) - by(b[0]));
  at('problems').replaceChildren(...found.slice(0, visible).map((pair) => problemNode(...pair)));
  if (found.length && visible === PAGE) at('problems').firstChild.open = true;
  const counted = (n, what) => n + ' ' + what + (n === 1 ? '' : 's');
  at('count').textContent = counted(found.length, 'problem') + ', ' +
    counted(found.reduce((sum, pair) => sum + pair[1].length, 0), 'response') + '; click on a problem to see them';
  at('more').hidden = found.length <= visible;
}

function subjects() {
  const names = DATA.sets.find((s) => s.name === at('set').value).problems.map((p) => p.subject).filter(Boolean);
  at('subject').replaceChildren(new Option('all', ''), ...[...new Set(names)].map((name) => new Option(name, name)));
}

DATA.sets.forEach((s) => at('set').append(new Option(s.name, s.name)));
at('set').addEventListener('input', subjects);
['set', 'subject', 'which', 'verdict', 'order', 'search', 'maths'].forEach((id) =>
  at(id).addEventListener('input', () => { visible = PAGE; show(); }));
at('more').addEventListener('click', () => { visible += PAGE; show(); });
subjects();
show();
