// Plots of what stands in tables: <div class="plot" data-of="table's id" data-columns="a b">
// draws the columns whose <th> has that data-column, over the column data-column="at".

const drawn = new Map();

/** a colour as canvases know it: they do not know light-dark() */
function plain(name) {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

const tones = { good: '--good', bad: '--bad', wait: '--wait', busy: '--busy', calm: '--muted', accent: '--accent' };

function read(table, names) {
  const heads = [...table.tHead.rows[0].cells];
  const column = name => heads.findIndex(head => head.dataset.column === name);
  const rows = [...table.tBodies[0].rows].map(row => [...row.cells]);
  const number = cell => cell?.dataset.value === undefined || cell.dataset.value === '' ? null : Number(cell.dataset.value);
  const at = column('at');
  return {
    heads: names.map(name => heads[column(name)]),
    data: [rows.map(cells => number(cells[at])), ...names.map(name => rows.map(cells => number(cells[column(name)])))].map(list => list.reverse()),
  };
}

const short = n => n == null ? '' : Math.abs(n) >= 1e6 ? +(n / 1e6).toFixed(1) + 'M' : Math.abs(n) >= 1e3 ? +(n / 1e3).toFixed(1) + 'k' : String(+n.toFixed(2));

function options(place, heads, width) {
  const line = plain('--line'), text = plain('--muted'), unit = place.dataset.unit ?? '';
  const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: '11px system-ui' };
  return {
    width, height: 190, padding: [8, 20, 0, 0], cursor: { points: { size: 6 } },
    scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
    axes: [axis, { ...axis, size: unit ? 66 : 52, values: (_, ticks) => ticks.map(tick => short(tick) + unit) }],
    series: [{ value: (_, at) => at == null ? '' : new Date(at * 1000).toLocaleString() }, ...heads.map(head => {
      const stroke = plain(tones[head.dataset.tone] ?? '--accent');
      return { label: head.textContent.trim(), stroke, width: 1.6, fill: stroke.replace('rgb(', 'rgba(').replace(')', ', .09)'), points: { show: true, size: 4, filter: alone }, value: (_, n) => n == null ? '–' : n.toLocaleString('en') + unit };
    })],
  };
}

/** the values that have none beside them, to which no line leads: they are shown as points */
function alone(plot, series) {
  const values = plot.data[series], found = [];
  for (let i = 0; i < values.length; i++) {
    if (values[i] != null && values[i - 1] == null && values[i + 1] == null) found.push(i);
  }
  return found;
}

/** draws the plots in a part of the page, or what has changed of them */
export function drawPlots(within) {
  const places = within.querySelectorAll ? within.querySelectorAll('.plot[data-of]') : [];
  for (const place of places) {
    const table = document.getElementById(place.dataset.of);
    if (!table || !globalThis.uPlot) continue;
    const { heads, data } = read(table, place.dataset.columns.split(' '));
    const known = drawn.get(place);
    if (known) { known.setData(data); continue; }
    place.replaceChildren();
    const plot = new globalThis.uPlot(options(place, heads, place.clientWidth || 400), data, place);
    drawn.set(place, plot);
    new ResizeObserver(() => { if (place.clientWidth) plot.setSize({ width: place.clientWidth, height: 190 }); }).observe(place);
  }
  for (const [place, plot] of drawn) if (!place.isConnected) { plot.destroy(); drawn.delete(place); }
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  for (const [place, plot] of drawn) { plot.destroy(); drawn.delete(place); }
  drawPlots(document);
});

