import { session } from './api.js';
import { toast, uuid } from './dom.js';
import { changed, conversations, logs, titleOf, view } from './state.js';
import { arrived } from './sync.js';

// Messages on their way: each is sent again under its id until it is acknowledged or refused for good.
const PATIENCE_MS = 5000;
export const outbox = new Map(); // client id -> { frame, shown, next, tries, refusal }

let deliver = () => false;
export const sendBy = send => { deliver = send; };

// `refers` is what the message refers to: replyTo (a quote), mentions, mentionAll.
export function post(conversationId, content, refers = {}) {
  const id = uuid(), { replyTo, ...named } = refers;
  const data = { conversationId, content, messageType: 1, client_msg_id: id, ...named };
  if (replyTo) data.replyTo = replyTo.messageId;
  const shown = { id, conversationId, senderId: session.user.id, content, messageType: 1, createdAt: Date.now() / 1000, ...refers };
  outbox.set(id, { frame: { type: 'send-message', data }, shown, next: 0, tries: 0 });
  flush();
  changed();
}
export function flush() {
  const now = Date.now();
  for (const sent of outbox.values()) {
    if (sent.refusal || sent.next > now) continue;
    sent.frame.data.resend = sent.tries > 0;
    if (!deliver(sent.frame)) return;
    sent.tries++;
    sent.next = now + PATIENCE_MS;
  }
}
export function acknowledged(d) {
  const sent = outbox.get(d.client_msg_id);
  if (!sent) return;
  outbox.delete(d.client_msg_id);
  return arrived({ ...sent.shown, id: d.messageId, seqId: d.seqId, rev: d.rev, createdAt: d.createdAt });
}
// False when the refusal answers none of them.
export function refused({ message, details = {} }) {
  const sent = outbox.get(details.client_msg_id);
  if (!sent) return false;
  if (details.retryable) {
    sent.next = Date.now() + (details.retryAfter || 1) * 1000;
    if (details.retryAfter > 3) toast(message);
  } else {
    const id = sent.frame.data.conversationId, isSeen = view.current === id && logs.get(id)?.atEnd;
    sent.refusal = message;
    if (!isSeen) toast(`Not sent to ${titleOf(conversations.get(id) || { id })}: ${message}`);
  }
  changed();
  return true;
}
export function again(id) {
  const sent = outbox.get(id);
  if (sent) Object.assign(sent, { refusal: undefined, next: 0 });
  flush();
  changed();
}
export function discard(id) {
  outbox.delete(id);
  changed();
}
// Whether closing the page would lose a text that somebody still sees.
export const hasUnsent = () => [...outbox.values()].some(sent => conversations.has(sent.frame.data.conversationId));
export const waiting = () => [...outbox.values()].filter(sent => sent.frame.data.conversationId === view.current);
