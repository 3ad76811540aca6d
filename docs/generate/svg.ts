/**
 * Machines as SVG: nested boxes, laid out by ELK, written here.
 *
 * Theory of operation: ELK's layered algorithm places boxes, edges and labels from sizes that are computed from the
 * text alone (a fixed-pitch font has one width), so the same chart gives the same bytes anywhere. A final state that
 * many states lead to is drawn once beside each of them, as statecharts do; otherwise half of the picture is lines to it.
 * Colours are CSS variables with a dark set; each also stands as a plain attribute, for viewers that know no variables.
 */

import ElkConstructor, { type ElkEdgeSection, type ElkExtendedEdge, type ElkNode } from 'elkjs/lib/elk.bundled.js';
import {
  type ChartState,
  type ChartTransition,
  chartOf,
  edgesOf,
  type MachineDefinition,
} from '../../machines/index.ts';

type Style = 'event' | 'guard' | 'effect';
/** A line of the picture's text, in pieces of one colour. */
interface Line {
  readonly indent: number;
  readonly pieces: readonly { readonly text: string; readonly style: Style }[];
}

const FONT = 11;
const CHARACTER = FONT * 0.602; // what fixed-pitch fonts have in common
const LINE = 14;
const TITLE = 24;
const PAD = 8;
/** Characters that a label's line has at most, unless a single word is longer. */
const EDGE_COLUMNS = 40;
const BOX_COLUMNS = 66;
/** A final state with more sources than this is drawn beside each. */
const FINAL_SOURCES_MAX = 2;

const colours = {
  page: ['#ffffff', '#12161c'],
  box: ['#f6f8fb', '#1b222c'],
  inner: ['#ffffff', '#232c38'],
  line: ['#8794a6', '#66758a'],
  edge: ['#4a5a70', '#9fb0c6'],
  title: ['#14202e', '#eef3f9'],
  event: ['#0b4f9e', '#82b7ff'],
  guard: ['#8a4b00', '#f0b768'],
  effect: ['#4b5563', '#b4bfcd'],
} as const;
type Colour = keyof typeof colours;

/**
 * Draws a machine.
 *
 * @param about - what the machine is, in a sentence, for readers who don't see the picture
 */
