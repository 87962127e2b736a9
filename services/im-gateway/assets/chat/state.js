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
