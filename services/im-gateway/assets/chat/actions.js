import { api, once, session } from './api.js';
import { answer } from './composer.js';
import { closeDialog, openDialog } from './dialog.js';
import { avatar, button, el, toast } from './dom.js';
import { startEdit } from './editor.js';
import { byActivity } from './list.js';
import { Log } from './log.js';
import { current, currentLog, isManager, isMe, isWithin, learnFrom, logs, mayPin, nameOf, remember, titleOf } from './state.js';
import { changeArrived, messageHidden } from './sync.js';
import { summary } from './text.js';

// What is done with a message.
const COMMON = ['👍', '❤️', '😂', '🎉', '😮', '😢'];
const TEXT = 1;

const at = (m, rest = '') => `/conversations/${encodeURIComponent(m.conversationId)}/messages/${m.id}${rest}`;

// What may be reacted with: [emoji], and whether anything else may.
export const emojis = () => current()?.settings?.reactions || COMMON;
export const isAnyEmoji = () => !Array.isArray(current()?.settings?.reactions);

// Names of what can be done, with what is written on their buttons.
export function actionsFor(m) {
  const own = isMe(m.senderId), c = current(), isHeld = c?.type === 2 && isManager(c);
  return [
    ['reply', 'Reply'],
    own && m.messageType === TEXT && !m.forwardedFrom && isWithin('edit', m) && ['edit', 'Edit'],
    m.messageType === TEXT && ['copy', 'Copy text'],
    ['forward', 'Forward…'],
    mayPin(c) && (m.pinned ? ['unpin', 'Unpin'] : ['pin', 'Pin']),
    m.reactions.length > 0 && ['who', 'Who reacted…'],
    (isHeld || own && isWithin('recall', m) && c?.settings?.allow_recall !== false) && ['recall', own ? 'Take back' : 'Remove for everybody'],
    ['hide', 'Delete for me'],
  ].filter(Boolean);
}
export function actOn(what, m) {
  const act = { reply: answer, edit: startEdit, copy, forward, who, recall, hide, pin: () => pin(m, true), unpin: () => pin(m, false) }[what];
  Promise.resolve(act(m)).catch(e => { learnFrom(e, m); toast(e); });
}
// An answer of the server is applied like a push: the push may be here already, or never come.
const apply = (m, answer, change) => changeArrived({ conversationId: m.conversationId, operatorId: session.user.id, ...answer, ...change });

export function toggle(m, emoji) {
  const removed = Log.reactionsOf(m).some(r => r.emoji === emoji && r.mine);
  return react(m, emoji, removed).catch(toast);
}
async function react(m, emoji, removed) {
  const answer = await once(removed ? 'DELETE' : 'PUT', at(m, '/reactions/' + encodeURIComponent(emoji)));
  // The server may spell an emoji in another way: what is mine is told by its answer.
  const mine = answer.reactions.find(r => r.mine && !Log.reactionsOf(m).some(known => known.mine && known.emoji === r.emoji));
  apply(m, answer, { kind: 'reaction', emoji: removed ? emoji : mine?.emoji ?? emoji, removed, message: { reactions: answer.reactions } });
}
async function recall(m) {
  const answer = await once('DELETE', at(m));
  apply(m, answer, { kind: 'recalled', message: { deleted: true, content: '' } });
}
// For this user alone. The push that tells the other devices comes here, too.
async function hide(m) {
  await api('PUT', `/conversations/${encodeURIComponent(m.conversationId)}/hidden/${m.id}`);
  messageHidden(m.conversationId, m.id);
}
export async function pin(m, pinned) {
  const answer = await once(pinned ? 'PUT' : 'DELETE', `/conversations/${encodeURIComponent(m.conversationId)}/pins/${m.id}`);
  apply(m, answer, { kind: pinned ? 'pinned' : 'unpinned', message: { pinned } });
}

async function copy(m) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(m.content);
  } else {
    // Pages without TLS have no clipboard of their own.
    const field = el('textarea', { class: 'away', value: m.content });
    document.body.append(field);
    field.select();
    document.execCommand('copy');
    field.remove();
  }
  toast('Copied');
}

const REACTIONS_SHOWN = 100;
async function who(m) {
  const { reactions, hasMore } = await api('GET', at(m, '/reactions?limit=' + REACTIONS_SHOWN));
  reactions.forEach(r => remember(r.user));
  openDialog('Who reacted', el('ul', { class: 'plain' },
    reactions.map(r => el('li', { class: 'row' }, el('span', { class: 'emoji' }, r.emoji), el('bdi', { class: 'title' }, isMe(r.userId) ? 'You' : nameOf(r.userId) || 'Somebody'))),
    hasMore && el('li', { class: 'row' }, '… and more')));
}

function forward(m) {
  const list = el('div', { class: 'picks' });
  const draw = wanted => list.replaceChildren(...byActivity()
    .filter(c => titleOf(c).toLowerCase().includes(wanted.toLowerCase()))
    .map(c => button(avatar(titleOf(c), c.id), { class: 'row', 'data-id': c.id, onclick: () => passOn(m, c) }, el('bdi', { class: 'title' }, titleOf(c)))));
  draw('');
  openDialog('Forward to', el('p', { class: 'preview', dir: 'auto' }, summary(m)),
    el('input', { type: 'search', autofocus: true, placeholder: 'Find a conversation…', 'aria-label': 'Find a conversation', oninput: e => draw(e.target.value.trim()) }), list);
}
async function passOn(m, c) {
  closeDialog();
  try {
    const { conversationId, id: messageId } = m;
    await once('POST', `/conversations/${encodeURIComponent(c.id)}/messages`, { forwardedFrom: { conversationId, messageId } });
    if (currentLog() !== logs.get(c.id)) toast(`Forwarded to ${titleOf(c)}.`);
  } catch (e) { toast(e); }
}
