const $ = id => document.getElementById(id);
const base = location.origin + location.pathname;
const say = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const announce = text => { $('said').textContent = text; };
const make = (tag, className = '', text = '') => Object.assign(document.createElement(tag), { className, textContent: text });

// The API key lives in this tab only. A link may bring one in its fragment,
// which no server sees; it leaves the address bar at once.
const store = (() => { try { return sessionStorage; } catch { return { getItem() {}, setItem() {}, removeItem() {} }; } })();
const item = 'uaol-key';
let key = '', seen = {}, turn = 0, round = 0, delay = 2000, timer = 0, stage = 'wait';

function use(candidate, problem = '') {
  candidate = candidate.trim();
  if (!/^[\x21-\x7e]*$/.test(candidate)) [candidate, problem] = ['', 'That is not an API key.'];
  key = candidate;
  if (key) store.setItem(item, key); else store.removeItem(item);
  $('key').value = '';
  $('key').setAttribute('aria-invalid', String(Boolean(problem)));
  seen = { ready: seen.ready, services: seen.services, tools: seen.tools };
  say($('key-problem'), problem);
  round = 0;
  draw();
  refresh();
}

function fragment() {
  const given = new URLSearchParams(location.hash.slice(1)).get('key');
  if (given !== null) history.replaceState(null, '', location.pathname + location.search);
  return given;
}

async function get(path, as) {
  const headers = { Accept: 'application/json', ...(as && { 'X-API-Key': as }) };
  const answer = await fetch(base + path, { headers, cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(10000) });
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(body.error?.message ?? 'Status ' + answer.status), { status: answer.status, details: body.error?.details });
  return body.data;
}

// Every round asks for health and for what is waited for; the rest, which
// counts against the caller's rate limit too, every fifth time.
async function refresh() {
  clearTimeout(timer);
  const mine = key, now = ++turn;
  if (document.hidden) return pulse('Paused while this tab is hidden');
  const all = round++ % 5 === 0, waiting = stage === 'tool' || stage === 'approve';
  const ask = { ready: get('readyz').catch(e => Array.isArray(e.details) ? { checks: e.details } : Promise.reject(e)) };
  if (all) Object.assign(ask, { services: get('services'), tools: get('tools?limit=20') });
  if (all && mine) ask.me = get('auth/me', mine);
  if (mine && (all || waiting)) ask.own = get('tools/my/tools?limit=20', mine);
  if (mine && (all || !waiting)) ask.jobs = get('jobs?limit=10', mine);
  const names = Object.keys(ask), before = well(seen.ready), answers = await Promise.allSettled(Object.values(ask));
  if (now !== turn) return; // another round, perhaps of somebody else, has begun
  const failures = answers.flatMap((a, i) => a.status === 'rejected' ? [{ name: names[i], error: a.reason }] : (seen[names[i]] = a.value, []));
  if (failures.length || well(seen.ready) !== before) round = 0; // look at everything next time
  if (mine && failures.some(f => f.error.status === 401)) return use('', 'This server does not know that key. Was it copied whole?');
  const gone = failures.some(f => f.name === 'ready' && !f.error.status), limited = failures.find(f => f.error.status === 429);
  delay = limited ? Math.min(delay * 2, 30000) : Math.max(delay / 2, 2000);
  if (gone) seen.ready = undefined;
  draw(gone ? 'UAOL cannot be reached. What you see is from before; trying again every 2 seconds. Is the server still running?'
    : limited ? limited.error.message + ' Asking less often.'
    : failures.map(f => f.error.status ? f.error.message : 'No usable answer from /' + f.name).filter((m, i, list) => list.indexOf(m) === i).join(' '), gone);
  pulse(failures.length ? 'Not up to date' : 'Up to date at ' + new Date().toLocaleTimeString());
  timer = setTimeout(refresh, delay);
}

const well = ready => ready?.checks.every(c => c.ok);
const pulse = text => say($('pulse'), text);

