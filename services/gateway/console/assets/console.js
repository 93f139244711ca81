// What all pages do. Nothing here knows what a page is about: pages say with attributes
// what they want of it.
import { drawPlots } from './plots.js';

const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const told = document.getElementById('told');
document.documentElement.dataset.scripts = 'on';

/** says something to who does not see it */
export const tell = text => { told.textContent = text; };

// <time>: how long ago, as long as that is easier to read than the date.
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' });
const units = [['second', 60], ['minute', 60], ['hour', 24], ['day', 7], ['week', 4.35], ['month', 12], ['year', Infinity]];
function ago(moment) {
  let past = (moment - Date.now()) / 1000;
  if (Math.abs(past) < 3) return 'now';
  for (const [unit, many] of units) {
    if (Math.abs(past) < many) return relative.format(Math.round(past), unit);
    past /= many;
  }
}
function times(within = document) {
  for (const time of all('time[datetime]:not([data-exact])', within)) {
    const text = ago(Date.parse(time.dateTime));
    if (time.textContent !== text) time.textContent = text;
  }
}
setInterval(times, 5000);

// [data-live]: the server sends the part again whenever it has changed. A hidden page does
// without, because browsers open only a few connections to a server.
function live(place) {
  const address = new URL(place.dataset.live, location);
  address.searchParams.set('whose', document.documentElement.dataset.whose);
  let source, over = false;
  const stop = () => { source?.close(); source = undefined; };
  const stale = why => {
    if (place.dataset.stale !== why) tell(`${why}. What is shown is from before.`);
    place.dataset.stale = why;
  };
  const again = after => {
    stop();
    setTimeout(start, after);
  };
  const start = () => {
    if (source || over || document.hidden) return;
    source = new EventSource(address);
    source.onmessage = event => {
      if (place.dataset.stale) tell('What is shown is up to date again.');
      delete place.dataset.stale;
      morph(place, event.data);
    };
    source.addEventListener('over', event => {
      over = true;
      stop();
      if (event.data) stale(event.data);
    });
    source.addEventListener('failed', event => {
      stale(event.data || 'The page cannot be brought up to date');
      again(15000);
    });
    source.onerror = () => {
      stale('The server cannot be reached; trying again');
      if (source?.readyState === EventSource.CLOSED) again(5000); // else the browser tries again by itself
    };
  };
  document.addEventListener('visibilitychange', () => document.hidden ? stop() : start());
  addEventListener('pagehide', stop);
  addEventListener('pageshow', start);
  start();
}

/** changes what is in a place into html; focus, what is open and what was typed stay */
export function morph(place, html) {
  globalThis.Idiomorph.morph(place, html, {
    morphStyle: 'innerHTML',
    callbacks: {
      beforeNodeMorphed: (old, now) => {
        if (old.nodeType !== Node.ELEMENT_NODE) return true;
        if (old.hasAttribute('data-keep')) return false;
        if (old.tagName === 'DETAILS' && now.tagName === 'DETAILS') now.open = old.open;
        if (old === document.activeElement && 'value' in old) return false;
        return true;
      },
      beforeAttributeUpdated: (name, node) => !(name === 'open' && node.tagName === 'DETAILS'),
    },
  });
  for (const now of all('[data-credits]', place)) for (const old of all('.me [data-credits]')) old.textContent = now.textContent;
  ready(place);
}

/** does for a new part of the page what is done for a whole one */
export function ready(within) {
  times(within);
  faults(within);
  drawPlots(within);
  document.dispatchEvent(new CustomEvent('console:ready', { detail: within }));
}

// What is wrong with a field is read out with it, and whoever sent the form gets there.
function faults(within = document) {
  for (const [i, fault] of all('.field .fault, fieldset > .fault', within).entries()) {
    const control = fault.closest('.field, fieldset').querySelector('input:not([type=hidden]), select, textarea');
    if (!control || !fault.textContent) continue;
    fault.id ||= `fault-${control.id || i}`;
    control.setAttribute('aria-invalid', 'true');
    control.setAttribute('aria-describedby', fault.id);
  }
}
function toFault(within = document.querySelector('main')) {
  const first = within.querySelector('[aria-invalid=true]') ?? within.querySelector('.note.bad[role=alert]');
  if (!first) return;
  for (let around = first.closest('details'); around; around = around.parentElement.closest('details')) around.open = true;
  if (!first.matches('input, select, textarea')) first.tabIndex = -1;
  first.focus();
}

document.addEventListener('click', async event => {
  const copy = event.target.closest('[data-copy]');
  if (copy) {
    const text = copy.parentElement.querySelector('pre, input, output').textContent || copy.parentElement.querySelector('input')?.value;
    try { await navigator.clipboard.writeText(text); } catch { return tell('It could not be copied: select it and copy it by hand.'); }
    copy.textContent = 'Copied';
    tell('Copied');
    setTimeout(() => { copy.textContent = 'Copy'; }, 1500);
  }
});

// [data-send]: a choice that is sent as soon as it is made. Who goes through choices by
// keyboard has made one when they press Enter or go on.
const send = field => { if (field.dataset.changed) field.form.requestSubmit(); };
document.addEventListener('keydown', event => {
  if (!event.target.matches?.('[data-send]')) return;
  event.target.dataset.keys = 'on';
  if (event.key === 'Enter') send(event.target);
});
document.addEventListener('change', event => {
  if (!event.target.matches('[data-send]')) return;
  event.target.dataset.changed = 'yes';
  if (!event.target.dataset.keys) send(event.target);
});
document.addEventListener('focusout', event => { if (event.target.matches('[data-send]')) send(event.target); });

// [data-sure]: what can't be undone is asked about first.
const sure = document.getElementById('sure');
document.addEventListener('submit', event => {
  const form = event.target, question = event.submitter?.dataset.sure ?? form.dataset.sure;
  if (!question || form.dataset.asked) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  document.getElementById('sure-text').textContent = question;
  sure.returnValue = 'no';
  sure.showModal();
  sure.onclose = () => {
    if (sure.returnValue !== 'yes') return;
    form.dataset.asked = 'yes';
    form.requestSubmit(event.submitter);
    delete form.dataset.asked;
  };
}, true);

// What was sent is not sent again while it is under way.
document.addEventListener('submit', event => {
  const button = event.submitter;
  if (!event.defaultPrevented && button && !event.target.hasAttribute('hx-post')) setTimeout(() => { button.disabled = true; });
});
addEventListener('pageshow', () => { for (const button of all('button:disabled')) button.disabled = false; });

// [data-enter]: a form that is only there for who has no scripts.
for (const form of all('form[data-enter]')) form.requestSubmit();

document.addEventListener('htmx:afterSwap', event => {
  ready(event.detail.target);
  if (event.detail.requestConfig?.verb === 'post' && !event.detail.requestConfig.triggeringEvent?.type.startsWith('input')) toFault(event.detail.target);
  const said = event.detail.target.querySelector('[role=status], [role=alert]');
  if (said) tell(said.textContent.trim());
});

ready(document);
toFault();
for (const place of all('[data-live]')) live(place);
