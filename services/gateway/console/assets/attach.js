// Documents that are chosen, dropped or pasted are sent one after the other, each with how
// far it is, and then followed while they are read.
import { tell } from './console.js';

export function attachments(talk, composer, { place, trouble, address }) {
  const list = document.getElementById('attached'), form = document.getElementById('upload'), pick = document.getElementById('pick');
  let sending = Promise.resolve(), source;

  const send = files => {
    for (const file of files) {
      const item = waiting(file.name);
      sending = sending.then(() => upload(file, item));
    }
  };
  pick.addEventListener('change', () => {
    send([...pick.files]);
    pick.value = '';
  });
  composer.addEventListener('paste', event => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    send([...event.clipboardData.files]);
  });
  for (const [kind, over] of [['dragenter', true], ['dragover', true], ['dragleave', false], ['drop', false]]) {
    talk.addEventListener(kind, event => {
      if (!event.dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      talk.toggleAttribute('data-over', over);
      if (kind === 'drop') send([...event.dataTransfer.files]);
    });
  }
  list.addEventListener('click', event => {
    if (!event.target.closest('[data-take-off]')) return;
    event.target.closest('li').remove();
    address();
  });

  function waiting(name) {
    const item = document.createElement('li'), label = document.createElement('span'), bar = document.createElement('progress');
    item.className = 'chip file';
    label.textContent = name;
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute('aria-label', `${name} is being sent`);
    item.append(label, bar);
    list.append(item);
    return item;
  }

  async function upload(file, item) {
    const once = Math.random().toString(36).slice(2) + Date.now();
    for (let after = 1; after;) {
      after = await sendOnce(file, item, once);
      if (after) await new Promise(done => setTimeout(done, 1000 * after));
    }
  }

  /** sends one file; in how many seconds to try again where requests are limited, else 0 */
  function sendOnce(file, item, once) {
    return new Promise(done => {
      let again = 0;
      const request = new XMLHttpRequest(), body = new FormData(), bar = item.querySelector('progress');
      const failed = html => {
        item.remove();
        trouble(html);
      };
      body.append('files', file);
      request.open('POST', form.action.replace(/([?&]once=)[^&]*/, (_, name) => name + once));
      request.setRequestHeader('HX-Request', 'true');
      request.setRequestHeader('HX-Target', 'attached');
      request.upload.onprogress = event => { if (event.lengthComputable) bar.value = event.loaded / event.total; };
      request.onload = () => {
        const elsewhere = request.getResponseHeader('HX-Redirect');
        if (elsewhere) return location.assign(elsewhere);
        if (request.status === 429) again = Number(request.getResponseHeader('Retry-After')) || 0;
        if (again) return;
        if (request.status !== 200) return failed(request.responseText);
        item.outerHTML = request.responseText;
        tell(`${file.name} is attached.`);
        address();
        follow();
      };
      request.onerror = () => failed('<div class="note bad" role="alert"><p><strong>The connection was lost while the file was sent.</strong></p><p>Attach it once more.</p></div>');
      request.onloadend = () => done(again);
      request.send(body);
    });
  }

  // One stream for all files, for browsers open only a few.
  function follow() {
    source?.close();
    const ids = [...list.querySelectorAll('[data-reading] input')].map(input => input.value);
    if (!ids.length) return;
    source = new EventSource('/console/chat/files?' + new URLSearchParams(ids.map(id => ['file', id])));
    source.onmessage = event => place(event.data, null);
    source.addEventListener('over', () => source.close());
  }
  addEventListener('pagehide', () => source?.close());
  follow();
}
