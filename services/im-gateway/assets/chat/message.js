import { session } from './api.js';
import { avatar, button, el, fullTimeOf, timeOf } from './dom.js';
import { Log } from './log.js';
import { again, discard } from './outbox.js';
import { current, isMe, nameOf, namesMe } from './state.js';
import { sentence, usersOf } from './system.js';
import { SYSTEM, pieces, summary } from './text.js';

// One message. What its buttons do is found by `data-do`, in messages.js.

// The names that a message may show as names, by name.
function named(m) {
  const names = new Map();
  for (const id of m.mentions || []) if (nameOf(id)) names.set(nameOf(id), id);
  if (m.mentionAll) names.set('all', 'all');
  return names;
}
function textOf(m) {
  const text = el('p', { class: 'text', dir: 'auto' });
  for (const piece of pieces(m.content, named(m))) {
    if (piece.link) text.append(el('a', { href: piece.link, target: '_blank', rel: 'noopener noreferrer nofollow' }, piece.text));
    else if (piece.id) text.append(el('bdi', { class: 'mention' + (piece.id === 'all' || isMe(piece.id) ? ' self' : '') }, piece.text));
    else text.append(piece.text);
  }
  return text;
}
export function quote(q, tag = 'button') {
  const author = isMe(q.senderId) ? 'You' : nameOf(q.senderId) || 'Message';
  const props = tag === 'button' ? { type: 'button', 'data-do': 'quoted', title: 'Go to the message' } : {};
  return el(tag, { class: 'quote' + (q.state === 'recalled' ? ' gone' : ''), ...props },
    el('b', {}, el('bdi', {}, author), q.state === 'edited' && el('small', {}, ' edited')),
    el('span', { dir: 'auto' }, summary(q)));
}
function chip({ emoji, count, mine }) {
  const others = !mine ? '' : count === 1 ? ', you' : `, you and ${count - 1} more`;
  return button(el('span', { class: 'emoji' }, emoji), { class: 'chip', 'data-do': 'react', 'data-emoji': emoji, 'aria-pressed': String(mine), 'aria-label': `${emoji} ${count}${others}` },
    el('span', {}, String(count)));
}
function marks(m) {
  const own = isMe(m.senderId), c = current(), isRead = own && c?.type === 1 && m.seqId <= c.peerLastReadSeqId;
  const receipt = !own || m.pending || m.deleted ? null : el('span', { class: 'receipt', title: isRead ? 'Read' : 'Sent' }, isRead ? '✓✓' : '✓');
  return el('span', { class: 'meta' },
    m.pinned && el('span', { title: 'Pinned' }, '📌'),
    m.editedAt && !m.deleted && el('span', { class: 'edited', title: 'Edited ' + fullTimeOf(m.editedAt) }, 'edited'),
    m.createdAt && el('time', { title: fullTimeOf(m.createdAt) }, timeOf(m.createdAt)),
    receipt);
}
function labelOf(m) {
  const said = [isMe(m.senderId) ? 'You' : m.sender?.username || nameOf(m.senderId) || 'Unknown', m.createdAt && timeOf(m.createdAt)];
  if (m.editedAt) said.push('edited');
  if (m.pinned) said.push('pinned');
  if (namesMe(m)) said.push('mentions you');
  return said.filter(Boolean).join(', ');
}
function bubble(m, editor) {
  if (m.deleted) return [el('p', { class: 'text' }, 'Message was taken back'), marks(m)];
  return [
    m.forwardedFrom && el('div', { class: 'forwarded' }, '↪ Forwarded from ', el('bdi', {}, m.forwardedFrom.senderName || nameOf(m.forwardedFrom.senderId) || 'somebody')),
    m.replyTo && quote(m.replyTo),
    editor || (m.messageType > 1 ? el('p', { class: 'text' }, el('i', {}, summary(m) + ' '), m.content) : textOf(m)),
    !editor && marks(m),
  ];
}
function reactionsOf(m) {
  const reactions = m.deleted ? [] : Log.reactionsOf(m);
  if (!reactions.length) return null;
  return el('div', { class: 'chips', role: 'group', 'aria-label': 'Reactions' }, reactions.map(chip),
    button('+', { class: 'chip', 'data-do': 'menu', 'aria-label': 'React', title: 'React' }));
}

// `isNext` follows a message of the same author; `editor` stands in the place of the text.
export function messageNode(m, { isNext, editor }) {
  if (m.messageType === SYSTEM) return el('div', { class: 'day system', dir: 'auto' }, sentence(m));
  const own = isMe(m.senderId), name = m.sender?.username || nameOf(m.senderId) || m.senderId;
  const classes = ['msg', own && 'me', m.deleted && 'gone', isNext && 'next', namesMe(m) && 'named', m.pinned && 'pinned', editor && 'editing'];
  const shown = current()?.type !== 1 && !own;
  return el('article', { class: classes.filter(Boolean).join(' '), tabIndex: -1, 'aria-label': labelOf(m), 'data-id': m.id, 'data-seq': m.seqId },
    shown && (isNext ? el('span', { class: 'avatar none' }) : avatar(name, m.senderId)),
    el('div', { class: 'body' },
      shown && !isNext && el('bdi', { class: 'who' }, name),
      el('div', { class: 'line' },
        el('div', { class: 'bubble' }, bubble(m, editor)),
        !m.deleted && !editor && button('⋯', { class: 'more', 'data-do': 'menu', 'aria-haspopup': 'menu', 'aria-label': 'Actions', title: 'Actions' })),
      reactionsOf(m)));
}

// A message that is on its way, or was refused.
export function pendingNode(sent) {
  const m = { ...sent.shown, pending: true };
  return el('article', { class: 'msg me pending' + (sent.refusal ? ' refused' : ''), 'aria-label': sent.refusal ? 'Not sent' : 'Sending' },
    el('div', { class: 'body' },
      el('div', { class: 'line' }, el('div', { class: 'bubble' }, bubble(m))),
      sent.refusal && el('div', { class: 'refusal', role: 'alert' }, `Not sent: ${sent.refusal} `,
        button('Try again', { onclick: () => again(sent.shown.id) }), ' ', button('Discard', { onclick: () => discard(sent.shown.id) }))));
}

// What a drawn message depends on beside the message itself.
export function surroundings(m) {
  const c = current(), names = [m.senderId, m.replyTo?.senderId, m.forwardedFrom?.senderId, ...(m.mentions || []), ...(m.messageType === SYSTEM ? usersOf(m) : [])].map(nameOf);
  return JSON.stringify([names, session?.user.id, c?.type, c?.type === 1 && isMe(m.senderId) && m.seqId <= c.peerLastReadSeqId]);
}
