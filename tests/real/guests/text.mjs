// The world `text` in JavaScript, for ComponentizeJS.
import log from 'log';
export const shapes = {
  find(text, needle) {
    log(`finding ${needle}`);
    const points = [];
    text.split('\n').forEach((line, n) => { for (let at = line.indexOf(needle); at >= 0; at = line.indexOf(needle, at + 1)) points.push({ line: n, column: at }); });
    return points.length === 0 ? { tag: 'none' } : points.length === 1 ? { tag: 'one', val: points[0] } : { tag: 'many', val: points };
  },
  shout(text, mood, styles) {
    if (!text) throw 'nothing to shout';
    return mood === 'loud' ? text.toUpperCase() : text;
  },
  words(text) {
    const counts = new Map();
    for (const word of text.split(/\s+/).filter(Boolean)) counts.set(word, (counts.get(word) ?? 0) + 1);
    return [...counts].sort();
  },
};
