import { $, announce, arrange, button, dayOf, el, toast } from './dom.js';
import { actOn, toggle } from './actions.js';
import { editorOf } from './editor.js';
import { openMenu } from './menu.js';
import { messageNode, pendingNode, surroundings } from './message.js';
import { waiting } from './outbox.js';
import { changed, conversations, currentLog, drawNow, isMe, nameOf } from './state.js';
import { load, loadNewer, loadOlder } from './sync.js';
import { sentence } from './system.js';
import { SYSTEM, summary } from './text.js';

// The messages of the open conversation.
const GROUPED_S = 300; // messages of one author within this time are drawn together
const NEAR = 60; // pixels that count as being at an end
const drawn = new Map(); // message id -> { m, about, node }
let shown = { id: null, last: 0 }, active = null;

const logBox = () => $('log');
const isAtBottom = () => logBox().scrollHeight - logBox().scrollTop - logBox().clientHeight < NEAR;
const articleOf = target => target.closest?.('article[data-id]');
const messageOf = article => article && currentLog()?.find(article.dataset.id);

function nodeOf(m, isNext) {
  const editor = editorOf(m), about = surroundings(m) + isNext + !!editor, known = drawn.get(m.id);
  if (known?.m === m && known.about === about) return known.node;
  const node = messageNode(m, { isNext, editor });
  for (const inner of node.querySelectorAll('button, a')) inner.tabIndex = -1;
  drawn.set(m.id, { m, about, node });
  return node;
}
function nodesOf(log) {
  const nodes = [], c = conversations.get(log.id);
  if (!log.loaded) return [el('div', { class: 'day' }, 'Loading…')];
  if (!log.atStart) nodes.push(between('older', () => el('div', { class: 'day' }, 'Loading…')));
  else if (log.messages.every(m => m.hidden)) nodes.push(between('none', () => el('div', { class: 'day' }, 'No messages yet')));
  let before = null;
  for (const m of log.messages) {
    if (m.hidden) continue;
    const day = m.createdAt ? dayOf(m.createdAt) : before?.day, isNewDay = day !== before?.day;
    if (isNewDay) nodes.push(between('day ' + day, () => el('div', { class: 'day', role: 'separator' }, day)));
    const isFirstUnread = log.readTo !== undefined && m.seqId > log.readTo && (before?.m.seqId ?? 0) <= log.readTo && !isMe(m.senderId);
    if (isFirstUnread) nodes.push(between('unread', () => el('div', { class: 'day unread', role: 'separator' }, 'New messages')));
    const isNext = !isNewDay && !isFirstUnread && before.m.messageType !== SYSTEM && before.m.senderId === m.senderId && m.createdAt - before.m.createdAt < GROUPED_S;
    nodes.push(nodeOf(m, isNext));
    before = { m, day };
  }
  if (log.atEnd) for (const sent of waiting()) nodes.push(between('sent ' + sent.shown.id + (sent.refusal || ''), () => pendingNode(sent)));
  return c ? nodes : [];
}
const kept = new Map(); // what stands between messages
function between(key, make) {
  if (!kept.has(key)) kept.set(key, make());
  return kept.get(key);
}

export function drawMessages() {
  const log = currentLog();
  if (!log) return;
  const isOther = shown.id !== log.id;
  if (isOther) { drawn.clear(); kept.clear(); active = null; logBox().replaceChildren(); }
  const wasAtBottom = isOther || isAtBottom();
  const focused = articleOf(document.activeElement || logBox()), focusedIn = document.activeElement;
  const anchor = [...logBox().children].find(node => node.dataset.id && node.offsetTop + node.offsetHeight > logBox().scrollTop), top = anchor?.getBoundingClientRect().top;
  arrange(logBox(), nodesOf(log));
  for (const id of drawn.keys()) if (!log.find(id) || log.find(id).hidden) drawn.delete(id);
  for (const [key, node] of kept) if (!node.isConnected) kept.delete(key);
  if (focused && !focused.isConnected) refocus(focused.dataset.id, focusedIn);
  const isKept = drawn.get(active)?.node.isConnected && (!wasAtBottom || logBox().contains(document.activeElement));
  activate(isKept ? active : log.messages.findLast(m => !m.hidden && m.messageType !== SYSTEM)?.id);
  if (isOther && log.loaded || wasAtBottom && log.atEnd) scrollToEnd(isOther && log);
  else if (anchor) {
    const now = anchor.isConnected ? anchor : drawn.get(anchor.dataset.id)?.node;
    if (now) logBox().scrollTop += now.getBoundingClientRect().top - top;
  }
  if (log.loaded) tellNew(log, isOther);
  // What is hidden takes no room: without anything to scroll, nobody would ask for more.
  if (log.loaded && !log.atStart && logBox().scrollHeight <= logBox().clientHeight) loadOlder(log).catch(() => {});
  drawEnds();
}
function scrollToEnd(opened) {
  const unread = opened && logBox().querySelector('.unread');
  if (unread) logBox().scrollTop = unread.offsetTop - 40;
  else logBox().scrollTop = logBox().scrollHeight;
}
// Tells what came in words, for people who don't see it.
function tellNew(log, isOther) {
  if (!isOther && log.atEnd) {
    const fresh = log.messages.filter(m => m.seqId > shown.last && !m.hidden && !isMe(m.senderId)).slice(-3);
    if (fresh.length) announce(fresh.map(m => (m.messageType === SYSTEM ? sentence(m) : `${m.sender?.username || nameOf(m.senderId) || ''}: ${summary(m)}`)).join('. '));
  }
  shown = { id: log.id, last: Math.max(isOther ? 0 : shown.last, log.last) };
}
function drawEnds() {
  const log = currentLog();
  if (log) $('newest').hidden = log.atEnd && isAtBottom();
}
function refocus(id, before) {
  const node = drawn.get(id)?.node;
  const same = node && before.dataset.do && node.querySelector(`[data-do="${before.dataset.do}"]${before.dataset.emoji ? `[data-emoji="${CSS.escape(before.dataset.emoji)}"]` : ''}`);
  if (before.tagName === 'TEXTAREA' && before.isConnected) before.focus();
  else (same || node)?.focus({ preventScroll: true });
}