export async function toSvg(definition: MachineDefinition, about: string): Promise<string> {
  const chart = chartOf(definition);
  const edges = edgesOf(chart);
  const elk = new ElkConstructor.default();

  const finals = new Set<string>();
  const sourcesOf = (path: string) => edges.filter(({ target }) => target === path);
  const boxes = new Map<string, { state: ChartState; lines: readonly Line[] }>();
  const nodeOf = (state: ChartState): ElkNode | null => {
    if (state.final && sourcesOf(state.path).length > FINAL_SOURCES_MAX) {
      finals.add(state.path);
      boxes.set(state.path, { state, lines: boxLines(state) });
      return null;
    }
    const lines = boxLines(state);
    boxes.set(state.path, { state, lines });
    if (state.children.length === 0) {
      const width = Math.max(textWidth(lines), titleWidth(state)) + 2 * PAD;
      return { id: state.path, width, height: TITLE + (lines.length === 0 ? 0 : lines.length * LINE + PAD) };
    }
    // The text of a state with others inside is placed like one of them, so that no edge runs through it.
    const text = { id: textId(state.path), width: textWidth(lines) + 2, height: lines.length * LINE + 2 };
    return {
      id: state.path,
      layoutOptions: { 'elk.padding': `[top=${TITLE + 12},left=14,bottom=14,right=14]` },
      children: [...(lines.length === 0 ? [] : [text]), dot(state.path), ...present(state.children.map(nodeOf))],
    };
  };
  const children = [dot(''), ...present(chart.states.map(nodeOf))];
  const elkEdges: ElkExtendedEdge[] = [
    { id: 'start', sources: [startId('')], targets: [chart.initial] },
    ...composites(chart.states).map(({ path, initial }) => ({
      id: `start ${path}`,
      sources: [startId(path)],
      targets: [initial!],
    })),
  ];
  const labels = new Map<string, readonly Line[]>();
  for (const { source, target, transitions } of edges) {
    const id = `${source} to ${target}`;
    const lines = transitions.flatMap((transition) => transitionLines(transition, EDGE_COLUMNS));
    labels.set(id, lines);
    let end = target;
    if (finals.has(target)) {
      const { state, lines: entry } = boxes.get(target)!;
      end = `${target} from ${source}`;
      boxes.set(end, { state, lines: entry });
      const width = Math.max(titleWidth(state), textWidth(entry)) + 2 * PAD;
      children.push({ id: end, width, height: TITLE + (entry.length === 0 ? 0 : entry.length * LINE + PAD) });
    }
    elkEdges.push({
      id,
      sources: [source],
      targets: [end],
      labels: [{ id: `${id} label`, text: id, width: textWidth(lines) + 4, height: lines.length * LINE + 2 }],
    });
  }

  const graph: ElkNode = {
    id: '',
    layoutOptions: {
      'elk.algorithm': 'layered',
      'elk.direction': 'DOWN',
      'elk.hierarchyHandling': 'INCLUDE_CHILDREN',
      'elk.edgeRouting': 'ORTHOGONAL',
      'elk.json.edgeCoords': 'ROOT',
      'elk.json.shapeCoords': 'ROOT',
      'elk.randomSeed': '1',
      'elk.padding': '[top=16,left=16,bottom=16,right=16]',
      'elk.spacing.nodeNode': '24',
      'elk.spacing.edgeNode': '14',
      'elk.spacing.edgeEdge': '12',
      'elk.spacing.edgeLabel': '4',
      'elk.layered.spacing.nodeNodeBetweenLayers': '28',
      'elk.layered.spacing.edgeNodeBetweenLayers': '14',
      'elk.layered.spacing.edgeEdgeBetweenLayers': '10',
      'elk.layered.nodePlacement.strategy': 'NETWORK_SIMPLEX',
      'elk.layered.crossingMinimization.strategy': 'LAYER_SWEEP',
      // Charts are written in the order of life: what points back in the text points up in the picture.
      'elk.layered.cycleBreaking.strategy': 'MODEL_ORDER',
    },
    children,
    edges: elkEdges,
  };
  const placed = await elk.layout(graph);

  const out: string[] = [];
  const width = Math.ceil(placed.width!);
  const height = Math.ceil(placed.height!);
  out.push(
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title desc">`,
    `<title id="title">${escaped(chart.name)}</title>`,
    `<desc id="desc">${escaped(about)}</desc>`,
    `<style>${styleSheet()}</style>`,
    `<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" ${paint('edge')}/></marker></defs>`,
    `<rect width="${width}" height="${height}" ${paint('page')}/>`,
  );

  // Boxes from the outermost inwards, then edges, then labels, so that no text is crossed out.
  const drawNode = (node: ElkNode, depth: number): void => {
    for (const child of node.children ?? []) {
      const [x, y, w, h] = [child.x!, child.y!, child.width!, child.height!].map(rounded) as [
        number,
        number,
        number,
        number,
      ];
      const box = boxes.get(child.id);
      if (child.id.endsWith(TEXT)) {
        out.push(...textLines(boxes.get(node.id)!.lines, x, y));
        continue;
      }
      if (box === undefined) {
        out.push(`<circle cx="${x + w / 2}" cy="${y + h / 2}" r="${w / 2}" ${paint('edge')}/>`);
        continue;
      }
      const { state, lines } = box;
      out.push(`<g><title>${escaped(state.path)}</title>`);
      out.push(
        `<rect x="${x}" y="${y}" width="${w}" height="${h}" rx="7" ${paint(depth % 2 === 0 ? 'box' : 'inner', 'line')}/>`,
      );
      if (state.final) {
        out.push(
          `<circle cx="${x + 14}" cy="${y + 12}" r="6" ${paint('inner', 'edge')}/>`,
          `<circle cx="${x + 14}" cy="${y + 12}" r="3" ${paint('edge')}/>`,
        );
      }
      out.push(
        `<text class="name" x="${state.final ? x + 26 : x + PAD}" y="${y + 16}" ${paint('title')}>${escaped(state.name)}</text>`,
      );
      if (lines.length > 0 && state.children.length === 0) {
        out.push(`<path d="M${x} ${y + TITLE}H${x + w}" ${paint('none', 'line')}/>`);
        out.push(...textLines(lines, x + PAD, y + TITLE));
      }
      out.push('</g>');
      drawNode(child, depth + 1);
    }
  };
  drawNode(placed, 0);
  for (const edge of placed.edges as ElkExtendedEdge[]) {
    for (const section of edge.sections ?? []) {
      out.push(`<path class="edge" d="${pathOf(section)}" ${paint('none', 'edge')} marker-end="url(#arrow)"/>`);
    }
  }
  for (const edge of placed.edges as ElkExtendedEdge[]) {
    for (const label of edge.labels ?? []) {
      const [x, y] = [rounded(label.x!), rounded(label.y!)];
      const lines = labels.get(edge.id)!;
      out.push(
        `<g><title>${escaped(edge.id)}</title>`,
        `<rect class="label" x="${x}" y="${y}" width="${rounded(label.width!)}" height="${rounded(label.height!)}" rx="3" ${paint('page')}/>`,
        ...textLines(lines, x + 2, y),
        '</g>',
      );
    }
  }
  out.push('</svg>');
  return `${out.join('\n')}\n`;
}

