// What stands in a text: names, links, and how it is quoted.
const EXCERPT = 100;
export const SYSTEM = 4; // type of the messages that the server writes
const KINDS_OF_MESSAGE = { 2: 'Picture', 3: 'File', 4: 'Change of the group', 5: 'Voice message', 6: 'Video' };
const WORD = /[\p{L}\p{N}_]/u;

// The first characters of a text, as the server quotes it: nothing of other types and of what is gone.
export const excerpt = m => (m.deleted || m.hidden || m.messageType > 1 ? '' : [...m.content].slice(0, EXCERPT).join(''));

// One line that stands for a message in lists, quotes and announcements.
export function summary(m) {
  if (m.deleted || m.state === 'recalled') return 'Message was taken back';
  if (m.hidden) return 'You deleted this message';
  if (KINDS_OF_MESSAGE[m.messageType]) return KINDS_OF_MESSAGE[m.messageType];
  return (m.content ?? m.excerpt ?? '').replace(/\s+/g, ' ') || 'Message';
}

// Where names of `people` (name -> id) stand behind an @: [{ at, end, name, id }]. The longest name counts, and none
// in the middle of a word, so that addresses of mail name nobody.
export function mentionsIn(content, people) {
  const found = [];
  for (let at = content.indexOf('@'); at >= 0; at = content.indexOf('@', at + 1)) {
    if (at > 0 && WORD.test(content[at - 1])) continue;
    let best = null;
    for (const [name, id] of people) {
      if (!name) continue;
      const end = at + 1 + name.length, next = String.fromCodePoint(content.codePointAt(end) ?? 32);
      if (content.startsWith(name, at + 1) && !WORD.test(next) && (!best || name.length > best.name.length)) best = { at, end, name, id };
    }
    if (best) found.push(best);
  }
  return found;
}

// A text in pieces: { text }, with `link` for addresses and `id` for users who are named.
export function pieces(content, people) {
  const marks = mentionsIn(content, people);
  for (const match of content.matchAll(/\bhttps?:\/\/[^\s<>"']+/g)) {
    const link = match[0].replace(/[.,;:!?)\]}]+$/, ''), at = match.index, end = at + link.length;
    if (URL.canParse?.(link) && !marks.some(m => m.at < end && at < m.end)) marks.push({ at, end, link });
  }
  const out = [];
  let from = 0;
  for (const mark of marks.sort((a, b) => a.at - b.at)) {
    if (mark.at > from) out.push({ text: content.slice(from, mark.at) });
    out.push({ text: content.slice(mark.at, mark.end), link: mark.link, id: mark.id });
    from = mark.end;
  }
  if (from < content.length || !out.length) out.push({ text: content.slice(from) });
  return out;
}