// One message at a time is in the order of the Tab key; arrows go from one to the next.
function activate(id) {
  if (active !== id) for (const node of [drawn.get(active)?.node]) if (node) setTabs(node, -1);
  active = id;
  const node = drawn.get(id)?.node;
  if (node) setTabs(node, 0);
}
function setTabs(node, value) {
  node.tabIndex = value;
  for (const inner of node.querySelectorAll('button, a')) inner.tabIndex = value;
}
function step(article, key) {
  const all = [...logBox().querySelectorAll('article[data-id]')], at = all.indexOf(article);
  const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: all.length - 1 }[key];
  if (to === undefined) return false;
  all[to]?.focus();
  return true;
}

export async function jumpTo(seq) {
  const log = currentLog();
  if (!log) return;
  if (seq > log.clearedUpTo && !log.at(seq)) await load(log, seq);
  drawNow();
  const m = log.at(seq);
  if (!m || m.hidden) return toast('That message is not there any more.');
  const { node } = drawn.get(m.id);
  node.scrollIntoView({ block: 'center' });
  node.focus({ preventScroll: true });
  node.classList.remove('found');
  requestAnimationFrame(() => node.classList.add('found'));
}
export async function toNewest() {
  const log = currentLog();
  if (log && !log.atEnd) await load(log).catch(toast);
  drawNow();
  logBox().scrollTop = logBox().scrollHeight;
}

let scrollsAgain = 0; // what could not be read is asked for again
function scrolled() {
  const log = currentLog();
  drawEnds();
  if (!log?.loaded || shown.id !== log.id) return;
  const isRead = [logBox().scrollTop < 300 && loadOlder(log), logBox().scrollHeight - logBox().scrollTop - logBox().clientHeight < 300 && loadNewer(log)];
  Promise.all(isRead).catch(() => { clearTimeout(scrollsAgain); scrollsAgain = setTimeout(scrolled, 5000); });
}
function clicked(e) {
  const target = e.target.closest('[data-do]'), m = messageOf(articleOf(e.target));
  if (!target || !m) return;
  if (target.dataset.do === 'quoted') jumpTo(m.replyTo.seqId).catch(toast);
  if (target.dataset.do === 'react') toggle(m, target.dataset.emoji);
  if (target.dataset.do === 'menu') openMenu(m, articleOf(target), target.getBoundingClientRect());
}
function menuWanted(e) {
  const article = articleOf(e.target), m = messageOf(article);
  const hasOwnMenu = e.target.closest('a, textarea') || !window.getSelection().isCollapsed && window.getSelection().containsNode(article, true);
  if (!m || m.deleted || hasOwnMenu) return;
  e.preventDefault();
  const isByKey = e.clientX === 0 && e.clientY === 0 || e.button !== 2 && e.pointerType === '';
  const at = isByKey ? article.querySelector('.bubble').getBoundingClientRect() : new DOMRect(e.clientX, e.clientY, 0, 0);
  openMenu(m, article, at);
}
function messageKey(e) {
  const article = e.target;
  if (!article.matches('article[data-id]')) {
    if (e.key === 'Escape' && articleOf(e.target) && e.target.tagName !== 'TEXTAREA') articleOf(e.target).focus();
    return;
  }
  const m = messageOf(article);
  if (step(article, e.key)) e.preventDefault();
  else if (m && !m.deleted && (e.key === 'Enter' || e.key === ' ')) { e.preventDefault(); openMenu(m, article, article.querySelector('.bubble').getBoundingClientRect()); }
}
// Holding a finger on a message asks for its menu where the browser doesn't say so itself.
let holding = 0;
function touched(e) {
  clearTimeout(holding);
  const article = articleOf(e.target), m = messageOf(article), touch = e.touches[0];
  if (e.type !== 'touchstart' || e.touches.length > 1 || !m || m.deleted || e.target.closest('textarea, .chip, a')) return;
  holding = setTimeout(() => openMenu(m, article, new DOMRect(touch.clientX, touch.clientY, 0, 0)), 500);
}

export function listenToMessages() {
  logBox().addEventListener('scroll', scrolled, { passive: true });
  logBox().addEventListener('click', clicked);
  logBox().addEventListener('dblclick', e => { const m = messageOf(articleOf(e.target)); if (m && !m.deleted && e.target.matches('.line, article')) actOn('reply', m); });
  logBox().addEventListener('contextmenu', menuWanted);
  logBox().addEventListener('keydown', messageKey);
  logBox().addEventListener('focusin', e => { const article = articleOf(e.target); if (article) activate(article.dataset.id); });
  for (const kind of ['touchstart', 'touchmove', 'touchend', 'touchcancel']) logBox().addEventListener(kind, touched, { passive: true });
  $('newest').append(button('↓', { 'aria-label': 'To the newest message', title: 'To the newest message', onclick: () => toNewest() }));
  new ResizeObserver(() => { if (currentLog()?.atEnd && wasAtEnd) logBox().scrollTop = logBox().scrollHeight; }).observe(logBox());
  logBox().addEventListener('scroll', () => { wasAtEnd = isAtBottom(); }, { passive: true });
  changed();
}
let wasAtEnd = true; // before the logBox changed its size