// list makes parent's children those of items, keeping the nodes (and with
// them focus and what is open) of items that were there before.
function list(parent, items, id, create, update) {
  const keep = new Map(items.map(i => [id(i), i]));
  for (const node of [...parent.children]) if (!keep.has(node.dataset.id)) node.remove();
  const nodes = new Map([...parent.children].map(n => [n.dataset.id, n]));
  items.forEach((i, at) => {
    const node = nodes.get(id(i)) ?? create(i);
    node.dataset.id = id(i);
    if (parent.children[at] !== node) parent.insertBefore(node, parent.children[at] ?? null);
    update(node, i);
  });
}

const tones = { Success: 'ok', Approved: 'ok', Ready: 'ok', OK: 'ok', Failed: 'bad', 'Not ready': 'bad', Unreachable: 'bad', Running: 'busy', Retrying: 'busy', Queued: 'busy', Pending: 'busy', Connecting: 'busy' };
function badge(node, text) { say(node, text); node.className = 'badge ' + (tones[text] ?? ''); }

function line() {
  const node = make('li'), name = make('span', 'name');
  name.append(make('span'), make('small'));
  node.append(name, make('span', 'badge'));
  return node;
}
function fill(node, name, note, state) {
  say(node.querySelector('.name span'), name);
  say(node.querySelector('small'), note);
  badge(node.querySelector('.badge'), state);
}

const credits = n => Number(n).toLocaleString('en') + (String(n) === '1' ? ' credit' : ' credits');
const ended = job => ['Success', 'Failed', 'Cancelled'].includes(job.status);
const span = ms => ms < 1000 ? Math.max(0, ms) + ' ms' : ms < 60e3 ? (ms / 1000).toFixed(1) + ' s' : ms < 36e5 ? Math.floor(ms / 60e3) + ' min' : (ms / 36e5).toFixed(1) + ' h';
function ago(time) {
  const s = Math.max(0, Math.floor((Date.now() - Date.parse(time)) / 1000));
  return s < 5 ? 'just now' : s < 60 ? s + ' s ago' : s < 3600 ? Math.floor(s / 60) + ' min ago' : s < 86400 ? Math.floor(s / 3600) + ' h ago' : new Date(time).toLocaleDateString();
}

function newJob() {
  const node = make('details'), summary = make('summary'), name = make('span', 'name'), inside = make('div', 'inside');
  name.append(make('span'), make('small'));
  name.lastChild.className = 'error';
  summary.append(make('span', 'badge'), name, make('span', 'quiet'));
  inside.append(make('p', 'quiet'), make('p'), make('ul'), make('pre'));
  inside.lastChild.tabIndex = 0; // it may scroll
  inside.lastChild.role = 'group';
  inside.lastChild.ariaLabel = 'Output';
  node.append(summary, inside);
  node.addEventListener('toggle', () => showSteps(node));
  return node;
}
function drawJob(node, job) {
  if (node.job && node.job.status !== job.status) announce('Job ' + job.status + ': ' + title(job));
  node.job = job;
  const [name, when] = [node.querySelector('.name'), node.querySelector('summary .quiet')];
  badge(node.querySelector('.badge'), job.status);
  say(name.firstChild, title(job));
  say(name.lastChild, job.error_message ?? '');
  say(when, ago(job.created_at) + (ended(job) && job.start_time && job.end_time ? ' · took ' + span(Date.parse(job.end_time) - Date.parse(job.start_time)) : ''));
  showSteps(node);
}
function title(job) {
  const actions = (job.workflow_definition?.steps ?? []).map(s => s.action);
  return actions.slice(0, 3).join(' → ') + (actions.length > 3 ? ' and ' + (actions.length - 3) + ' more' : '');
}
async function showSteps(node) {
  const job = node.job, [id, problem, steps, output] = node.querySelector('.inside').children;
  if (!key || !node.open || node.complete) return;
  say(id, 'Job ' + job.job_id);
  const text = job.final_output == null ? '' : JSON.stringify(job.final_output, null, 2);
  say(output, text.length > 4000 ? text.slice(0, 4000) + '\n… ask the API for the rest' : text);
  output.hidden = !text;
  try {
    const found = await get('jobs/' + job.job_id + '/steps', key);
    list(steps, found, s => s.id, line, (row, s) => fill(row, s.id + ' · ' + s.action, s.error ?? [s.status === 'Success' && credits(s.credits), s.attempt > 1 && 'attempt ' + s.attempt].filter(Boolean).join(' · '), s.status));
    node.complete = ended(job);
    problem.hidden = true;
  } catch (e) {
    problem.hidden = false;
    say(problem, 'Its steps cannot be shown just now: ' + e.message);
  }
}

