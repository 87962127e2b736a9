import { session } from './api.js';

// What the page knows.
export const conversations = new Map(); // id -> Conversation
export const logs = new Map(); // id -> Log, the ones used last
export const people = new Map(); // id -> name
export const view = { current: null, online: false };

export function remember(user) {
  if (user?.id && user.username) people.set(user.id, user.username);
}
export const nameOf = id => (id === session?.user.id ? session.user.username : people.get(id));
export const isMe = id => id === session?.user.id;
export const current = () => conversations.get(view.current);
export const currentLog = () => logs.get(view.current);
export const titleOf = c => c.name || c.peer?.username || (c.id === 'world' ? 'World' : c.id);
export const isManager = c => (c?.myMembership?.role || 1) > 1;
export const mayPin = c => c?.type === 1 || c?.type === 2 && (isManager(c) || c.settings?.members_pin === true);
export const mayNameAll = c => c?.type === 2 && (isManager(c) || c.settings?.members_mention_all === true);
export const namesMe = m => !m.deleted && !isMe(m.senderId) && (m.mentionAll || m.mentions?.includes(session.user.id));

// Ages in seconds beyond which the server refused to change messages. Its limits are settings, so they are learned.
const limits = { edit: Infinity, recall: Infinity };
const LIMIT_OF = { EDIT_TIME_EXCEEDED: 'edit', RECALL_TIME_EXCEEDED: 'recall' };
const ageOf = m => Date.now() / 1000 - m.createdAt;
export const isWithin = (limit, m) => ageOf(m) < limits[limit];
export function learnFrom(refusal, m) {
  const limit = LIMIT_OF[refusal.code];
  if (limit) limits[limit] = Math.min(limits[limit], ageOf(m));
}

// Draws what changed, a moment later and once.
const drawers = [];
let isDue = false;
export const onChange = draw => drawers.push(draw);
export function changed() {
  if (isDue) return;
  isDue = true;
  setTimeout(drawNow);
}
export function drawNow() {
  isDue = false;
  for (const draw of drawers) draw();
}
