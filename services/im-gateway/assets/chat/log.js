import { excerpt } from './text.js';

// The part of a conversation that is on the page: a stretch of messages without a gap, each as it is now.
//
// A message that was read is right in every part as of its `rev`; a push tells one part (text, reactions, pin). So
// every part remembers the number it is from, and of two states of a part the one with the higher number stays,
// whatever the order in which they arrive. `rev` is the number up to which nothing is missing; numbers that came
// ahead of it wait in `ahead`, and while any wait, something is missing. `needed` is the newest number that is known
// of without what it stands for. A stretch that was read while something was on its way to the database is stale: it
// may be older than `rev`.
//
// While pages of changes are read (`isPaging`), a message whose newest change is beyond the page is not on it, though
// older changes of it may be missing. A push that told the newest one must not take `rev` past that message.
const PARTS = { text: ['content', 'extra', 'editedAt', 'editCount', 'deleted'], reactions: ['reactions'], pin: ['pinned'] };
const PART_OF = { edited: 'text', recalled: 'text', reaction: 'reactions', pinned: 'pin', unpinned: 'pin' };
// What a message says to a user who deleted it for themselves.
const HIDDEN = { hidden: true, content: '', extra: undefined, reactions: [], pinned: false, replyTo: undefined, mentions: undefined, mentionAll: undefined, forwardedFrom: undefined };
const REFERENCES = { replyTo: undefined, mentions: undefined, mentionAll: undefined, forwardedFrom: undefined };

export class Log {
  messages = []; // ascending by seqId
  atStart = false; // nothing is older than the first
  atEnd = true; // nothing is newer than the last
  loaded = false;
  rev = 0;
  needed = 0;
  clearedUpTo = 0; // the conversation begins behind this message
  version = 0; // of the own state, up to which `gone` is known
  gone = new Set(); // ids of messages that the user deleted for themselves, here or not
  isStale = false;
  ahead = new Set();
  isPaging = false;

  constructor(id) { this.id = id; }

  get first() { return this.messages[0]?.seqId ?? 0; }
  get last() { return this.messages.at(-1)?.seqId ?? 0; }
  get head() { return Math.max(this.rev, this.needed, ...this.ahead); }
  get isMissing() { return this.isPaging || this.isStale || this.needed > this.rev || this.ahead.size > 0; }
  find(id) { return this.messages.find(m => m.id === id); }
  at(seq) { return this.messages.find(m => m.seqId === seq); }

