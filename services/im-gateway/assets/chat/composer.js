import { $, button, el, toast } from './dom.js';
import { fit, startEdit } from './editor.js';
import { quoteOf } from './log.js';
import { quote } from './message.js';
import { post } from './outbox.js';
import { current, currentLog, isMe, mayNameAll, people, view } from './state.js';
import { transmit } from './socket.js';
import { membersOf } from './sync.js';
import { mentionsIn } from './text.js';

// Writing. What was begun in a conversation waits there until one comes back.
const SUGGESTIONS = 8;
const MENTIONS_MAX = 50;
const begun = new Map(); // conversation -> { text, reply }
let reply = null, typedAt = 0, chosen = 0, suggested = [];

const field = () => $('text');
let showSent = () => {};
export const onSend = show => { showSent = show; };

export function openComposer(before) {
  if (before) begun.set(before, { text: field().value, reply });
  const { text = '', reply: answered = null } = begun.get(view.current) || {};
  field().value = text;
  answer(answered);
  suggest([]);
  fit(field());
}
export function answer(m) {
  reply = m;
  $('replying').hidden = !m;
  $('replying').replaceChildren(...(m ? [quote(quoteOf(m), 'div'), button('✕', { class: 'plain', 'aria-label': 'Cancel the reply', onclick: () => answer(null) })] : []));
  if (m) field().focus();
}
// The message that is being answered may change meanwhile.
export function drawReplying() {
  if (!reply) return;
  const now = currentLog()?.find(reply.id);
  if (now?.deleted || now?.hidden) answer(null);
  else if (now && now !== reply) { reply = now; $('replying').firstChild.replaceWith(quote(quoteOf(now), 'div')); }
}

// Who may be named: members of a group, whoever was seen in the world chat, nobody where there are two.
function candidates(c) {
  if (c?.type === 3) return Promise.resolve([...people].map(([id, name]) => ({ id, name })));
  return c?.type === 2 ? membersOf(c.id) : Promise.resolve([]);
}
// Whom a text names, as what is sent with it.
async function mentionsOf(content) {
  const c = current();
  if (!content.includes('@')) return {};
  const names = new Map((await candidates(c)).map(m => [m.name, m.id]));
  if (mayNameAll(c)) names.set('all', 'all');
  const ids = new Set(mentionsIn(content, names).map(found => found.id)), refers = {};
  if (ids.delete('all')) refers.mentionAll = true;
  if (ids.size) refers.mentions = [...ids].slice(0, MENTIONS_MAX);
  return refers;
}
async function send() {
  const content = field().value.trim(), to = view.current, answered = reply;
  if (!content) return;
  field().value = '';
  begun.delete(to);
  answer(null);
  suggest([]);
  fit(field());
  const refers = await mentionsOf(content);
  if (answered) refers.replyTo = quoteOf(answered);
  post(to, content, refers);
  if (to === view.current) showSent();
}

// The word behind an @ that the cursor stands in.
function begunName() {
  if (field().selectionStart !== field().selectionEnd) return null;
  return /(?:^|[^\p{L}\p{N}_])@([^\s@]*)$/u.exec(field().value.slice(0, field().selectionStart))?.[1] ?? null;
}
async function lookForNames() {
  const typed = begunName(), c = current();
  if (typed === null) return suggest([]);
  const members = await candidates(c);
  if (begunName() !== typed || view.current !== c.id) return;
  const low = typed.toLowerCase(), fits = members.filter(m => m.name && !isMe(m.id) && m.name.toLowerCase().includes(low));
  fits.sort((a, b) => b.name.toLowerCase().startsWith(low) - a.name.toLowerCase().startsWith(low) || a.name.localeCompare(b.name));
  const all = mayNameAll(c) && 'all'.startsWith(low) ? [{ id: 'all', name: 'all', about: 'Everybody in this group' }] : [];
  suggest([...all, ...fits].slice(0, SUGGESTIONS));
}
function suggest(found) {
  suggested = found;
  chosen = 0;
  $('names').hidden = !found.length;
  $('names').replaceChildren(...found.map((m, i) => el('li', { id: 'name-' + i, role: 'option', onmousedown: e => { e.preventDefault(); choose(i); } },
    el('bdi', {}, '@' + m.name), m.about && el('small', {}, m.about))));
  mark();
}
function mark() {
  [...$('names').children].forEach((option, i) => option.setAttribute('aria-selected', String(i === chosen)));
  if (suggested.length) field().setAttribute('aria-activedescendant', 'name-' + chosen);
  else field().removeAttribute('aria-activedescendant');
  $('names').children[chosen]?.scrollIntoView({ block: 'nearest' });
}
function choose(i) {
  const end = field().selectionStart, from = field().value.lastIndexOf('@', end - 1);
  field().setRangeText('@' + suggested[i].name + ' ', from, end, 'end');
  suggest([]);
  field().focus();
}

function composerKey(e) {
  if (e.isComposing || e.keyCode === 229) return;
  const move = { ArrowDown: 1, ArrowUp: -1 }[e.key];
  if (suggested.length) {
    if (move) chosen = (chosen + move + suggested.length) % suggested.length;
    else if (e.key === 'Enter' || e.key === 'Tab') choose(chosen);
    else if (e.key === 'Escape') suggest([]);
    else return;
    e.preventDefault();
    mark();
  } else if (e.key === 'Enter' && !e.shiftKey) {
    e.preventDefault();
    send().catch(toast);
  } else if (e.key === 'Escape' && reply) {
    e.preventDefault();
    answer(null);
  } else if (e.key === 'ArrowUp' && !field().value) {
    const m = currentLog()?.messages.findLast(found => isMe(found.senderId) && !found.deleted && !found.hidden && found.messageType === 1 && !found.forwardedFrom);
    if (m) { e.preventDefault(); startEdit(m); }
  }
}
function written() {
  fit(field());
  lookForNames().catch(() => {});
  if (view.current !== 'world' && field().value && Date.now() - typedAt > 3000) {
    if (transmit({ type: 'typing', data: { conversationId: view.current } })) typedAt = Date.now();
  }
}
export function listenToComposer() {
  $('send').addEventListener('submit', e => { e.preventDefault(); send().catch(toast); field().focus(); });
  field().addEventListener('keydown', composerKey);
  field().addEventListener('input', written);
  field().addEventListener('click', () => lookForNames().catch(() => {}));
  field().addEventListener('blur', () => setTimeout(() => { if (document.activeElement !== field()) suggest([]); }, 100));
}
