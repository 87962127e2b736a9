import { api, session } from './api.js';
import { pause, toast, waitAfter } from './dom.js';
import { Log } from './log.js';
import { changed, conversations, currentLog, isMe, logs, namesMe, people, remember, titleOf, view } from './state.js';

// Reading: the list, stretches of history, and what was missed.
const PAGE = 50;
const LOGS_MAX = 20; // conversations whose messages are kept
const WINDOW_MAX = 400; // messages kept of one conversation
const MISSED_MAX = 500; // new messages up to which a stretch is caught up; beyond, it is read anew
const REORDERED_MS = 400; // a number that skips another one is often followed by it
const BEHIND_TRIES = 3; // for what is on its way to the database; then what is stored is shown

const OF_READING = ['lastReadSeqId', 'unreadCount', 'unreadMentions'];
const OF_MESSAGES = [...OF_READING, 'lastRev', 'lastSeqId', 'lastMessage', 'pinnedCount'];

const path = (id, rest = '') => '/conversations/' + encodeURIComponent(id) + rest;

let listedAt = null;
export async function readList() {
  let syncTime = null;
  for (let cursor = ''; cursor !== undefined;) {
    const since = listedAt === null ? '' : '&last_sync=' + listedAt;
    const page = await api('GET', '/conversations?size=100' + since + (cursor && '&cursor=' + encodeURIComponent(cursor)));
    page.conversations.forEach(learn);
    (page.removedIds || []).forEach(forget);
    syncTime ??= page.syncTime;
    cursor = page.nextCursor || undefined;
  }
  listedAt = syncTime ?? listedAt;
  changed();
}
export async function readConversation(id) {
  try {
    learn(await api('GET', path(id)));
  } catch (e) {
    if (e.status !== 403 && e.status !== 404) throw e;
    forget(id);
  }
  changed();
}
function forget(id) {
  if (id === view.current && conversations.has(id)) toast(`You are no longer in ${titleOf(conversations.get(id))}.`);
  conversations.delete(id);
  logs.delete(id);
}
function learn(c) {
  const known = conversations.get(c.id);
  remember(c.peer);
  remember(c.lastMessage?.sender);
  for (const m of c.members || []) remember(m.user);
  const next = { ...known, ...c, storedRead: c.lastReadSeqId, unreadMentions: c.unreadMentions || 0, pinnedCount: c.pinnedCount || 0 };
  // An answer that was overtaken: by pushes, or by what was read here.
  const stale = known?.lastRev > c.lastRev ? OF_MESSAGES : known?.lastReadSeqId > c.lastReadSeqId ? OF_READING : [];
  for (const field of stale) next[field] = known[field];
  // This answer is older than what is known: its last message may have been deleted since.
  if (known?.my?.version > (c.my?.version ?? 0)) Object.assign(next, { my: known.my, lastMessage: known.lastMessage?.seqId >= (c.lastMessage?.seqId ?? 0) ? known.lastMessage : next.lastMessage });
  conversations.set(c.id, next);
  if (next.my) applyOwnState(c.id, next.my);
  // It was gone while it was open, and is back.
  if (c.id === view.current && !logs.has(c.id)) catchUp(logOf(c.id));
}

