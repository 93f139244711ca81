// A conversation: what is said is sent without leaving the page, and the answer is shown
// while it comes. The server makes all HTML; a part of it takes the place of what has its
// id, or comes after what was said. Without scripts the same forms do the same, more slowly.
import { ready, tell } from './console.js';
import { attachments } from './attach.js';
import { events } from './sse.js';

const talk = document.querySelector('[data-talk]');
const said = document.getElementById('said');
const composer = document.getElementById('composer');
const field = document.getElementById('message');
const stop = composer?.querySelector('[data-stop]');
let under; // what ends the answer that is under way

const conversation = () => composer?.elements.conversation.value ?? '';
const asPart = { 'HX-Request': 'true', 'HX-Target': 'said' };

const parsed = html => new DOMParser().parseFromString(html, 'text/html').body;

/** puts parts of the page where they belong, and gives them */
function place(html, after = said) {
  const parts = [...parsed(html).children];
  for (const part of parts) {
    if (part.matches('[data-credits]')) {
      for (const old of document.querySelectorAll('.me [data-credits]')) old.textContent = part.textContent;
      continue;
    }
    const old = document.getElementById(part.id);
    if (old) old.replaceWith(part);
    else after?.append(part);
    ready(part);
  }
  return parts;
}

// Who reads at the end sees what is new; who reads elsewhere is left there.
const atEnd = () => innerHeight + scrollY > document.documentElement.scrollHeight - 160;
function following(change) {
  const follow = atEnd();
  const result = change();
  if (follow) scrollTo(0, document.documentElement.scrollHeight);
  return result;
}

document.addEventListener('submit', event => {
  const form = event.target;
  if (!form.dataset.chat || !composer) return;
  event.preventDefault(); // before console.js sees it
  if (!under) say(form, new FormData(form, event.submitter));
}, true);

let unsure; // what was sent, as long as nobody knows whether it came
async function say(form, data) {
  const typed = form === composer ? field.value : '';
  if (form === composer) {
    data.delete('once');
    const now = String(new URLSearchParams(data));
    if (unsure !== undefined && unsure !== now) once();
    unsure = now;
    data.set('once', composer.elements.once.value);
  } else choices(data);
  const abort = under = new AbortController();
  const live = { article: undefined, text: undefined, kept: false, failed: false, over: false };
  busy(true);
  if (typed) write('');
  try {
    const answer = await fetch('/console/chat/stream', { method: 'POST', headers: { 'HX-Request': 'true', 'HX-Target': 'trouble' }, body: new URLSearchParams(data), signal: abort.signal });
    const elsewhere = answer.headers.get('HX-Redirect');
    if (elsewhere) return location.assign(elsewhere);
    if (answer.headers.get('Content-Type')?.startsWith('text/event-stream')) await events(answer.body, (kind, text) => take(live, kind, text));
    else live.over = live.failed = trouble(await answer.text());
    once();
  } catch (error) {
    live.failed = true;
    if (!abort.signal.aborted) trouble('<div class="note bad" role="alert"><p><strong>The connection was lost.</strong></p><p>Sending the same again does not say it twice.</p></div>');
    else once();
  }
  if (!live.kept && live.failed) {
    await settle(live.article, !live.over);
    if (typed && !(live.article && document.getElementById(live.article.id))) write(typed);
  }
  under = undefined;
  busy(false);
}

/** one event of an answer */
function take(live, kind, text) {
  following(() => {
    if (kind === 'begun') {
      document.getElementById('start')?.remove();
      live.article = place(text)[0];
      remember(live.article.dataset.conversation);
      scrollTo(0, document.documentElement.scrollHeight);
    } else if (kind === 'delta') {
      if (!live.text) {
        live.text = document.createElement('p');
        live.text.className = 'words';
        live.text.append('');
        live.article.querySelector('.parts').append(live.text);
      }
      live.text.firstChild.appendData(JSON.parse(text));
    } else if (kind === 'tool') {
      live.text = undefined;
      live.article.querySelector('.parts').insertAdjacentHTML('beforeend', text);
    } else if (kind === 'done' || kind === 'error') {
      live.failed = kind === 'error';
      live.over = true;
      const turns = place(text).filter(part => part.matches('.turn'));
      live.kept = turns.some(turn => !live.article || turn.id === live.article.id);
      if (live.failed) document.getElementById('trouble').scrollIntoView({ block: 'nearest' });
      else remember(turns.at(-1).dataset.conversation);
      tell(live.failed ? 'The answer failed.' : 'The answer is here.');
    }
  });
}

