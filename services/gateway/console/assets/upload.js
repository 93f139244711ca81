// Files that are chosen or dropped are sent one after the other, each with how far it is.
// Without scripts the form sends them all at once.
import { tell } from './console.js';

for (const form of document.querySelectorAll('form[data-upload]')) offer(form);

function offer(form) {
  const input = form.querySelector('input[type=file]');
  const list = form.parentElement.querySelector('.sending');
  let busy = false;

  const over = on => event => {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    form.toggleAttribute('data-over', on);
  };
  form.addEventListener('dragover', over(true));
  form.addEventListener('dragleave', over(false));
  form.addEventListener('drop', event => {
    over(false)(event);
    start([...event.dataTransfer.files]);
  });
  input.addEventListener('change', () => start([...input.files]));
  form.addEventListener('submit', event => {
    event.preventDefault();
    start([...input.files]);
  });

  // What is chosen while others are sent comes after them.
  const waiting = [];
  async function start(files) {
    if (!files.length) return;
    if (!busy) list.replaceChildren();
    list.hidden = false;
    waiting.push(...files.map(file => ({ file, row: row(file) })));
    input.value = '';
    if (busy) return;
    busy = true;
    let failed = 0, sent = 0;
    while (waiting.length) {
      const { file, row } = waiting.shift();
      sent++;
      const last = !waiting.length && !failed;
      if (!await sendPatiently(form.action, file, last ? sent : 0, row)) failed++;
    }
    busy = false;
    if (!failed) location.assign(location.pathname);
    else tell(`${failed} of ${sent} files could not be stored.`);
  }

  function row(file) {
    const item = document.createElement('li'), name = document.createElement('span'), bar = document.createElement('progress'), state = document.createElement('small');
    name.textContent = file.name;
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute('aria-label', file.name);
    state.textContent = 'waits';
    item.append(name, bar, state);
    list.append(item);
    return { item, bar, state };
  }
}

/** sends one file, later where requests are limited, and reports whether it is stored */
async function sendPatiently(action, file, of, { item, bar, state }) {
  const once = crypto.randomUUID?.() ?? String(Math.random());
  for (;;) {
    const { problem, after } = await send(action, once, file, of, { bar, state });
    if (!after) {
      state.textContent = problem ?? 'stored';
      bar.value = problem ? 0 : 1;
      item.toggleAttribute('data-failed', !!problem);
      return !problem;
    }
    state.textContent = 'waits: requests are limited by the minute';
    await pause(after);
  }
}

const pause = seconds => new Promise(done => setTimeout(done, 1000 * seconds));

function send(action, once, file, of, { bar, state }) {
  return new Promise(resolve => {
    const to = new URL(action), request = new XMLHttpRequest(), body = new FormData();
    to.searchParams.set('once', once);
    if (of) to.searchParams.set('of', of);
    body.append('file', file);
    request.open('POST', to);
    request.setRequestHeader('Accept', 'application/json');
    request.responseType = 'json';
    request.upload.onprogress = event => {
      bar.value = event.loaded / event.total;
      state.textContent = event.loaded < event.total ? `${Math.floor(100 * bar.value)} %` : 'is being stored';
    };
    request.onload = () => resolve(request.status === 200 ? {} : {
      problem: request.response?.problem ?? 'was not stored',
      after: request.status === 429 ? Number(request.getResponseHeader('Retry-After')) || 0 : 0,
    });
    request.onerror = () => resolve({ problem: 'The server could not be reached.' });
    request.send(body);
  });
}