// What this user keeps about a conversation alone, as a push, a list or an answer tells it: of two states, the one
// with the higher version is newer.
export function ownStateArrived(id, my, hidden) {
  const c = conversations.get(id);
  if (!c || !my) return;
  if (my.version >= (c.my?.version ?? 0)) c.my = my;
  if (hidden) messageHidden(id, hidden.messageId);
  applyOwnState(id, my, true);
  changed();
}
export function messageHidden(id, messageId) {
  const log = logs.get(id), c = conversations.get(id);
  if (log) whenRead(log, () => log.hide(messageId));
  if (c?.lastMessage?.id === messageId) c.lastMessage = { ...c.lastMessage, hidden: true, content: '' };
  changed();
}
// Messages that were deleted while this page heard nothing are asked for.
function applyOwnState(id, my, isPush) {
  const log = logs.get(id), c = conversations.get(id), clearedUpTo = my.clearedUpTo || 0;
  if (c.lastMessage?.seqId <= clearedUpTo) c.lastMessage = undefined;
  if (!log) return;
  whenRead(log, () => {
    log.clear(clearedUpTo);
    if (!log.loaded && id === view.current) catchUp(log);
    if (my.version <= log.version || !log.loaded) return;
    // The next version is told as a whole; of a list it isn't known what went.
    if (isPush && my.version === log.version + 1 || !my.hiddenCount) log.version = my.version;
    else readHidden(log, my.version);
  });
}
async function readHidden(log, version, failures = 0) {
  try {
    for (let more = true; more;) {
      const page = await api('GET', path(log.id, `/hidden?after_version=${log.version}&limit=200`));
      for (const { messageId, version: at } of page.messages) { messageHidden(log.id, messageId); log.version = Math.max(log.version, at); }
      more = page.hasMore;
    }
    log.version = Math.max(log.version, version);
  } catch {
    setTimeout(() => { if (logs.get(log.id) === log && log.version < version) readHidden(log, version, failures + 1); }, waitAfter(failures));
  }
}
// Clears up to the newest message that this page knows of: messages that come meanwhile were seen by nobody.
export async function clearChat(id, upTo) {
  if (upTo) ownStateArrived(id, await api('DELETE', path(id, '/history?up_to_seq=' + upTo)));
}

// Members of a group, as far as names need them.
const MEMBERS_MAX = 1000;
const membersRead = new Map(); // conversation -> promise of [{ id, name, role }]
export const forgetMembers = id => membersRead.delete(id);
export function membersOf(id) {
  if (!membersRead.has(id)) membersRead.set(id, readMembers(id).catch(() => { membersRead.delete(id); return []; }));
  return membersRead.get(id);
}
async function readMembers(id) {
  const all = [];
  for (let cursor = ''; cursor !== undefined && all.length < MEMBERS_MAX;) {
    const page = await api('GET', path(id, '/members?size=100' + (cursor && '&cursor=' + encodeURIComponent(cursor))));
    for (const m of page.members) { remember(m.user); all.push({ id: m.userId, name: m.user?.username || '' }); }
    cursor = page.nextCursor || undefined;
  }
  changed();
  return all;
}

export function logOf(id) {
  const log = logs.get(id) || new Log(id);
  logs.delete(id);
  logs.set(id, log); // used last
  for (const old of logs.keys()) if (logs.size > LOGS_MAX && old !== view.current) logs.delete(old);
  return log;
}

// One thing at a time is read about a conversation, and pushes wait meanwhile: what was read may be from before them.
function reading(log, read) {
  const work = (log.queue || Promise.resolve()).then(async () => {
    log.held = [];
    try {
      return await read();
    } finally {
      const { held } = log;
      log.held = null;
      for (const apply of held) apply();
      changed();
    }
  });
  log.queue = work.catch(() => {});
  return work;
}
const whenRead = (log, apply) => (log.held ? log.held.push(apply) : apply());