const does = { gateway: 'One address for everything', auth: 'Accounts and keys', registry: 'Tools and their prices', proxy: 'Calls tools', jobs: 'Runs workflows', billing: 'Counts credits', storage: 'Keeps files' };

function draw(trouble = '', gone = false) {
  const { ready, services = [], tools, me, own, jobs } = seen;
  if ($('trouble').hidden !== !trouble || $('trouble').textContent !== trouble) { say($('trouble'), trouble); $('trouble').hidden = !trouble; }
  badge($('health'), gone ? 'Unreachable' : !ready ? 'Connecting' : well(ready) && services.every(s => s.ready) ? 'Ready' : 'Not ready');
  say($('version'), ready?.version ?? $('version').textContent);
  $('account').hidden = !key;
  say($('who'), me ? me.email + ' · ' + credits(me.credits) : 'Signing in…');

  list($('services'), services, s => s.name, line, (n, s) => fill(n, s.name, (does[s.name] ?? '') + (s.here ? '' : ' · in another process'), gone ? 'Unknown' : s.ready ? 'Ready' : 'Not ready'));
  list($('checks'), ready?.checks ?? [], c => c.name, line, (n, c) => fill(n, c.name, c.error ?? '', c.ok ? 'OK' : 'Failed'));
  $('checks-title').hidden = !ready;
  const known = [...own ?? [], ...(tools ?? []).filter(t => !own?.some(o => o.tool_id === t.tool_id))];
  list($('tools'), known.slice(0, 10), t => t.tool_id, line, (n, t) => fill(n, t.name, credits(t.credit_cost_per_call) + ' a call · ' + t.protocol + (own?.some(o => o.tool_id === t.tool_id) ? ' · yours' : ''), t.status));
  say($('no-tools'), !tools ? 'Loading…' : known.length > 10 ? 'Ten of them; GET /tools lists all.' : known.length ? '' : key ? 'None yet. Register the first one with the command above.' : 'None is approved yet. With an account you can register one.');
  list($('jobs'), key && jobs || [], j => j.job_id, newJob, drawJob);
  say($('no-jobs'), !key ? 'Jobs are private. Use an API key above to see yours.' : !jobs ? 'Loading…' : jobs.length ? '' : 'None yet. They appear here as soon as you start one.');
  for (const id of ['no-tools', 'no-jobs']) $(id).hidden = !$(id).textContent;
  next(me, own, tools, jobs);
}

const quote = text => /^[\w.\/:@%+=,-]+$/.test(text) ? text : "'" + text.replaceAll("'", "'\\''") + "'";
const curl = (path, as, body) => ['curl -s ' + (body === null ? '-X POST ' : '') + quote(base + path),
  as && '-H ' + quote('X-API-Key: ' + as), body && "-H 'Content-Type: application/json'", body && '-d ' + quote(body)].filter(Boolean).join(' \\\n  ');
const commands = {};
function command(id, write) { commands[id] = write; say($(id), write('YOUR_KEY')); }