  // A stretch that was read anew, in any order; it shows everything up to `rev`, unless it is stale.
  show(messages, { atStart, atEnd, rev, isStale = false }) {
    this.messages = [];
    Object.assign(this, { atStart, atEnd, isStale, loaded: true });
    for (const m of messages) if (m.seqId > this.clearedUpTo) this.put(this.#read(m));
    if (isStale) this.needed = Math.max(this.needed, rev);
    else this.reached(rev, true);
  }

  // A message as it was read. One that is not on the page is taken where it touches the stretch.
  take(m) {
    const known = this.find(m.id);
    if (!known && !this.#touches(m.seqId)) return this.#requote(m);
    const fresh = this.#read(m);
    if (known) for (const [part, fields] of Object.entries(PARTS)) {
      if (known.parts[part] <= fresh.parts[part]) continue;
      fresh.parts[part] = known.parts[part];
      for (const field of fields) fresh[field] = known[field];
    }
    for (const [emoji, own] of Object.entries(known?.own || {})) if (own.rev > fresh.read) fresh.own[emoji] = own;
    if (fresh.deleted) Object.assign(fresh, REFERENCES, { reactions: [], pinned: false });
    if (this.gone.has(m.id)) Object.assign(fresh, HIDDEN);
    this.put(fresh);
    this.#requote(fresh);
  }

  // Messages of a further page, read as of `rev` at least, unless it makes the stretch stale.
  extend(messages, end) {
    Object.assign(this, end);
    for (const m of messages) if (!this.find(m.id) && m.seqId > this.clearedUpTo) this.put(this.#read(m));
  }

  // Applies a push. False when it tells too little and the message has to be read: of a message that should be here and
  // is still on its way, of a kind that this page doesn't know, or of an edit whose text is not for everybody.
  change({ messageId, seqId, rev, kind, operatorId, emoji, removed, message }, me) {
    const known = this.find(messageId), part = PART_OF[kind], isHere = !!known || this.#touches(seqId);
    const isQuoted = this.messages.some(m => m.replyTo?.messageId === messageId);
    if (!part || kind === 'edited' && message.content === undefined) return !isHere && !isQuoted;
    if (!known && isHere) return false;
    // A push from before `rev` may be older than what the quotes say.
    if (!known) { if (part === 'text' && rev > this.rev) this.#requote({ messageType: 1, ...message, id: messageId }); return true; }
    if (known.deleted) return true;
    if (known.hidden) { this.#markHidden(known, part, rev, message); return true; }
    const next = { ...known, parts: { ...known.parts }, own: { ...known.own } };
    if (operatorId === me && emoji && rev > (known.own[emoji]?.rev ?? known.read)) next.own[emoji] = { rev, mine: !removed };
    if (rev > known.parts[part]) {
      next.parts[part] = rev;
      if (kind === 'recalled') {
        Object.assign(next, REFERENCES, { content: '', extra: undefined, deleted: true, reactions: [], pinned: false });
        Object.assign(next.parts, { reactions: rev, pin: rev });
      } else for (const field of PARTS[part]) if (message[field] !== undefined) next[field] = message[field];
    }
    this.put(next);
    if (part === 'text') this.#requote(next);
    return true;
  }

  // Of a message that the user deleted, quotes go on saying whether it was edited or taken back.
  #markHidden(known, part, rev, { deleted, editCount }) {
    if (part !== 'text' || rev <= known.parts.text) return;
    const next = { ...known, parts: { ...known.parts, text: rev }, deleted: !!deleted, editCount };
    this.put(next);
    this.#requote(next);
  }

  // The user deleted a message for themselves, on any device. It keeps its place.
  hide(id) {
    this.gone.add(id);
    const known = this.find(id), gone = { ...known, ...HIDDEN, id };
    if (known) this.put(gone);
    this.#requote(gone);
  }

  // The user cleared the conversation up to and with a message.
  clear(upTo) {
    if (upTo <= this.clearedUpTo) return;
    this.clearedUpTo = upTo;
    const left = this.messages.filter(m => m.seqId > upTo);
    if (left.length < this.messages.length) this.atStart = true;
    if (!left.length && !this.atEnd) this.loaded = false;
    this.messages = left.map(m => (m.replyTo?.seqId <= upTo ? { ...m, replyTo: clearedQuote(m.replyTo) } : m));
  }

  // The numbers of a push or an acknowledgement.
  note(...revs) {
    for (const rev of revs) if (rev > this.rev) this.ahead.add(rev);
    while (!this.isPaging && this.ahead.delete(this.rev + 1)) this.rev++;
  }

  // Everything up to `rev` is here; of what there was when it was read, if it was the last page.
  reached(rev, isLast) {
    this.isPaging = !isLast;
    this.rev = Math.max(this.rev, rev);
    for (const seen of this.ahead) if (seen <= this.rev) this.ahead.delete(seen);
    this.note();
  }

  // Puts a message in its place.
  put(m) {
    const at = this.messages.findLastIndex(other => other.seqId <= m.seqId);
    if (this.messages[at]?.seqId === m.seqId) this.messages[at] = m;
    else this.messages.splice(at + 1, 0, m);
  }

  // Leaves `max` messages, the newest or the oldest ones.
  trim(max, keepNewest) {
    const over = this.messages.length - max;
    if (over <= 0) return;
    if (keepNewest) { this.messages.splice(0, over); this.atStart = false; }
    else { this.messages.splice(max); this.atEnd = false; }
  }

  // The reactions of a message, with `mine` from what the server and the own devices said.
  static reactionsOf(m) {
    return m.reactions.map(r => ({ ...r, mine: m.own[r.emoji]?.mine ?? false }));
  }

  // Whether a message with this number belongs to the stretch.
  #touches(seq) {
    if (seq <= this.clearedUpTo) return false;
    return seq > this.last ? this.atEnd : seq > this.first || this.atStart;
  }

  #read(m) {
    const rev = m.rev || 0, own = {};
    for (const r of m.reactions || []) if (r.mine) own[r.emoji] = { rev, mine: true };
    const quoted = m.replyTo && this.find(m.replyTo.messageId);
    const fresh = { ...m, reactions: m.reactions || [], read: rev, own, parts: { text: rev, reactions: rev, pin: rev } };
    if (quoted) fresh.replyTo = quoteOf(quoted, m.replyTo);
    // Pushes are the same for everybody: they quote what this user deleted.
    if (m.replyTo && this.gone.has(m.replyTo.messageId)) fresh.replyTo = { ...fresh.replyTo, excerpt: '' };
    if (m.replyTo?.seqId <= this.clearedUpTo) fresh.replyTo = clearedQuote(fresh.replyTo);
    // The answer to a request from before the message was deleted may come after that.
    if (this.gone.has(m.id)) Object.assign(fresh, HIDDEN);
    return fresh;
  }

  // A quote says what its message says now.
  #requote(changed) {
    if (this.gone.has(changed.id)) changed = { ...changed, hidden: true };
    this.messages = this.messages.map(m => (m.replyTo?.messageId === changed.id && m.replyTo.seqId > this.clearedUpTo ? { ...m, replyTo: quoteOf(changed, m.replyTo) } : m));
  }
}

// The server tells no changes of messages that were cleared away.
const clearedQuote = q => ({ ...q, excerpt: '', state: 'normal' });

// What a reply says of a message.
export function quoteOf(m, before = {}) {
  const state = m.deleted ? 'recalled' : m.editCount || m.editedAt ? 'edited' : m.hidden ? before.state : 'normal';
  return {
    messageId: m.id, seqId: m.seqId ?? before.seqId, senderId: m.senderId ?? before.senderId, messageType: before.messageType ?? m.messageType,
    excerpt: excerpt({ ...m, messageType: before.messageType ?? m.messageType }), state,
  };
}
