// Graphs of what stands in tables: <div class="graph" data-graph="table's id"> draws the
// rows that have data-step, with edges from what their data-needs name.
const names = 'http://www.w3.org/2000/svg';

function make(name, attributes, ...children) {
  const node = document.createElementNS(names, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const cut = (text, most) => text.length > most ? text.slice(0, most - 1) + '…' : text;

function read(table) {
  return [...table.querySelectorAll('[data-step]')].map(row => ({
    id: row.dataset.step, needs: (row.dataset.needs ?? '').split(' ').filter(Boolean),
    tone: row.dataset.tone ?? '', does: row.dataset.does ?? '', status: row.dataset.status ?? '',
  }));
}

function lay(steps) {
  const graph = new globalThis.dagre.graphlib.Graph();
  graph.setGraph({ rankdir: steps.length > 2 && innerWidth > 700 ? 'LR' : 'TB', nodesep: 22, ranksep: 46, marginx: 8, marginy: 8 });
  graph.setDefaultEdgeLabel(() => ({}));
  const known = new Set(steps.map(s => s.id));
  for (const s of steps) graph.setNode(s.id, { width: Math.max(110, Math.min(190, 24 + 7.6 * Math.max(s.id.length, s.does.length))), height: 46 });
  for (const s of steps) for (const need of s.needs) if (known.has(need)) graph.setEdge(need, s.id);
  globalThis.dagre.layout(graph);
  return graph;
}

const line = points => points.map((p, i) => (i ? 'L' : 'M') + p.x.toFixed(1) + ' ' + p.y.toFixed(1)).join(' ');

function draw(place, steps) {
  const graph = lay(steps), { width, height } = graph.graph();
  const svg = make('svg', { width, height, viewBox: `0 0 ${width} ${height}` });
  svg.append(make('defs', {}, make('marker', { id: 'tip', viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: 'auto' }, make('path', { d: 'M0 0L8 4L0 8z', class: 'tip' }))));
  for (const edge of graph.edges()) svg.append(make('path', { class: 'edge', d: line(graph.edge(edge).points), 'marker-end': 'url(#tip)' }));
  for (const s of steps) {
    const at = graph.node(s.id), left = at.x - at.width / 2, top = at.y - at.height / 2;
    svg.append(make('g', { class: 'node ' + s.tone, 'data-node': s.id },
      make('title', {}, s.id + ': ' + s.does + (s.status ? ', ' + s.status : '')),
      make('rect', { x: left, y: top, width: at.width, height: at.height, rx: 9 }),
      make('text', { x: at.x, y: at.y - 4, 'text-anchor': 'middle' }, cut(s.id, 22)),
      make('text', { x: at.x, y: at.y + 13, 'text-anchor': 'middle', class: 'small' }, cut(s.does, 24))));
  }
  place.replaceChildren(svg);
}

/** draws the graphs in a part of the page; of one whose steps are the same only their looks change */
function graphs(within) {
  if (!globalThis.dagre) return;
  for (const place of within.querySelectorAll('[data-graph]')) {
    const table = document.getElementById(place.dataset.graph);
    if (!table) { place.replaceChildren(); continue; }
    const steps = read(table), shape = JSON.stringify(steps.map(s => [s.id, s.needs, s.does]));
    if (place.dataset.shape !== shape) {
      draw(place, steps);
      place.dataset.shape = shape;
      continue;
    }
    for (const s of steps) place.querySelector(`[data-node="${CSS.escape(s.id)}"]`)?.setAttribute('class', 'node ' + s.tone);
  }
}

document.addEventListener('console:ready', event => graphs(event.detail));
graphs(document);