// next shows the one thing to do now; what is awaited leads to the next.
function next(me, own, tools, jobs) {
  const callable = own?.find(t => t.status === 'Approved') ?? tools?.[0], pending = own?.find(t => t.status === 'Pending');
  const now = !key ? 'account' : !me || !own || !jobs ? 'wait' : jobs.length ? 'done' : callable ? 'job' : pending ? 'approve' : 'tool';
  command('do-register', () => curl('auth/register', '', JSON.stringify({ email: 'you@example.com' })));
  command('do-tool', as => curl('tools', as, JSON.stringify({ name: 'My tool', gateway_url: 'https://mcp.example.com/mcp', credit_cost_per_call: 1 })));
  command('do-admin', () => 'uaol admin create --email admin@example.com');
  if (now === 'approve') command('do-approve', () => curl('tools/' + pending.tool_id + '/approve', 'ADMIN_KEY', null));
  if (now === 'done') command('do-steps', as => curl('jobs/' + jobs[0].job_id + '/steps', as));
  if (now === 'job') offerJob(callable);
  say($('pending'), pending?.name ?? '');
  say($('callable'), callable?.name ?? '');
  if (now === stage) return;
  for (const part of document.querySelectorAll('[data-stage]')) {
    part.hidden = part.dataset.stage !== now;
    const heading = part.querySelector('h2');
    if (part.hidden) heading.removeAttribute('id'); else { heading.id = 'next-title'; if (stage !== 'wait' || now !== 'account') announce('Next: ' + heading.textContent); }
  }
  stage = now;
}

// offerJob asks the tool once what it can do, so that the command works as it is.
let offered = '';
async function offerJob(tool) {
  const version = tool.tool_id + ' ' + tool.version, mine = key;
  if (offered === version) return;
  offered = version;
  const write = (action, parameters) => command('do-job', as => curl('jobs', as,
    `{"workflow_definition": {"steps": [\n    {"id":"first","tool_id":"${tool.tool_id}","action":${JSON.stringify(action)},\n     "parameters":${JSON.stringify(parameters)}}\n  ]}}`));
  write('METHOD', {});
  say($('methods'), 'Asking the tool for its methods…');
  try {
    const [method] = await get('proxy/' + tool.tool_id + '/tools', mine);
    if (offered !== version) return;
    write(method?.name ?? 'METHOD', example(method?.inputSchema));
    say($('methods'), method ? method.name + (method.description ? ': ' + method.description : '') : 'The tool offers no methods.');
  } catch (e) {
    say($('methods'), 'Put one of its methods in place of METHOD; asking for them failed: ' + e.message);
  }
}
function example(schema, name = '') {
  const known = schema?.default ?? schema?.examples?.[0] ?? schema?.enum?.[0], type = [schema?.type].flat()[0];
  if (known !== undefined) return known;
  if (type === 'object' || !name) return Object.fromEntries((schema?.required ?? []).map(p => [p, example(schema.properties?.[p], p)]));
  return { integer: 1, number: 1, boolean: true, array: [], null: null }[type] ?? name;
}

document.addEventListener('click', async event => {
  const button = event.target.closest('[data-copy]');
  if (!button) return;
  try {
    await navigator.clipboard.writeText(commands[button.dataset.copy](key));
    say(button, 'Copied');
    announce('Copied');
  } catch { // no clipboard without https: leave it to the visitor
    getSelection().selectAllChildren($(button.dataset.copy));
    say(button, 'Selected');
    announce('Selected; copy it with your keyboard');
  }
  setTimeout(() => say(button, 'Copy'), 2000);
});
$('enter').addEventListener('submit', event => { event.preventDefault(); use($('key').value); });
$('forget').addEventListener('click', () => { use(''); $('key').focus(); });
document.addEventListener('visibilitychange', () => refresh());
addEventListener('hashchange', () => { const given = fragment(); if (given !== null) use(given); });
use(fragment() ?? store.getItem(item) ?? '');
