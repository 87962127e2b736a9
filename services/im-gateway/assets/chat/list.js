import { $, arrange, avatar, el, timeOf, dayOf } from './dom.js';
import { conversations, current, isMe, nameOf, titleOf, view } from './state.js';
import { sentence } from './system.js';
import { SYSTEM, summary } from './text.js';

// The list of conversations, newest activity first.
const rows = new Map(); // id -> { node, said }

export const address = id => '#' + encodeURIComponent(id);
export const byActivity = () => [...conversations.values()].sort((a, b) => (b.updatedAt || 0) - (a.updatedAt || 0));

function preview(c) {
  const m = c.lastMessage;
  if (!m) return '';
  if (m.messageType === SYSTEM && !m.hidden) return sentence(m);
  const who = isMe(m.senderId) ? 'You: ' : c.type !== 1 && nameOf(m.senderId) ? nameOf(m.senderId) + ': ' : '';
  return who + summary(m);
}
function when(seconds) {
  const day = dayOf(seconds);
  return day === 'Today' ? timeOf(seconds) : day;
}
function row(c) {
  const unread = c.unreadCount || 0, named = c.unreadMentions || 0, title = titleOf(c);
  return el('a', { class: 'row', href: address(c.id), 'data-id': c.id, 'aria-current': c.id === view.current ? 'page' : null },
    avatar(title, c.id),
    el('span', { class: 'two' },
      el('span', {}, el('bdi', { class: 'title' }, title), c.lastMessage?.createdAt && el('time', {}, when(c.lastMessage.createdAt))),
      el('span', {},
        el('bdi', { class: 'preview' }, preview(c)),
        named > 0 && el('span', { class: 'badge at', role: 'img', 'aria-label': `You were mentioned ${named} times`, title: 'You were mentioned' }, '@'),
        unread > 0 && el('span', { class: 'badge', role: 'img', 'aria-label': unread + ' unread' }, unread > 999 ? '999+' : String(unread)))));
}

export function drawList() {
  const shown = byActivity();
  arrange($('list'), shown.map(c => {
    const said = JSON.stringify([titleOf(c), preview(c), c.lastMessage?.createdAt, c.unreadCount, c.unreadMentions, c.id === view.current]);
    const known = rows.get(c.id);
    if (known?.said === said) return known.node;
    const node = row(c), hadFocus = known && document.activeElement === known.node;
    rows.set(c.id, { node, said });
    if (hadFocus) setTimeout(() => node.focus());
    return node;
  }));
  for (const id of rows.keys()) if (!conversations.has(id)) rows.delete(id);
  const unread = shown.reduce((sum, c) => sum + (c.unreadCount || 0), 0), c = current();
  document.title = (unread ? `(${unread}) ` : '') + (c ? titleOf(c) + ' – GoChat' : 'GoChat');
}
