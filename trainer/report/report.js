// Draws the charts again at the page's width, zoomed or logarithmic, and shows what the pointer is
// on. Without it the page shows the same charts as they came. Axes follow axis.cc.
(() => {
  'use strict';
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById('report-data').textContent);
  const frame = {left: 64, right: 16, top: 12, bottom: 34};
  const all = {first: data.steps[0], last: data.steps[1]};
  const shown = {...all};
  const narrow = () => window.innerWidth < 560;

  const escapeText = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  const at = (value) => (Math.floor(value * 10 + 0.5) / 10).toFixed(1);
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  // Numbers: see prefix_of() and tick_label() of axis.cc.
  const prefixOf = (size, unit) => {
    if (unit === 1) {
      const names = [[1e12, ' TB'], [1e9, ' GB'], [1e6, ' MB'], [1e3, ' kB']];
      return names.find(([scale]) => size >= scale) || [1, ' B'];
    }
    if (unit === 2) return [0.01, ' %'];
    if (unit === 3) return size > 0 && size < 1e-3 ? [1e-6, ' µs'] : size > 0 && size < 1 ? [1e-3, ' ms'] : [1, ' s'];
    if (size >= 1e15 || (size > 0 && size < 1e-3)) {
      const exponent = Math.floor(Math.log10(size) + 1e-12);
      return [10 ** exponent, `e${exponent}`];
    }
    return [[1e9, 'G', 1e9], [1e6, 'M', 1e6], [1e3, 'k', 1e4]].find(([, , least]) => size >= least) || [1, ''];
  };
  const tickLabel = (value, step, largest, unit) => {
    if (value === 0) return '0';
    const [scale, suffix] = prefixOf(largest, unit);
    return (value / scale).toFixed(clamp(Math.ceil(-Math.log10(step / scale) - 1e-9), 0, 12)) + suffix;
  };
  const valueText = (value, unit) => {
    if (value === 0) return '0';
    const [scale, suffix] = prefixOf(Math.abs(value), unit);
    const before = Math.floor(Math.log10(Math.abs(value / scale))) + 1;
    const text = (value / scale).toFixed(clamp(5 - before, 0, 12));
    return (text.includes('.') ? text.replace(/\.?0+$/, '') : text) + suffix;
  };
  const niceStep = (least) => {
    const power = 10 ** Math.floor(Math.log10(least));
    return power * ([1, 2, 5].find((factor) => factor * power >= least * (1 - 1e-9)) || 10);
  };
  const linearAxis = (low, high, wanted, unit, whole) => {
    const size = Math.max(Math.abs(low), Math.abs(high));
    if (high - low <= size * 1e-9) {
      const margin = size > 0 ? size * 0.05 : 1;
      low -= margin;
      high += margin;
    }
    const step = niceStep((high - low) / wanted);
    let first = Math.ceil(low / step - 1e-9);
    let last = Math.floor(high / step + 1e-9);
    if (whole) {
      first = Math.floor(low / step + 1e-9);
      last = Math.ceil(high / step - 1e-9);
      low = first * step;
      high = last * step;
    }
    const largest = Math.max(Math.abs(first), Math.abs(last)) * step;
    const ticks = [];
    for (let i = first; i <= last; ++i) ticks.push([i * step, tickLabel(i * step, step, largest, unit)]);
    return {low, high, ticks, place: (value) => (value - low) / (high - low)};
  };
  const logAxis = (low, high, wanted, unit) => {
    if (high <= low * (1 + 1e-9)) {
      low /= 1.1;
      high *= 1.1;
    }
    const place = (value) => Math.log(value / low) / Math.log(high / low);
    const decades = Math.log10(high / low);
    if (decades < 1) return {low, high, ticks: linearAxis(low, high, wanted, unit, false).ticks, place};
    const stride = Math.max(1, Math.ceil(decades / wanted));
    const ticks = [];
    for (let exponent = Math.floor(Math.log10(low)); exponent <= Math.ceil(Math.log10(high)); ++exponent) {
      for (const factor of [1, 2, 5]) {
        const value = factor * 10 ** exponent;
        const wantedHere = factor === 1 ? exponent % stride === 0 : 3 * decades <= wanted + 2;
        if (!wantedHere || value < low * (1 - 1e-9) || value > high * (1 + 1e-9)) continue;
        ticks.push([value, tickLabel(value, value, value, unit)]);
      }
    }
    return {low, high, ticks, place};
  };

  // A view of a chart: where things lie at its width now.
  const viewOf = (chart) => {
    const width = Math.max(200, chart.plot.clientWidth);
    const left = chart.lanes ? (narrow() ? 120 : 168) : narrow() ? 52 : frame.left;
    const view = {width, height: chart.height, left, inner: width - left - frame.right,
                  tall: chart.height - frame.top - frame.bottom};
    view.x = (share) => left + share * view.inner;
    view.y = (share) => frame.top + (1 - share) * view.tall;
    const wanted = Math.min(Math.floor(view.inner / 90), shown.last - shown.first);
    view.steps = linearAxis(shown.first, shown.last, Math.max(1, Math.floor(wanted)), 0, false);
    return view;
  };
  const stepAxis = (view) => {
    const bottom = view.y(0);
    let svg = `<g class="axis"><path class="base" d="M${at(view.left)} ${at(bottom)}H${at(view.x(1))}"/>`;
    for (const [value, label] of view.steps.ticks) {
      if (value !== Math.floor(value)) continue;
      const x = at(view.x(view.steps.place(value)));
      svg += `<path d="M${x} ${at(bottom)}v4"/><text x="${x}" y="${at(bottom + 17)}" class="middle">${label}</text>`;
    }
    return svg + `<text x="${at(view.x(1))}" y="${at(bottom + 31)}" class="end name">step</text></g>`;
  };
  const placesOn = (view, values) => {
    const places = [];
    let before = -1e9;
    for (const value of values) {
      const x = view.x(view.steps.place(value));
      if (x < view.left || x > view.x(1) || x - before < 1) continue;
      places.push(x);
      before = x;
    }
    return places;
  };
  // The points of a curve in the steps that are shown, and a neighbour on either side.
  const part = (curve) => {
    const first = curve.x.findIndex((x) => x >= shown.first);
    if (first < 0) return [];
    let last = first;
    while (last < curve.x.length && curve.x[last] <= shown.last) ++last;
    const points = [];
    for (let i = Math.max(0, first - 1); i < Math.min(curve.x.length, last + 1); ++i) {
      points.push([curve.x[i], curve.y[i]]);
    }
    return points;
  };
  const valueAxis = (chart, view, curves) => {
    let low = Infinity;
    let high = -Infinity;
    for (const curve of curves) {
      for (const [x, y] of curve.part) {
        if (y === null || x < shown.first || x > shown.last || (chart.log && y <= 0)) continue;
        low = Math.min(low, y);
        high = Math.max(high, y);
      }
    }
    if (low > high) [low, high] = chart.log ? [1, 10] : [0, 1];
    const wanted = Math.max(3, Math.floor(view.tall / 45));
    if (chart.log) return logAxis(low, high, wanted, chart.unit);
    if (chart.zero) [low, high] = [Math.min(0, low), Math.max(0, high)];
    if (chart.zero && low === high) high = 1;
    return linearAxis(low, high, wanted, chart.unit, true);
  };
  const curveSvg = (chart, view, curve) => {
    const inside = (y) => y !== null && !(chart.log && y <= 0);
    let path = '';
    let dots = '';
    let run = 0;
    for (const [x, y] of [...curve.part, [0, null]]) {
      if (!inside(y)) {
        if (run === 1) path += 'h0';
        run = 0;
        continue;
      }
      const place = [at(view.x(view.steps.place(x))), at(view.y(view.values.place(y)))];
      path += (run++ === 0 ? 'M' : 'L') + place.join(' ');
      if (curve.look === 'dots') dots += `<circle cx="${place[0]}" cy="${place[1]}" r="3"/>`;
    }
    const nulls = placesOn(view, curve.nulls).map((x) =>
      `<path class="null" d="M${at(x - 3)} ${at(frame.top)}l6 6m0-6l-6 6"><title>${escapeText(curve.label)}: not finite</title></path>`);
    return `<g class="curve ${curve.look} c${curve.colour}"><path d="${path}"/>${dots}${nulls.join('')}</g>`;
  };
  const chartSvg = (chart, view) => {
    const curves = chart.curves.filter((curve) => !curve.hidden);
    for (const curve of curves) curve.part = part(curve);
    view.values = valueAxis(chart, view, curves);
    let svg = '<g class="grid">';
    for (const [value, label] of view.values.ticks) {
      const y = view.y(view.values.place(value));
      svg += `<path d="M${at(view.left)} ${at(y)}H${at(view.x(1))}"/><text x="${at(view.left - 8)}" y="${at(y + 4)}" class="end">${label}</text>`;
    }
    svg += `</g>${stepAxis(view)}<g class="marks">`;
    const drawn = new Set();  // One of a kind at a place.
    for (const mark of data.marks) {
      for (const x of placesOn(view, [mark.x])) {
        const place = mark.kind + Math.round(x);
        if (drawn.has(place)) continue;
        drawn.add(place);
        svg += `<path class="mark ${mark.kind}" d="M${at(x)} ${at(frame.top)}V${at(view.y(0))}"><title>${escapeText(mark.text)}</title></path>`;
      }
    }
    const clip = `clip-${chart.id}`;
    svg += `</g><clipPath id="${clip}"><rect x="${view.left - 4}" y="0" width="${view.inner + 8}" height="${view.height}"/></clipPath>`;
    return svg + `<g clip-path="url(#${clip})">${curves.map((curve) => curveSvg(chart, view, curve)).join('')}</g>`;
  };
  const stripSvg = (chart, view) => {
    let svg = stepAxis(view);
    chart.lanes.forEach((lane, i) => {
      const y = frame.top + chart.lane_height * (i + 0.5);
      svg += `<g class="lane ${lane.kind}"><path d="M${at(view.left)} ${at(y)}H${at(view.x(1))}"/><text x="${at(view.left - 8)}" y="${at(y + 4)}" class="end">${escapeText(lane.title)}</text>`;
      for (const x of placesOn(view, lane.x)) svg += `<circle cx="${at(x)}" cy="${at(y)}" r="4"/>`;
      svg += '</g>';
    });
    return svg;
  };
  const draw = (chart) => {
    const view = viewOf(chart);
    chart.view = view;
    chart.svg.setAttribute('viewBox', `0 0 ${view.width} ${view.height}`);
    const words = [...chart.svg.children].filter((child) => ['title', 'desc'].includes(child.localName));
    chart.svg.innerHTML = (chart.lanes ? stripSvg : chartSvg)(chart, view) + '<g class="pointer"></g>';
    chart.svg.prepend(...words);
  };
  const drawAll = () => charts.forEach(draw);

  // What is under the pointer.
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.setAttribute('role', 'status');
  tip.hidden = true;
  document.body.append(tip);
  const nearest = (curve, step) => {
    let low = 0;
    let high = curve.x.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (curve.x[middle] < step) low = middle + 1; else high = middle;
    }
    if (low > 0 && step - curve.x[low - 1] < curve.x[low] - step) --low;
    return low;
  };
  const point = (chart, step) => {
    const curves = chart.curves.filter((curve) => !curve.hidden);
    if (curves.length === 0) return;
    const view = chart.view;
    const closest = curves.map((curve) => curve.x[nearest(curve, step)])
      .reduce((best, x) => (Math.abs(x - step) < Math.abs(best - step) ? x : best));
    const x = view.x(view.steps.place(closest));
    let marks = `<path d="M${at(x)} ${frame.top}V${at(view.y(0))}"/>`;
    let rows = '';
    for (const curve of curves) {
      const i = nearest(curve, closest);
      const reach = (shown.last - shown.first) / 50;
      if (Math.abs(curve.x[i] - closest) > reach) continue;
      const y = curve.y[i];
      rows += `<div><i class="${curve.look} c${curve.colour}"></i>${escapeText(curve.label)}<b>${y === null ? 'not finite' : valueText(y, chart.unit)}</b></div>`;
      if (y === null || (chart.log && y <= 0)) continue;
      marks += `<circle class="c${curve.colour}" cx="${at(view.x(view.steps.place(curve.x[i])))}" cy="${at(view.y(view.values.place(y)))}" r="4"/>`;
    }
    chart.svg.querySelector('.pointer').innerHTML = marks;
    tip.innerHTML = `<strong>step ${Math.round(closest).toLocaleString('en')}</strong>${rows}`;
    tip.hidden = false;
    const box = chart.svg.getBoundingClientRect();
    const side = x + tip.offsetWidth + 24 > view.width ? -tip.offsetWidth - 12 : 12;
    tip.style.left = `${window.scrollX + box.left + x + side}px`;
    tip.style.top = `${window.scrollY + box.top + frame.top + 8}px`;
    chart.pointed = closest;
  };
  const leave = (chart) => {
    tip.hidden = true;
    chart.svg.querySelector('.pointer').innerHTML = '';
  };

  const zoom = (first, last) => {
    [shown.first, shown.last] = [Math.max(all.first, first), Math.min(all.last, last)];
    document.getElementById('zoom-out').disabled = shown.first === all.first && shown.last === all.last;
    drawAll();
  };
  const stepAt = (chart, event) => {
    const share = (event.clientX - chart.svg.getBoundingClientRect().left - chart.view.left) / chart.view.inner;
    return shown.first + clamp(share, 0, 1) * (shown.last - shown.first);
  };
  const listen = (chart) => {
    let from = null;
    chart.svg.addEventListener('pointerdown', (event) => {
      if (event.button !== 0 || event.pointerType === 'touch') return;
      from = stepAt(chart, event);
      chart.svg.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    chart.svg.addEventListener('pointermove', (event) => {
      const step = stepAt(chart, event);
      if (from === null) {
        if (chart.curves) point(chart, step);
        return;
      }
      tip.hidden = true;
      const [x, to] = [from, step].sort((a, b) => a - b).map((value) => chart.view.x(chart.view.steps.place(value)));
      chart.svg.querySelector('.pointer').innerHTML =
        `<rect x="${at(x)}" y="${frame.top}" width="${at(to - x)}" height="${chart.view.tall}"/>`;
    });
    chart.svg.addEventListener('pointerup', (event) => {
      if (from === null) return;
      const [first, last] = [from, stepAt(chart, event)].sort((a, b) => a - b);
      from = null;
      leave(chart);
      if ((last - first) * chart.view.inner > 6 * (shown.last - shown.first)) zoom(Math.floor(first), Math.ceil(last));
    });
    chart.svg.addEventListener('pointerleave', () => from === null && leave(chart));
    chart.svg.addEventListener('dblclick', () => zoom(all.first, all.last));
    if (!chart.curves) return;
    chart.svg.setAttribute('tabindex', '0');
    chart.svg.addEventListener('blur', () => leave(chart));
    chart.svg.addEventListener('keydown', (event) => {
      const move = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      const curve = chart.curves.find((one) => !one.hidden);
      if (event.key === 'Escape') zoom(all.first, all.last);
      if (!move || !curve) return;
      event.preventDefault();
      const i = chart.pointed === undefined ? 0 : nearest(curve, chart.pointed) + move;
      point(chart, curve.x[clamp(i, 0, curve.x.length - 1)]);
    });
    const log = chart.figure.querySelector('.log');
    log.addEventListener('click', () => {
      chart.log = !chart.log;
      log.setAttribute('aria-pressed', String(chart.log));
      draw(chart);
    });
    for (const key of chart.figure.querySelectorAll('.key')) {
      key.addEventListener('click', () => {
        const curve = chart.curves[Number(key.dataset.curve)];
        curve.hidden = !curve.hidden;
        key.setAttribute('aria-pressed', String(!curve.hidden));
        draw(chart);
      });
    }
  };

  const charts = [...data.charts, ...(data.strip ? [data.strip] : [])].map((chart) => {
    const figure = document.getElementById(`chart-${chart.id}`);
    const plot = figure.querySelector('.plot');
    const svg = plot.querySelector('svg');
    return Object.assign(chart, {figure, plot, svg, height: svg.viewBox.baseVal.height, log: false});
  });
  root.classList.add('scripted');
  charts.forEach(listen);
  document.getElementById('zoom-out').addEventListener('click', () => zoom(all.first, all.last));
  drawAll();
  let width = window.innerWidth;
  window.addEventListener('resize', () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    drawAll();
  });
  window.addEventListener('beforeprint', drawAll);
  window.addEventListener('afterprint', drawAll);

  // The layout: with whom the rank under the pointer shares.
  const ranks = [...document.querySelectorAll('.rank')];
  const share = (rank) => {
    for (const other of ranks) {
      const same = (axis) => rank && rank.dataset[axis] === other.dataset[axis];
      other.classList.toggle('self', other === rank);
      other.classList.toggle('by-tensor', other !== rank && same('p') && same('d'));
      other.classList.toggle('by-pipeline', other !== rank && same('d') && same('t'));
      other.classList.toggle('by-data', other !== rank && same('p') && same('t'));
    }
  };
  for (const rank of ranks) {
    for (const event of ['pointerenter', 'focus']) rank.addEventListener(event, () => share(rank));
    for (const event of ['pointerleave', 'blur']) rank.addEventListener(event, () => share(null));
  }

  // The config: lines whose path or text holds the words, and the headings of their sections.
  const search = document.getElementById('config-search');
  if (search) {
    const lines = [...document.querySelectorAll('#config-text > span')];
    search.addEventListener('input', () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const holds = (line) => words.every((word) => `${line.dataset.path} ${line.textContent}`.toLowerCase().includes(word));
      const found = lines.filter((line) => !line.classList.contains('section') && holds(line));
      const sections = new Set(found.map((line) => line.dataset.section));
      for (const line of lines) {
        const heading = line.classList.contains('section') && sections.has(line.dataset.section);
        line.hidden = words.length > 0 && !heading && !found.includes(line);
      }
      document.getElementById('config-found').textContent =
        words.length === 0 ? '' : `${found.length} ${found.length === 1 ? 'line' : 'lines'}`;
    });
  }
})();
