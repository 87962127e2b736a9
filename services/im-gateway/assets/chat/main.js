import { api, enter, leave, session } from './api.js';
import { closeMenu, drawMenu, listenToMenu } from './menu.js';
import { drawReplying, listenToComposer, onSend, openComposer } from './composer.js';
import { listenToDialog } from './dialog.js';
import { $, toast } from './dom.js';
import { drawHead, listenToHead } from './head.js';
import { drawList } from './list.js';
import { drawMessages, listenToMessages, toNewest } from './messages.js';
import { hasUnsent } from './outbox.js';
import { prover } from './proof.js';
import { connect, onCaughtUp, transmit, typing } from './socket.js';
import { changed, conversations, current, currentLog, onChange, view } from './state.js';
import { catchUp, load, logOf, readConversation } from './sync.js';

// Signing in, and which conversation is open: the one behind the # of the address.
const note = e => { $('note').textContent = e.message || e; };

async function guest(alive) {
  for (let proof, tries = 0; ; tries++) {
    try { return await api('POST', '/auth/guest', { proof }); } catch (e) { if (e.code !== 'PROOF_REQUIRED' || tries === 2) throw e; }
    note('Preparing a guest account…');
    const { challenge, difficulty } = await api('GET', '/auth/challenge');
    proof = challenge && await prover(challenge, difficulty, alive);
  }
}
let attempt = 0;
async function sign(kind) {
  const mine = ++attempt;
  note('');
  try {
    const account = { username: $('name').value.trim(), password: $('pass').value };
    if (kind === 'register') await api('POST', '/auth/register', account);
    const entered = kind === 'guest' ? await guest(() => mine === attempt) : await api('POST', '/auth/login', account);
    if (mine !== attempt) return;
    enter(entered);
    $('pass').value = '';
    start();
  } catch (e) { if (mine === attempt) note(e); }
}

const isNarrow = matchMedia('(max-width: 46rem)');
const inAddress = () => { try { return decodeURIComponent(location.hash.slice(1)); } catch { return ''; } };
const wanted = () => inAddress() || (isNarrow.matches ? null : view.current || 'world');
function goTo() {
  const before = view.current, id = wanted();
  document.body.classList.toggle('listing', !id);
  if (!id || id === before) return changed();
  closeMenu(false);
  view.current = id;
  typing.clear();
  openComposer(before);
  const log = logOf(id), c = conversations.get(id);
  log.readTo = c?.unreadCount ? c.lastReadSeqId : undefined;
  if (view.online) {
    if (log.atEnd) catchUp(log);
    else load(log).catch(toast);
    // The list doesn't tell all that a conversation is: settings, who may do what.
    if (id !== 'world') readConversation(id).catch(toast);
  }
  changed();
  if (!isNarrow.matches) $('text').focus();
}

// Reading: what is on the page counts as read while the page is looked at.
const told = new Map(); // conversation -> number that was told
const tell = (conversationId, seqId) => transmit({ type: 'mark-read', data: { conversationId, seqId } });
// What was told to a connection that was dead is told again. Where the server knows it, a mark "unread" may be newer.
function tellAgain() {
  for (const [id, seq] of told) if (seq > (conversations.get(id)?.storedRead ?? Infinity)) tell(id, seq);
}
function markRead() {
  const c = current(), log = currentLog();
  if (!c || document.hidden || !log?.loaded || !log.atEnd || document.body.classList.contains('listing')) return;
  if (!log.last || log.last <= (c.lastReadSeqId || 0) && !c.unreadCount) return;
  if (told.get(c.id) === log.last || !tell(c.id, log.last)) return;
  told.set(c.id, log.last);
  Object.assign(c, { unreadCount: 0, unreadMentions: 0, lastReadSeqId: log.last });
  changed();
}

function start() {
  $('sign').hidden = true;
  $('app').hidden = false;
  $('who').textContent = session.user.username;
  $('tools').hidden = session.user.isGuest;
  goTo();
  connect();
}

for (const listen of [listenToMessages, listenToComposer, listenToMenu, listenToDialog, listenToHead]) listen();
for (const draw of [drawList, drawHead, drawMessages, drawReplying, drawMenu, markRead]) onChange(() => { if (session) draw(); });
onSend(toNewest);
onCaughtUp(tellAgain);
$('account').addEventListener('submit', e => { e.preventDefault(); sign('login'); });
$('register').addEventListener('click', () => sign('register'));
$('guest').addEventListener('click', () => sign('guest'));
$('out').addEventListener('click', async () => {
  await api('POST', '/auth/logout').catch(() => {});
  leave();
});
document.addEventListener('visibilitychange', markRead);
window.addEventListener('beforeunload', e => { if (session && hasUnsent()) e.preventDefault(); });
window.addEventListener('hashchange', () => { if (session) goTo(); });
// The row of the open conversation leads nowhere: it asks again for what could not be read.
$('list').addEventListener('click', e => {
  const log = e.target.closest('.row')?.dataset.id === view.current && currentLog();
  if (log && view.online) catchUp(log);
});
isNarrow.addEventListener('change', () => { if (session) goTo(); });
if (session) start();