/** shows what there is of an answer that has failed; one that was stopped ends a little later */
async function settle(article, later) {
  const began = Date.now();
  for (;;) {
    const shown = await fetch(article || conversation() ? `/console/chat/${conversation()}` : '/console/chat', { headers: asPart }).catch(() => undefined);
    if (shown?.status === 404) {
      forget();
      article = undefined;
      continue;
    }
    const html = shown?.ok ? await shown.text() : '';
    if (html && !(later && parsed(html).querySelector('[data-pending]')) || Date.now() - began > 15000) {
      if (html) following(() => { said.innerHTML = html; ready(said); });
      return;
    }
    await new Promise(done => setTimeout(done, 300 + (Date.now() - began) / 5));
  }
}

function trouble(html) {
  const at = document.getElementById('trouble');
  at.innerHTML = html;
  at.scrollIntoView({ block: 'nearest' });
  return true;
}

function busy(is) {
  stop.hidden = !is;
  composer.querySelector('[data-say]').hidden = is;
  if (is) document.getElementById('trouble').replaceChildren();
  for (const button of said.querySelectorAll('form[data-chat] button')) button.disabled = is;
  if (!is && document.activeElement === document.body && matchMedia('(hover: hover)').matches) field.focus({ preventScroll: true });
}

// What a message may use stays, in the address too.
function address() {
  const query = new URLSearchParams(choices(new FormData()));
  history.replaceState(null, '', '/console/chat' + (conversation() ? '/' + conversation() : '') + (query.size ? '?' + query : ''));
}
function remember(id) {
  composer.elements.conversation.value = id;
  address();
}
function forget() {
  composer.elements.conversation.value = '';
  address();
}
function choices(to) {
  for (const name of ['tools', 'tool', 'provider', 'model', 'budget', 'file']) to.delete(name);
  const chosen = new FormData(composer);
  for (const name of ['tools', 'provider', 'model', 'budget', 'file']) for (const value of chosen.getAll(name)) if (value) to.append(name, value);
  if (chosen.get('tools') === 'some') for (const value of chosen.getAll('tool')) to.append('tool', value);
  return to;
}

// The key of a message: what is sent twice with it is said once.
function once() {
  unsure = undefined;
  composer.elements.once.value = [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, '0')).join('');
}

function write(text) {
  field.value = text;
  grow();
}
function grow() {
  field.style.height = 'auto';
  field.style.height = `${Math.min(field.scrollHeight + 2, innerHeight / 2)}px`;
}

if (composer) {
  stop.addEventListener('click', () => under?.abort());
  field.addEventListener('input', grow);
  field.addEventListener('keydown', event => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (field.value.trim()) composer.requestSubmit();
  });
  composer.addEventListener('change', event => {
    if (event.target.name === 'tool') composer.elements.tools.value = 'some';
    const tools = composer.elements.tools?.value, many = composer.querySelectorAll('[name=tool]:checked').length;
    composer.querySelector('[data-chosen]').textContent = tools === 'all' ? 'any tool' : tools === 'some' && many ? `${many} tool${many > 1 ? 's' : ''}` : 'no tools';
    if (event.target !== field) address();
  });
  attachments(talk, composer, { place, trouble, address });
  grow();
}

// What was opened over the page is put away by a click elsewhere, or by Escape.
document.addEventListener('click', event => {
  for (const open of document.querySelectorAll('.popup[open]')) if (!open.contains(event.target)) open.open = false;
});
document.addEventListener('keydown', event => {
  const open = event.key === 'Escape' && event.target.closest?.('.popup[open]');
  if (!open) return;
  open.open = false;
  open.querySelector('summary').focus();
});

// A passage beside a reference to it can be put away.
document.addEventListener('keydown', event => {
  if (event.key === 'Escape') document.activeElement?.closest('.cite')?.classList.add('away');
});
document.addEventListener('focusout', event => event.target.closest?.('.cite')?.classList.remove('away'));
addEventListener('load', () => { if (said.children.length > 1 && !location.hash) scrollTo(0, document.documentElement.scrollHeight); });