// Reads the newest messages, or those around one.
export const load = (log, around) => reading(log, () => readStretch(log, around)).finally(() => tryLater(log));
async function readStretch(log, around) {
  const c = conversations.get(log.id), rev = Math.max(log.head, c?.lastRev || 0);
  const version = c?.my?.version ?? 0;
  const where = around ? 'around_seq=' + around : 'at_least=' + (c?.lastSeqId || 0);
  const page = await api('GET', path(log.id, `/messages?${where}&limit=${PAGE}&at_least_rev=${rev}`));
  page.messages.forEach(m => remember(m.sender));
  const isStale = !!page.behind, ends = around ? { atStart: !page.prevCursor, atEnd: !page.hasMore && !isStale } : { atStart: !page.hasMore, atEnd: true };
  log.clear(c?.my?.clearedUpTo || 0);
  log.show(page.messages, { ...ends, rev, isStale });
  if (c?.my?.hiddenCount) readHidden(log, c.my.version);
  else log.version = Math.max(log.version, version);
  fillQuotes(log);
}
// Reads the stretch that is here once more. It stays, whatever was added to it since.
async function readAgain(log) {
  const rev = Math.max(log.head, conversations.get(log.id)?.lastRev || 0);
  for (let after = log.first - 1, more = true; more;) {
    const page = await api('GET', path(log.id, `/messages?after_seq=${after}&limit=${PAGE}&at_least_rev=${rev}`));
    page.messages.forEach(m => { remember(m.sender); log.take(m); });
    if (page.behind) return;
    after = page.nextCursor;
    more = page.hasMore && (log.atEnd || after < log.last);
  }
  log.isStale = false;
  log.reached(rev, true);
  if (log.atEnd) log.trim(WINDOW_MAX, true);
  fillQuotes(log);
}
// Reads on at an end of the stretch.
export const loadOlder = log => extend(log, 'atStart', () => `cursor=${log.first}`);
export const loadNewer = log => extend(log, 'atEnd', () => `after_seq=${log.last}`);
async function extend(log, end, where) {
  if (log[end] || log.isExtending || !log.loaded) return;
  log.isExtending = true;
  try {
    for (let tries = log.isStale ? BEHIND_TRIES : 1; !await reading(log, () => readOn(log, end, where(), tries >= BEHIND_TRIES)); tries++) await pause(1000);
  } finally {
    log.isExtending = false;
    tryLater(log);
  }
}
// False when something is on its way to the database, and what is stored isn't enough.
async function readOn(log, end, where, isEnough) {
  if (log[end]) return true;
  const page = await api('GET', path(log.id, `/messages?${where}&limit=${PAGE}&at_least_rev=${log.head}`));
  if (page.behind && !isEnough) return false;
  page.messages.forEach(m => remember(m.sender));
  log.extend(page.messages, page.behind ? { isStale: true } : { [end]: !page.hasMore });
  log.trim(WINDOW_MAX, end === 'atEnd');
  fillQuotes(log);
  if (page.behind && !page.messages.length) throw new Error('The server cannot read on right now.');
  return true;
}

// Reads what is missing. What fails, and what isn't stored yet, is asked for again, later each time.
export function catchUp(log) {
  log.catching ??= readWhole(log).finally(() => { log.catching = null; });
  return log.catching;
}
async function readWhole(log) {
  try {
    await reading(log, () => readMissing(log));
  } catch (e) {
    if (!log.loaded && !log.failures) toast(e);
    // The conversation tells whether it is still there for this user.
    if (e.status === 403 || e.status === 404) await readConversation(log.id).catch(() => {});
  }
  tryLater(log);
}
const isWanting = log => view.online && logs.get(log.id) === log && (log.loaded ? log.isMissing : log.id === view.current);
function tryLater(log) {
  clearTimeout(log.retry);
  const failures = log.failures || 0;
  log.failures = isWanting(log) ? failures + 1 : 0;
  if (log.failures) log.retry = setTimeout(() => { if (isWanting(log)) catchUp(log); }, waitAfter(failures));
}
async function readMissing(log) {
  if (log.loaded && !log.isMissing) return;
  const missed = (conversations.get(log.id)?.lastSeqId || 0) - log.last, isNothing = log.isStale && !log.messages.length;
  if (!log.loaded || isNothing || log.atEnd && missed > MISSED_MAX) await readStretch(log);
  else if (log.isStale) await readAgain(log);
  else await readChanges(log);
}
// Everything that is new or was changed since `log.rev`.
async function readChanges(log) {
  const c = conversations.get(log.id);
  for (let more = true; more;) {
    const page = await api('GET', path(log.id, `/changes?after_rev=${log.rev}&limit=200&at_least=${Math.max(log.head, c?.lastRev || 0)}`));
    page.messages.forEach(m => { remember(m.sender); log.take(m); });
    more = page.hasMore || page.behind;
    log.reached(page.completeTo, !more);
    if (page.behind) break;
  }
  log.trim(WINDOW_MAX, true);
  fillQuotes(log);
}
function noted(log, ...revs) {
  log.note(...revs);
  const c = conversations.get(log.id);
  if (c) c.lastRev = Math.max(c.lastRev || 0, ...revs);
  if (log.isMissing && log.loaded) setTimeout(() => { if (log.isMissing) catchUp(log); }, REORDERED_MS);
}

