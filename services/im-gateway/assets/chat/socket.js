import { api, leave, refresh, session } from './api.js';
import { $, pause, toast, uuid, waitAfter } from './dom.js';
import { acknowledged, flush, refused, sendBy } from './outbox.js';
import { changed, conversations, isMe, view } from './state.js';
import { arrived, changeArrived, forgetMembers, readConversation, readList, resync } from './sync.js';

// The connection, and what it brings.
export const typing = new Map(); // name -> until
let socket = null, failures = 0;

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
  const own = socket = new WebSocket(location.origin.replace('http', 'ws') + '/ws?device=' + encodeURIComponent(device), ['gochat.v1', 'bearer.' + session.accessToken]);
  socket.onopen = () => {
    failures = 0;
    status('');
    flush();
    readMissed(own);
  };
  socket.onmessage = e => handle(JSON.parse(e.data));
  socket.onclose = closed;
}
// Nothing else tells what was missed, so that is read until it is here.
async function readMissed(own) {
  const isOver = () => socket !== own || !isOpen();
  for (let tries = 0; !isOver(); tries++) {
    try {
      await resync();
      if (!isOver()) status('');
      return;
    } catch {
      if (isOver()) return;
      status('not all could be read, trying again…', true);
      await pause(waitAfter(tries));
    }
  }
}
async function closed(e) {
  if (!session) return;
  status('offline');
  if (e.code === 4001) return status('replaced by another window');
  if (e.code === 4002) await refresh();
  setTimeout(async () => {
    // Whether the session still holds is told by a request, not by a handshake.
    await api('GET', '/users/profile').catch(refusal => { if (refusal.code === 'INVALID_TOKEN' || refusal.code === 'USER_DISABLED') leave(); });
    if (session) connect();
  }, waitAfter(failures++));
}
function status(words, isOnline = !words) {
  view.online = isOnline;
  $('state').textContent = words;
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
      Object.assign(c, { lastReadSeqId: d.seqId, unreadCount: Math.max(0, c.lastSeqId - d.seqId) });
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