const TEXT = ' text';
const textId = (path: string): string => `${path}${TEXT}`;
const startId = (path: string): string => `${path} start`;
const dot = (path: string): ElkNode => ({ id: startId(path), width: 10, height: 10 });
const present = (nodes: readonly (ElkNode | null)[]): ElkNode[] => nodes.filter((node) => node !== null);
const composites = (states: readonly ChartState[]): ChartState[] =>
  states.flatMap((state) => (state.children.length === 0 ? [] : [state, ...composites(state.children)]));

function boxLines({ entry, exit, transitions }: ChartState): Line[] {
  const inside = (name: string, effects: readonly string[]): ChartTransition[] =>
    effects.length === 0 ? [] : [{ events: [name], guard: '', effects, target: null }];
  return [
    ...inside('entry', entry),
    ...inside('exit', exit),
    ...transitions.filter(({ target }) => target === null),
  ].flatMap((transition) => transitionLines(transition, BOX_COLUMNS));
}

/** Events, guard and effects: on one line where they fit, otherwise each beginning a line of its own. */
function transitionLines({ events, guard, effects }: ChartTransition, columns: number): Line[] {
  const parts: { style: Style; items: string[]; joint: string }[] = [
    { style: 'event', items: [...events], joint: ', ' },
    { style: 'guard', items: guard === '' ? [] : `[${guard}]`.split(/ (?=and |or )/), joint: ' ' },
    { style: 'effect', items: effects.map((text, index) => (index === 0 ? `/ ${text}` : text)), joint: ', ' },
  ];
  const shown = parts.filter(({ items }) => items.length > 0);
  const whole = shown.map(({ items, joint, style }) => ({ text: items.join(joint), style }));
  if (whole.reduce((sum, { text }) => sum + text.length + 1, -1) <= columns) return [{ indent: 0, pieces: whole }];
  return shown.flatMap(({ items, joint, style }, index) =>
    filled(items, joint, columns - 4).map((text, line) => ({
      indent: (index === 0 ? 0 : 2) + (line === 0 ? 0 : 2),
      pieces: [{ text, style }],
    })),
  );
}

/** Fills lines of `columns` characters; an item that is longer is broken at spaces. */
function filled(items: readonly string[], joint: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  const add = (word: string, gap: string): void => {
    if (line === '') line = word;
    else if (line.length + gap.length + word.length <= columns) line += gap + word;
    else {
      lines.push(line + gap.trimEnd());
      line = word;
    }
  };
  for (const item of items) {
    if (item.length <= columns) add(item, joint);
    else for (const [index, word] of item.split(' ').entries()) add(word, index === 0 ? joint : ' ');
  }
  return [...lines, line];
}

const textWidth = (lines: readonly Line[]): number =>
  lines.reduce((most, { indent, pieces }) => {
    const length = pieces.reduce((sum, { text }) => sum + text.length + 1, -1);
    return Math.max(most, (indent + length) * CHARACTER);
  }, 0);
const titleWidth = ({ name, final }: ChartState): number => Math.max(40, name.length * 9.4 + (final ? 18 : 0));

function textLines(lines: readonly Line[], x: number, y: number): string[] {
  return lines.map(({ indent, pieces }, index) => {
    const spans = pieces.map(({ text, style }) => `<tspan class="${style}" ${paint(style)}>${escaped(text)}</tspan>`);
    const left = rounded(x + indent * CHARACTER);
    return `<text x="${left}" y="${rounded(y + (index + 1) * LINE - 3)}">${spans.join(' ')}</text>`;
  });
}

function pathOf({ startPoint, bendPoints, endPoint }: ElkEdgeSection): string {
  const points = [startPoint, ...(bendPoints ?? []), endPoint];
  return points.map(({ x, y }, index) => `${index === 0 ? 'M' : 'L'}${rounded(x)} ${rounded(y)}`).join('');
}

const rounded = (value: number): number => Math.round(value * 10) / 10;

/** Colours as attributes, and as a style with the sheet's variables. */
const paint = (fill: Colour | 'none', stroke?: Colour): string => {
  const [plain, variable] = fill === 'none' ? ['none', 'none'] : [colours[fill][0], `var(--${fill})`];
  return stroke === undefined
    ? `fill="${plain}" style="fill:${variable}"`
    : `fill="${plain}" stroke="${colours[stroke][0]}" style="fill:${variable};stroke:var(--${stroke})"`;
};

function styleSheet(): string {
  const variables = (index: 0 | 1) =>
    Object.entries(colours)
      .map(([name, pair]) => `--${name}:${pair[index]}`)
      .join(';');
  return [
    `:root{${variables(0)}}`,
    `@media(prefers-color-scheme:dark){:root{${variables(1)}}}`,
    `text{font:${FONT}px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}`,
    `.name{font:bold 13px system-ui,Helvetica,Arial,sans-serif}`,
    `.event{font-weight:bold}`,
    `.edge{stroke-width:1.2}`,
    `.label{opacity:.85}`,
  ].join('');
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