// Reads one message again.
const readMessage = (log, seq) => reading(log, async () => {
  const page = await api('GET', path(log.id, `/messages?around_seq=${seq}&limit=1&at_least_rev=${log.head}`));
  const m = page.messages.find(found => found.seqId === seq);
  remember(m?.sender);
  if (m) log.take(m);
});
// Reads what quotes don't say: the name of an author that the page never saw, and a text that was too young to be
// pushed with them.
const askedFor = new Set();
function fillQuotes(log) {
  for (const { replyTo } of log.messages) {
    if (!replyTo || log.find(replyTo.messageId) || askedFor.has(replyTo.messageId)) continue;
    const hasText = replyTo.excerpt !== undefined || replyTo.state === 'recalled' || replyTo.messageType > 1;
    if (hasText && (people.has(replyTo.senderId) || isMe(replyTo.senderId))) continue;
    askedFor.add(replyTo.messageId);
    readMessage(log, replyTo.seqId).catch(() => {});
  }
}

// A conversation that is heard of for the first time; what is read of it has no last message.
async function readNew(m) {
  await readConversation(m.conversationId);
  const c = conversations.get(m.conversationId);
  if (c && !(c.lastMessage?.seqId >= m.seqId)) Object.assign(c, { lastMessage: m, updatedAt: m.createdAt });
  changed();
}
export async function arrived(d) {
  const m = { ...d, senderId: d.sender?.id || d.senderId };
  remember(m.sender);
  const c = conversations.get(d.conversationId), log = logs.get(d.conversationId);
  // An own message that is acknowledged leaves those that wait: it must not vanish while something is read.
  if (log?.held && isMe(m.senderId)) log.take(m);
  if (log) whenRead(log, () => { log.take(m); noted(log, d.rev); if (log.atEnd) log.trim(WINDOW_MAX, true); fillQuotes(log); });
  if (!c) return readNew(m);
  if (d.seqId <= c.lastSeqId || d.seqId <= (c.my?.clearedUpTo || 0)) return changed();
  Object.assign(c, { lastSeqId: d.seqId, lastRev: Math.max(c.lastRev || 0, d.rev), lastMessage: m, updatedAt: d.createdAt });
  if (isMe(m.senderId)) { c.lastReadSeqId = d.seqId; if (log) log.readTo = undefined; }
  else c.unreadCount = (c.unreadCount || 0) + 1;
  if (namesMe(m)) c.unreadMentions = (c.unreadMentions || 0) + 1;
  changed();
}
export function changeArrived(d) {
  const c = conversations.get(d.conversationId), log = logs.get(d.conversationId);
  if (log) whenRead(log, () => applyChange(log, d));
  if (c) c.lastRev = Math.max(c.lastRev || 0, d.rev);
  if (c?.lastMessage?.id === d.messageId && d.message) {
    const { content, deleted } = d.message;
    if (deleted) c.lastMessage = { ...c.lastMessage, content: '', deleted };
    else if (content !== undefined) c.lastMessage = { ...c.lastMessage, content };
  }
  // How many unread messages name me, and how many are pinned, follows from messages that may not be here.
  if (c && (d.kind === 'recalled' || d.kind === 'pinned' || d.kind === 'unpinned')) soonRead(d.conversationId);
  changed();
}
// An own edit, as it was answered. It is shown at once, and once more after what is being read.
export function edited(log, m) {
  log.take(m);
  whenRead(log, () => { log.take(m); noted(log, m.rev); });
  const c = conversations.get(log.id), { content, deleted } = log.find(m.id) || m;
  if (c?.lastMessage?.id === m.id) c.lastMessage = { ...c.lastMessage, content, deleted };
  changed();
}
function applyChange(log, d) {
  // What was not told is among what changed since `log.rev`; numbers up to that one have been read already.
  if (log.change(d, session.user.id)) noted(log, ...(d.revs?.length ? d.revs : [d.rev]));
  else if (log.loaded && d.rev > log.rev) {
    log.needed = Math.max(log.needed, d.rev);
    catchUp(log);
  }
  changed();
}
const soon = new Set();
function soonRead(id) {
  if (soon.has(id)) return;
  soon.add(id);
  setTimeout(() => { soon.delete(id); readConversation(id).catch(() => {}); }, 300);
}

// After a connect: the list, and what was missed in the conversations that are kept, the open one first.
export async function resync() {
  await readList();
  const open = currentLog(), others = [...logs.values()].filter(log => log !== open && log.loaded);
  for (const log of open ? [open, ...others] : others) {
    log.needed = Math.max(log.needed, conversations.get(log.id)?.lastRev || 0);
    if (!log.loaded || log.isMissing) await catchUp(log);
  }
}
