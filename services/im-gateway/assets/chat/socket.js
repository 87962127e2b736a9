import { api, isRetired, leave, refresh, retire, session } from './api.js';
import { $, button, pause, toast, uuid, waitAfter } from './dom.js';
import { acknowledged, flush, refused, sendBy } from './outbox.js';
import { changed, conversations, isMe, view } from './state.js';
import { arrived, changeArrived, forgetMembers, ownStateArrived, readConversation, readList, resync } from './sync.js';

// The connection, and what it brings.
export const typing = new Map(); // name -> until
const SILENCE_MS = 75000; // two pings and what they take; a connection that is silent for longer is dead
const ANSWER_MS = 5000;
let socket = null, failures = 0, heardAt = 0, reconnecting = 0;

let caughtUp = () => {};
export const onCaughtUp = work => { caughtUp = work; };

export const isOpen = () => socket?.readyState === WebSocket.OPEN;
export function transmit(frame) {
  if (!isOpen()) return false;
  socket.send(JSON.stringify(frame));
  return true;
}
sendBy(transmit);

export function connect() {
  status('connecting…');
  const device = sessionStorage.getItem('device') || uuid();
  sessionStorage.setItem('device', device);
  heardAt = Date.now();
  const own = socket = new WebSocket(location.origin.replace('http', 'ws') + '/ws?device=' + encodeURIComponent(device), ['gochat.v1', 'bearer.' + session.accessToken]);
  socket.onopen = () => {
    if (socket !== own) return;
    failures = 0;
    status('');
    readMissed(own);
  };
  socket.onmessage = e => {
    if (socket !== own) return;
    heardAt = Date.now();
    handle(JSON.parse(e.data));
  };
  socket.onclose = e => { if (socket === own) closed(e, own); };
}
// Nothing else tells what was missed, so that is read until it is here.
async function readMissed(own) {
  const isOver = () => socket !== own || !isOpen();
  for (let tries = 0; !isOver(); tries++) {
    try {
      await resync();
      if (isOver()) return;
      status('');
      caughtUp();
      return flush();
    } catch {
      if (isOver()) return;
      status('not all could be read, trying again…', true);
      await pause(waitAfter(tries));
    }
  }
}
async function closed(e, own) {
  if (!session) return;
  if (e.code === 4001) {
    retire(true);
    return status('Open in another window', false, button('Use here', { onclick: useHere }));
  }
  status('offline');
  if (e.code === 4002) await refresh();
  if (socket === own) reconnect(waitAfter(failures++));
}
function useHere() {
  retire(false);
  status('connecting…');
  reconnect(0);
}
function reconnect(ms) {
  clearTimeout(reconnecting);
  const mine = reconnecting = setTimeout(async () => {
    // Whether the session still holds is told by a request, not by a handshake.
    await api('GET', '/users/profile').catch(refusal => { if (refusal.code === 'INVALID_TOKEN' || refusal.code === 'USER_DISABLED') leave(); });
    if (session && mine === reconnecting) connect();
  }, ms);
}
// A connection that is dead isn't waited for: its end may be told minutes later.
function drop() {
  const old = socket;
  socket = null;
  old?.close();
  status('offline');
  reconnect(0);
}
// Whoever comes back sees at once whether the connection still lives.
function probe() {
  if (!session || isRetired || document.hidden || socket?.readyState === WebSocket.CONNECTING) return;
  const own = socket, asked = Date.now();
  if (!transmit({ type: 'ping' })) return drop();
  setTimeout(() => { if (socket === own && heardAt < asked) drop(); }, ANSWER_MS);
}
function status(words, isOnline = !words, ...beside) {
  view.online = isOnline;
  $('state').replaceChildren(words, ...beside);
  changed();
}
export const disconnect = () => socket?.close();

const frames = {
  'new-message': d => { typing.delete(d.sender?.username); return arrived(d); },
  'message-changed': changeArrived,
  'message-ack': acknowledged,
  'message-read': d => {
    const c = conversations.get(d.conversationId);
    if (!c) return;
    if (!isMe(d.userId)) { if (c.type === 1) c.peerLastReadSeqId = Math.max(c.peerLastReadSeqId || 0, d.seqId); } else if (d.seqId >= (c.lastReadSeqId || 0)) {
      Object.assign(c, { lastReadSeqId: d.seqId, storedRead: d.seqId, unreadCount: Math.max(0, c.lastSeqId - d.seqId) });
      if (!c.unreadCount) c.unreadMentions = 0;
      else if (c.unreadMentions) return readConversation(c.id);
    }
  },
  'error': d => { if (!refused(d)) toast(d.message); },
  'typing-indicator': d => {
    if (d.conversationId !== view.current) return;
    if (d.isTyping) typing.set(d.username, Date.now() + 6000);
    else typing.delete(d.username);
  },
  'conversation-state': d => ownStateArrived(d.conversationId, d.my, d.hidden),
  'conversation-updated': changedConversation,
  'member-added': changedConversation,
  'member-removed': changedConversation,
  'friend-added': readList,
  'restarting': d => { setTimeout(disconnect, d.reconnectIn || 0); },
};
async function changedConversation(d) {
  forgetMembers(d.conversationId);
  await readConversation(d.conversationId);
}
async function handle({ type, data }) {
  try {
    await frames[type]?.(data || {});
  } catch (e) { toast(e); }
  changed();
}

setInterval(flush, 1000);
setInterval(() => transmit({ type: 'ping' }), 30000);
setInterval(() => { if (socket && socket.readyState !== WebSocket.CLOSED && Date.now() - heardAt > SILENCE_MS) drop(); }, 5000);
document.addEventListener('visibilitychange', probe);
window.addEventListener('online', probe);
