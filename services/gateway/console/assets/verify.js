// The check of the ledger: how far it has come is shown while it goes on. The server makes
// all HTML. Without scripts the same form waits for the end.
import { ready, tell } from './console.js';
import { events } from './sse.js';

const form = document.querySelector('[data-verify]');
const place = document.getElementById('verified');
const [begin, stop] = form.querySelectorAll('button');
const lost = '<div class="note bad" role="alert"><p><strong>The connection was lost.</strong></p><p>The check has ended with it; begin again.</p></div>';
let under; // what ends the check that is under way

function show(html) {
  place.innerHTML = html;
  ready(place);
}

form.addEventListener('submit', async event => {
  event.preventDefault();
  if (under) return;
  under = new AbortController();
  begin.disabled = true;
  stop.hidden = false;
  let over = false;
  try {
    const answer = await fetch(form.action, {
      method: 'POST', body: new URLSearchParams(new FormData(form)), signal: under.signal,
      headers: { Accept: 'text/event-stream', 'HX-Request': 'true', 'HX-Target': 'verified' },
    });
    const elsewhere = answer.headers.get('HX-Redirect');
    if (elsewhere) return location.assign(elsewhere);
    if (answer.headers.get('Content-Type')?.startsWith('text/event-stream')) {
      await events(answer.body, (kind, html) => {
        over ||= kind === 'over';
        show(html);
      });
    } else {
      over = true;
      show(await answer.text());
    }
    if (!over) show(lost);
  } catch {
    show(under.signal.aborted ? '<p class="note">Stopped.</p>' : lost);
  } finally {
    under = undefined;
    begin.disabled = false;
    stop.hidden = true;
  }
  const said = place.querySelector('.note');
  if (said) tell(said.textContent.trim());
});

stop.addEventListener('click', () => under?.abort());
addEventListener('pagehide', () => under?.abort());
